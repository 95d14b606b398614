"""How the world reaches us: HTTP and the bus."""
