"""What the machine under a run is, and what it is doing."""
