"""What `doctor` looks at in DNS. Changes nothing, believes nobody, ends in time."""
