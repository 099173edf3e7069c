"""Figures with intervals, from frames that follow one another and so are not independent."""
