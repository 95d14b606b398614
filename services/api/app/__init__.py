"""Use cases: where awaiting and the core meet."""
