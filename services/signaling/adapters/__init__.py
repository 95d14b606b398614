"""The outside of signaling: sockets, links to other services, spool, configuration."""
