"""What a media call is: SDP, sessions, latching and reception statistics, without I/O."""
