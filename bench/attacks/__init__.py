"""Adversarial images for a network that decides how much of itself to run; needs torch."""
