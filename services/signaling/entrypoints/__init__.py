"""Who calls signaling: SIP peers and, over gRPC, operators."""
