"""The workshop (torch): networks, training, ONNX export.  A board never needs it."""
