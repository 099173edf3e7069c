"""How a run is shown: for a terminal, as JSON, and while it goes on."""
