"""Rating: can a call be paid and for how long; afterwards, what it cost."""
