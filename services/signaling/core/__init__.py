"""What signaling knows of calls: pure machines and values. No clock, no socket, no log."""
