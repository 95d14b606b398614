"""One machine: the three servers and the five services under one supervisor."""
