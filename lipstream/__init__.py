"""lipstream: a streaming-first, low-latency proxy for language models.

It asks one backend, or several at once, and gives the client one whole answer. The way in for a
reader is `docs/design.md`; for a caller, the command line (`lipstream serve`). Importing this
package alone imports nothing else.
"""

__version__ = "0.1.0"
