"""Ways into the media service."""
