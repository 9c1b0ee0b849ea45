"""Facts, key tables and rows, one file a paper. No torch."""
