"""Attacks by another user on what root's agent writes into that user's directories."""
