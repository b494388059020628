"""The outside: HTTP to providers, and what is said over it. Nothing here knows routes or races."""
