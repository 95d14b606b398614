"""The four transaction state machines of RFC 3261 section 17, as updated by RFC 6026.

All share one surface: inputs take ``now`` in seconds on a monotonic clock and return the
actions to perform, in order; ``deadline`` says when ``on_timer`` is next due (``NEVER`` when
no timer runs, and calling early does nothing); the owner drops a machine whose ``state`` is
``TERMINATED``. No machine runs more than one retransmission and one final timer at a time, so
two floats hold them and a comment names their RFC letters.
"""
