"""Clean frames beside attacked or corrupted versions of themselves: what the attack costs in answers and in time."""
