"""Files of word vectors as tensors: each is read once and kept as safetensors."""
