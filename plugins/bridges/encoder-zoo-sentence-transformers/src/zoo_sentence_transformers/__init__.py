"""Any sentence-transformers folder or repository in encoder-zoo, as `st:NAME`."""
