"""Versions and links: contract, and the implementation on disk."""
