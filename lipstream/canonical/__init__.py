"""Pure data that every other part speaks of: calls, events, usage, limits. No I/O, no policy."""
