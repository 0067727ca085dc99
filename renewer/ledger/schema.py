"""The ledger's tables, and how an older file becomes a newer one."""

import sqlite3
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

from renewer import words
from renewer.decoding import UndecodableError, decode
from renewer.errors import StateError
from renewer.ledger import contract
from renewer.ledger.contract import Happening, R
from renewer.model.facts import Debris, Owed, Record

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


Damaged = list[tuple[object, ...]]
"""What finds each damaged row again."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)

UPSERT = (
    "INSERT INTO record (kind, certificate, key, body) VALUES (?, ?, ?, ?) "
    "ON CONFLICT (kind, certificate, key) DO UPDATE SET body = excluded.body"
)
FORGET, TO_DO = "DELETE FROM record WHERE certificate = ? AND kind NOT IN (?, ?)", (Debris.kind, Owed.kind)
RENAMES = tuple(  # JSON functions read text, and write it; the names are our own
    f"UPDATE OR REPLACE {table} SET certificate = ?1, body = CAST("  # noqa: S608
    "json_set(CAST(body AS TEXT), '$.certificate', ?1) AS BLOB) WHERE certificate = ?2"
    for table in ("record", "history")
)
# A damaged row is kept under a kind that nobody asks for; of one place, the last
ASIDE = """UPDATE OR REPLACE record SET kind = 'damaged ' || kind
    WHERE kind = ? AND CAST(certificate AS BLOB) = ? AND CAST(key AS BLOB) = ?"""
LINE_ASIDE = """INSERT OR REPLACE INTO record (kind, certificate, key, body)
    SELECT 'damaged history', '', CAST(id AS TEXT), body FROM history WHERE id = ?"""
LINE_GONE = "DELETE FROM history WHERE id = ?"
TRIM = (  # all that is behind the first line too many
    "DELETE FROM history WHERE certificate = ? AND (at, id) <= "
    "(SELECT at, id FROM history WHERE certificate = ? ORDER BY at DESC, id DESC LIMIT 1 OFFSET ?)"
)


def of(records: Iterable[Record]) -> list[tuple[str, str, str, bytes]]:
    """Records as rows."""
    return [(one.kind, one.certificate, words.whole(one.key), contract.encoded(one)) for one in records]


def number(at: datetime) -> int:
    """A moment as microseconds since 1970, so that SQL can compare it."""
    return (at - _EPOCH) // _MICROSECOND


def understood(kind: type[R], rows: Iterable[tuple[bytes, bytes, object]]) -> tuple[list[R], Damaged]:
    """Rows of (certificate, key, body) as records; one that says it is about something else is damaged."""
    found: list[R] = []
    damaged: Damaged = []
    for name, key, body in rows:
        try:
            one: R | None = decode(body, kind)
        except UndecodableError:
            one = None
        if one and one.certificate.encode() == name and words.whole(one.key).encode() == key:
            found.append(one)
        else:
            damaged.append((kind.kind, name, key))
    return found, damaged


def lines(rows: Iterable[tuple[int, int, bytes, object]]) -> tuple[list[Happening], Damaged]:
    """Rows of (id, at, certificate, body) as lines of history."""
    found: list[Happening] = []
    damaged: Damaged = []
    for place, at, name, body in rows:
        try:
            one: Happening | None = decode(body, Happening)
        except UndecodableError:
            one = None
        if one and (number(one.at), one.certificate.encode()) == (at, name):
            found.append(one)
        else:
            damaged.append((place,))
    return found, damaged
