"""How one peer is spoken to: the ``sip`` object of a trunk, defined once.

api checks and documents it, signaling obeys it. One module per group of options; a group is
a frozen struct whose constraints say what api refuses, with a default for every field, so
that a trunk without options behaves as RFC 3261 and common sense want. routing never sees it:
whom to call is its business, how to speak to him is not.
"""
