"""What is said to SQLite, values as rows, and rows as values: which of them are damaged is told apart."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

from renewer import words
from renewer.decoding import UndecodableError, decode
from renewer.ledger import bodies
from renewer.ledger.contract import Happening, R
from renewer.model.facts import Debris, Owed, Record

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
    return [(one.kind, one.certificate, words.whole(one.key), bodies.encoded(one)) for one in records]


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
