"""DNS-01 (RFC 8555 §8.4): TXT records, published by a provider and waited for where they are served."""
