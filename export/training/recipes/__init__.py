"""The recipes of the shipped networks, and of those they are compared with."""
