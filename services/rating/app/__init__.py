"""Use cases of rating: credit for calls, settlement, payments, upkeep of leases."""
