"""Contract of the signaling service."""
