"""Version 1: field numbers are never reused."""
