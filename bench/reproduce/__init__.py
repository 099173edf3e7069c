"""The tables of a paper again: Haque et al., "Dynamic Neural Network is All You Need: Understanding the Robustness of
Dynamic Mechanisms in Neural Networks" (ICCV workshops 2023)."""
