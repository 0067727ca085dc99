"""The ledger's tables, and how an older file becomes a newer one."""

import sqlite3

from renewer.errors import StateError

# Each entry takes a file from the version that is its index to the next; entries are added, never changed.
MIGRATIONS: tuple[tuple[str, ...], ...] = (
    (
        """CREATE TABLE record (
            kind TEXT NOT NULL,
            certificate TEXT NOT NULL,
            key TEXT NOT NULL,
            body BLOB NOT NULL,
            PRIMARY KEY (kind, certificate, key)
        ) WITHOUT ROWID""",
        "CREATE INDEX record_certificate ON record (certificate)",
    ),
    (
        """CREATE TABLE history (
            id INTEGER PRIMARY KEY,
            at INTEGER NOT NULL,
            certificate TEXT NOT NULL,
            body BLOB NOT NULL
        )""",
        "CREATE INDEX history_at ON history (at, id)",
        "CREATE INDEX history_certificate ON history (certificate, at, id)",
    ),
)


def version(connection: sqlite3.Connection) -> int:
    """How new the file is. Raises StateError if it was made by a newer release than this one."""
    (found,) = connection.execute("PRAGMA user_version").fetchone()
    if found > len(MIGRATIONS):
        raise StateError(
            f"the ledger was made by a newer renewer (version {found}, this one knows {len(MIGRATIONS)})",
            hint="upgrade renewer, or move ledger.db away: that loses history, never a certificate",
            kind="ledger-too-new",
        )
    return int(found)


def migrate(connection: sqlite3.Connection) -> None:
    """Bring the file up to date, each step whole or not at all; done already is done.

    Raises sqlite3.Error, and StateError for a file of a newer release.
    """
    if version(connection) == len(MIGRATIONS):
        return
    connection.execute("BEGIN IMMEDIATE")  # another process may be at it: only inside do we know
    try:
        for number in range(version(connection), len(MIGRATIONS)):
            for statement in MIGRATIONS[number]:
                connection.execute(statement)
            connection.execute(f"PRAGMA user_version = {number + 1}")
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
