"""A soak: months of an agent's life in minutes, faults at random, and an oracle at ports and files."""
