"""Moving in from other clients."""
