"""Everything that is asked of DNS: knows nothing of this host but its resolvers, and ends in time."""
