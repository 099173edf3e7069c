"""Training: data in memory, augmentation, resumable loops, and the recipes of the shipped networks."""
