"""Contract of the routing service."""
