"""What routing reads from, one class per port."""
