"""Where a call may go: selectors, aliases, plans and verdicts.

Everything here is pure: no clock, no dice, no sockets. Time and chance are arguments, what is known
about backends is an argument, and what an attempt did comes in as an
:class:`~lipstream.errors.UpstreamFault`. Opening attempts, racing them and remembering what failed
is the executor's part.
"""
