"""Proving control of names: the Solver contract and its implementations."""
