"""Runs stages on a CUDA device: one allocation, one stream, a graph per route; who computes the stages is left open."""
