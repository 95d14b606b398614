"""Media: rewrites SDP, allocates RTP ports, relays and measures audio."""
