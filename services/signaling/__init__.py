"""Signaling: both SIP legs of every call, and the machine that joins them."""
