"""Wire dialects, one folder each, sans-IO: towards clients and towards upstreams."""
