"""Contract of the rating service."""
