"""Moving in: what other clients left on this host is read, imported and taken over, without an order."""
