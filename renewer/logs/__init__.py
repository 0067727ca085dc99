"""The renewal log: JSON Lines, an event a line, written as it happens, safe on disk when the run ends."""

from renewer.logs.journal import Journal, Listener

__all__ = ["Journal", "Listener"]
