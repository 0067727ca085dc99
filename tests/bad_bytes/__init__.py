"""Bad bytes in a real state directory."""
