"""The TensorRT backend: engines built on the device from a bundle's stages, and run there."""
