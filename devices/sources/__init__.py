"""Sources: everything that gives frames behaves as a camera.  One file each."""
