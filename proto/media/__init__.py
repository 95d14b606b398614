"""Contract of the media service."""
