"""The board and the world: where frames come from, and what the machine under them is doing."""
