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

_NEVER = 1000  # versions that no release will reach: a flipped bit, not a newer one


def version(connection: sqlite3.Connection) -> int:
    """How new the file is. Raises StateError if it was made by a newer release than this one."""
    (found,) = connection.execute("PRAGMA user_version").fetchone()
    if not 0 <= found <= _NEVER:
        damage = sqlite3.DatabaseError(f"version {found} there never was")
        damage.sqlite_errorcode = sqlite3.SQLITE_CORRUPT
        raise damage
    if found > len(MIGRATIONS):
        raise StateError(
            f"the ledger was made by a newer renewer (version {found}, this one knows {len(MIGRATIONS)})",
            hint="upgrade renewer, or move ledger.db away: that loses history, never a certificate",
            kind="ledger-too-new",
        )
    return int(found)


def is_ours(connection: sqlite3.Connection) -> bool:
    """Whether tables and indexes are those that its version has, and whole. Raises sqlite3.Error."""
    (found,) = connection.execute("PRAGMA user_version").fetchone()
    if not 0 <= found <= len(MIGRATIONS):
        return 0 <= int(found) <= _NEVER
    fresh = sqlite3.connect(":memory:")
    try:
        for statement in (one for step in MIGRATIONS[:found] for one in step):
            fresh.execute(statement)
        if _definitions(fresh) != _definitions(connection):
            return False
    finally:
        fresh.close()
    return [row[0] for row in connection.execute("PRAGMA integrity_check(1)")] == ["ok"]


def _definitions(connection: sqlite3.Connection) -> list[tuple[object, ...]]:
    query = "SELECT type, name, tbl_name, sql FROM sqlite_master WHERE name NOT LIKE 'sqlite_%' ORDER BY name"
    return connection.execute(query).fetchall()


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
