"""Bytes to frames and back, for every protocol that uses them. No I/O."""
