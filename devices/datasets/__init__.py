"""Image data sets on disk: the packed files, and the layouts of the official downloads."""
