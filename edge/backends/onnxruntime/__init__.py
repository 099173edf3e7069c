"""Runs segments with ONNX Runtime on the processor: one session a segment, cut from a network optimised as a whole."""
