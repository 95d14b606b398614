"""gRPC and the bus, in front of the use cases of rating."""
