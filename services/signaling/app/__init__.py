"""Use cases of signaling: the driver of all calls, and what operators do to them."""
