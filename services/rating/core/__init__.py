"""Values and machines of rating: credit, leases, settlement."""
