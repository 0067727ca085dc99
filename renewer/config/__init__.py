"""From a TOML file to `model.desired` values, or all its faults at once."""
