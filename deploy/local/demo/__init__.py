"""A caller and vendors of our own, so that a newcomer sees a whole call without any equipment."""
