"""Backends: what compiles and runs segments.  One file or folder each."""
