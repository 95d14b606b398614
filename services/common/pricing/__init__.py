"""What calls cost: one arithmetic for live calls, simulation and re-rating."""
