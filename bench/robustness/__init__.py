"""How accurate networks stay under attack, and whether the figures can be believed; needs torch."""
