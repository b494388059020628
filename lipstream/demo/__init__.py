"""``lipstream demo``: a race, a failover and a hang-up over real sockets, drawn and checked.

Emulated providers and the proxy run in one process on free loopback ports. `scenes` says what is
played and what is claimed about it, `stage` plays it, `timeline` draws it, `show` prints it all.
Every claim is checked against what the client received, what the records say and what the emulators
saw at their sockets.
"""
