"""HTTP-01 (RFC 8555 §8.3): a token fetched from port 80, out of a webroot or from our own listener."""
