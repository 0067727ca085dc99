"""Keeps the certificates of web servers alive, and proves it at the port."""

__version__ = "0.1.0"
