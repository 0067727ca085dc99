"""Connections to SQLite: to a file, to memory, and to a copy in memory of what a file still tells."""

import sqlite3

from renewer.errors import StateError
from renewer.ledger import files, schema

_SOON = 1.0  # seconds


def to(target: str, timeout: float = _SOON) -> sqlite3.Connection:
    """A connection to a path, a URI, or ":memory:"; `timeout` (seconds) is for what another process holds."""
    connection = sqlite3.connect(
        target,
        timeout=timeout,
        isolation_level=None,
        check_same_thread=False,
        uri=target.startswith("file:"),
    )
    connection.text_factory = _text
    return connection


def is_ours(path: str) -> bool:
    """Whether the file has the tables that it should have, and is whole. Raises sqlite3.Error."""
    connection = to(files.uri(path, immutable=files.stamp(path).quiet))
    try:
        return schema.is_ours(connection)
    finally:
        connection.close()


def in_memory() -> sqlite3.Connection:
    """An empty ledger that goes with the process."""
    connection = to(":memory:")
    schema.migrate(connection)
    return connection


def upgraded(connection: sqlite3.Connection) -> sqlite3.Connection:
    """A copy in memory, brought up to date; the original is closed."""
    copy = to(":memory:")
    try:
        connection.backup(copy)
    finally:
        connection.close()
    schema.migrate(copy)
    return copy


def copied(path: str) -> tuple[sqlite3.Connection, bool]:
    """In memory what can be read of a file that cannot be used as usual, and whether that is anything.

    Without room beside it a WAL cannot be read: then what stood in the file before it is better than nothing.
    """
    for immutable in (False, True):
        try:
            if not files.stamp(path).inode:
                break
            return upgraded(to(files.uri(path, immutable=immutable))), True
        except (sqlite3.Error, StateError):
            continue
    return in_memory(), False


def _text(data: bytes) -> str:
    """Text of a row, whatever it is: what it means is judged where it is read."""
    return data.decode("utf-8", "replace")
