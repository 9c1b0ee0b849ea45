"""TensorRT and TensorRT-RTX engines out of a bundle's graph: `docs/tensorrt.md`. No torch."""
