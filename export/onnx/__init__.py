"""From torch to a bundle: stages as ONNX graphs, their cost, and the proof that they compute the same."""
