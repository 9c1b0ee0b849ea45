"""Every timm model in encoder-zoo, as `timm:NAME`."""
