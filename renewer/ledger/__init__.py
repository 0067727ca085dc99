"""What the disk cannot tell: contract, and the implementation in SQLite."""
