"""Sans-I/O SIP stack (RFC 3261): messages, transactions, dialogs. Imports the stdlib only.

Read :mod:`.message` for parsing, :mod:`.build` for writing, :mod:`.layer` for what the driver
and the call machine talk to, and :mod:`.dialog` for in-dialog requests.

Text is ``str`` holding one character per byte (latin-1), so that any message survives a
round trip unchanged; bodies and whole messages are ``bytes``. Use
:func:`.headers.readable` before showing such text to a person.
"""
