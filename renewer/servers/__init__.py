"""What the servers on this host read: configuration in, uses of certificates out; and who listens."""
