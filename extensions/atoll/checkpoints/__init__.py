"""Checkpoints: a server saved as an environment, an immutable image known by digest."""
