"""``./tandem``: the command line of the switch."""
