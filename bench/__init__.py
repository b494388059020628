"""Measurements: what racing gains and costs, what failover adds, what the proxy itself costs.

Real sockets throughout: emulators and the proxy each in a process of their own, the client in this
one. `race`, `failover` and `cost` are the programs; `client` sends, `rig` runs the processes,
`provider` is the emulator with repeatable latencies, `work` is what `cost` measures, `report`
counts and prints. See README.md.
"""
