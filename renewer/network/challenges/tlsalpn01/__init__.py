"""TLS-ALPN-01 (RFC 8737): a handshake on port 443 that shows a certificate made for the challenge."""
