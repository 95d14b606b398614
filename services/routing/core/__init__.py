"""Values and functions that plan a call: no I/O, no clock, no chance of their own."""
