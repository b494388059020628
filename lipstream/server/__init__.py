"""The edge towards clients: HTTP, the exchange handler, errors in the client's dialect."""
