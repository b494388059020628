"""Configuration: YAML, the environment and flags become one strict, typed :class:`schema.Config`.

Not here: what the settings mean for the running proxy (``compose``), and which kinds of backend
there are (``upstream.providers``).
"""
