"""What stands on the plates: arrows, vehicles, people, and the other symbols."""
