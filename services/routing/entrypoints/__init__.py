"""How routing is asked."""
