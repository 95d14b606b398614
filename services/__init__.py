"""The five services of the switch, and what they share."""
