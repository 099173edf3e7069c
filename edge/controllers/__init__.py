"""Controllers: who decides which gates are open and where to stop.  One file each."""
