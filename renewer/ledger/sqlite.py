"""The ledger in one SQLite file, `<state>/ledger.db`; `docs/state.md` is its spec.

Records are JSON in one table, so that a new kind needs no migration and a field that a newer release
added harms no older one.
"""

import contextlib
import os
import sqlite3
import threading
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from enum import Enum
from typing import Self, TypeVar, assert_never

from renewer import words
from renewer.errors import StateError
from renewer.ledger import contract, files, reserve, schema
from renewer.ledger.contract import KEPT, KEPT_LINES, UNWRITABLE, Happening, Ledger, R
from renewer.ledger.files import network_filesystem
from renewer.model.desired import Agent
from renewer.model.facts import Record

T = TypeVar("T")

BUSY_SECONDS = 10.0  # a reader's or another writer's transaction takes milliseconds
_DAMAGE = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
_ODD = (  # what damage looks like as well, where a header or the tables' definitions were hit
    *(sqlite3.SQLITE_ERROR, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_CONSTRAINT),
    *(sqlite3.SQLITE_MISMATCH, sqlite3.SQLITE_FORMAT, sqlite3.SQLITE_INTERNAL, sqlite3.SQLITE_TOOBIG),
)


class _Way(Enum):
    """How a ledger is opened."""

    WRITE = "write"
    LOOK = "look"
    MEMORY = "memory"


class SqliteLedger:
    """A ledger in a file, or in memory. `notes` are sentences about it that the run should tell."""

    def __init__(self, path: str, way: _Way) -> None:
        self.path = path
        self.notes: list[str] = []
        self._way = way
        self._write = way is not _Way.LOOK
        self._guard = threading.Lock()
        self._seen: files.Stamp | None = None
        self._connection: sqlite3.Connection | None = None
        self._incomprehensible: set[str] = set()
        self.forgets: StateError | None = None
        self._attempt(lambda _: None)

    @classmethod
    def open(cls, path: str) -> Self:
        """The ledger to read and write, made if missing; a damaged one is moved aside, and a new one begun.

        Raises StateError if the state directory is missing or the file cannot be used.
        """
        return cls(path, _Way.WRITE)

    @classmethod
    def look(cls, path: str) -> Self:
        """The ledger to read only. A missing one is empty; nothing is made, whatever is found."""
        return cls(path, _Way.LOOK)

    @classmethod
    def unwritable(cls, path: str, error: StateError) -> Self:
        """What can be read of a ledger that cannot be written: `forgets` has why, as each change does."""
        made = cls(path, _Way.MEMORY)
        made.go_on_in_memory(error)
        made._write = False
        return made

    @classmethod
    def in_memory(cls) -> Self:
        """A ledger that goes with the process."""
        return cls(":memory:", _Way.MEMORY)

    def load(self, kind: type[R], certificate: str | None = None) -> list[R]:
        """All records of a kind, or those of one certificate, ordered by certificate and key.

        Those that cannot be understood any more are left out, and `notes` says so.
        """
        query = "SELECT CAST(certificate AS BLOB), CAST(key AS BLOB), body FROM record WHERE kind = ?"
        values = [kind.kind]
        if certificate is not None:
            query, values = f"{query} AND certificate = ?", [*values, certificate]
        rows = self._attempt(
            lambda connection: connection.execute(f"{query} ORDER BY certificate, key", values).fetchall()
        )
        found, damaged = schema.understood(kind, rows)
        if damaged:
            self._put_aside(f"record of kind '{kind.kind}'", (schema.ASIDE,), damaged)
        return found

    def save(self, *records: Record) -> None:
        """Write records in one transaction; each replaces the one with its kind, certificate and key."""
        rows = schema.of(records)
        self._change(lambda connection: connection.executemany(schema.UPSERT, rows), rows)

    def drop(self, *records: Record) -> None:
        """Remove records in one transaction; those that are not there are no error."""
        rows = [(one.kind, one.certificate, words.whole(one.key)) for one in records]
        query = "DELETE FROM record WHERE kind = ? AND certificate = ? AND key = ?"
        self._change(lambda connection: connection.executemany(query, rows), rows)

    def forget(self, certificate: str) -> None:
        """Remove what is known of a certificate; its history stays, and so does what is still to be done."""
        self._change(
            lambda connection: connection.execute(schema.FORGET, (certificate, *schema.TO_DO)), (certificate,)
        )

    def rename(self, certificate: str, new: str) -> None:
        """Let the records and the history of a certificate be those of another name, in one transaction."""
        names = (new, certificate)
        self._change(lambda connection: [connection.execute(one, names) for one in schema.RENAMES], names)

    def append(self, *happenings: Happening, saving: Sequence[Record] = ()) -> None:
        """Add lines to the history and write records with them, in one transaction; old lines go."""
        lines = [(schema.number(one.at), one.certificate, contract.encoded(one)) for one in happenings]
        rows = schema.of(saving)

        def action(connection: sqlite3.Connection) -> None:
            connection.executemany(schema.UPSERT, rows)
            connection.executemany("INSERT INTO history (at, certificate, body) VALUES (?, ?, ?)", lines)
            if lines:
                oldest = schema.number(max(one.at for one in happenings) - KEPT)
                connection.execute("DELETE FROM history WHERE at < ?", (oldest,))
                certificates = sorted({one.certificate for one in happenings})
                connection.executemany(schema.TRIM, [(name, name, KEPT_LINES) for name in certificates])

        self._change(action, [*lines, *rows])

    def history(self, certificate: str | None = None, since: datetime | None = None) -> list[Happening]:
        """The history, oldest first; `since` (aware) is included."""
        query = "SELECT id, at, CAST(certificate AS BLOB), body FROM history WHERE at >= ?"
        values: list[object] = [schema.number(since) if since else 0]
        if certificate is not None:
            query += " AND certificate = ?"
            values.append(certificate)
        query += " ORDER BY at, id"
        rows = self._attempt(lambda connection: connection.execute(query, values).fetchall())
        found, damaged = schema.lines(rows)
        if damaged:
            self._put_aside("line of history", (schema.LINE_ASIDE, schema.LINE_GONE), damaged)
        return found

    def close(self) -> None:
        """Let go of it; closing twice is no error."""
        with self._guard:
            self._let_go()

    def go_on_in_memory(self, error: StateError) -> None:
        """What is known stays known in this process; what is saved from now on goes with it."""
        with self._guard:
            if self._way is not _Way.MEMORY:
                with contextlib.suppress(sqlite3.Error):
                    self._let_go()
            if self._way is not _Way.MEMORY or not self.forgets:
                self._connection, _ = copied(self.path)
            self._seen, self._way, self.forgets, self._write = None, _Way.MEMORY, error, True
            self._note(f"nothing of this can be remembered: {error.text}; {error.hint}")

    # reading ---------------------------------------------------------------------------------------------

    def _put_aside(self, what: str, moves: Sequence[str], rows: Sequence[tuple[object, ...]]) -> None:
        """Tell of damaged rows once, and let who may write keep them where nobody trips over them again."""
        if what not in self._incomprehensible:
            self._incomprehensible.add(what)
            self._note(f"{self.path}: a {what} cannot be understood any more and is left out")
        if self._write:
            with contextlib.suppress(StateError):  # no room: the next run does it
                self._change(lambda connection: [connection.executemany(one, rows) for one in moves], rows)

    # writing and keeping it alive ------------------------------------------------------------------------

    def _change(self, action: Callable[[sqlite3.Connection], object], rows: Iterable[object]) -> None:
        if not self._write:
            raise self.forgets or StateError(f"{self.path} was opened to look only", kind="ledger")
        if not rows:
            return

        def transaction(connection: sqlite3.Connection) -> None:
            connection.execute("BEGIN IMMEDIATE")
            try:
                action(connection)
                connection.execute("COMMIT")
            except BaseException:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                raise

        self._attempt(transaction)

    def _attempt(self, action: Callable[[sqlite3.Connection], T]) -> T:
        """Do something with the connection. What is damaged is replaced, what was stale read again."""
        with self._guard:
            for last in (False, False, True):
                try:
                    result = action(self._fresh())
                except sqlite3.Error as error:
                    self._judge(error, last=last)
                    continue
                if self._seen is None or self._seen == files.stamp(self.path):
                    return result
            return result

    def _fresh(self) -> sqlite3.Connection:
        if self._seen is not None and self._seen != files.stamp(self.path):
            self._let_go()
        if self._connection is None:
            self._connection = self._connect()
        return self._connection

    def _judge(self, error: sqlite3.Error, *, last: bool) -> None:
        """Prepare another attempt, or raise StateError if there is none."""
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF
        changed = self._seen is not None and self._seen != files.stamp(self.path)
        if not last and not changed and (code in _DAMAGE or (code in _ODD and self._is_damaged())):
            self._let_go()
            self._replace()
        elif self._write and not last and code in files.NO_ROOM and self._give_up_reserve():
            self._let_go()
        elif self._way is _Way.LOOK and not last and code in files.NO_ROOM:
            self._let_go()  # without room beside it a WAL cannot be read
            self._connection, _ = copied(self.path)
            self._seen, self._way = None, _Way.MEMORY
            self._note(f"{files.refused(self.path, error).text}: what stands in it may be older than it is")
        elif not changed or last:
            raise files.refused(self.path, error) from error

    def _give_up_reserve(self) -> bool:
        given = reserve.give_up(os.path.dirname(self.path))
        if given:
            self._note(f"the reserve beside {self.path} was given up: make room on that file system (df -h)")
        return given

    def _is_damaged(self) -> bool:
        """Whether the file is not what we made, though SQLite blames something else."""
        if not files.header_is_sound(self.path):
            return True
        try:
            return not is_ours(self.path)
        except sqlite3.Error as error:
            return (getattr(error, "sqlite_errorcode", 0) & 0xFF) in (*_DAMAGE, sqlite3.SQLITE_ERROR)

    def _replace(self) -> None:
        """A damaged file is moved aside by who may write, and seen as empty by who only looks."""
        if self._write:
            self.notes.append(files.set_aside(self.path))
        else:
            self.notes.append(f"{self.path} is damaged; the next run moves it aside and begins a new one")
            self._way = _Way.MEMORY

    def _let_go(self) -> None:
        connection, self._connection, self._seen = self._connection, None, None
        if connection is not None:
            connection.close()

    # three ways to connect -------------------------------------------------------------------------------

    def _connect(self) -> sqlite3.Connection:
        match self._way:
            case _Way.WRITE:
                return self._open_to_write()
            case _Way.LOOK:
                return self._open_to_look()
            case _Way.MEMORY:
                return in_memory()
            case _:
                assert_never(self._way)

    def _open_to_write(self) -> sqlite3.Connection:
        files.prepare(self.path)
        network = network_filesystem(self.path)
        connection = to(self.path, BUSY_SECONDS)
        try:
            if network is None:
                connection.execute("PRAGMA journal_mode = WAL").fetchone()
                connection.execute("PRAGMA synchronous = FULL")
            else:
                connection.execute("PRAGMA journal_mode = DELETE").fetchone()
                connection.execute("PRAGMA synchronous = EXTRA")
                self._note(f"{self.path} lies on {network}: slower, and safe only with one agent at a time")
            schema.migrate(connection)
        except BaseException:
            connection.close()
            raise
        return connection

    def _open_to_look(self) -> sqlite3.Connection:
        """Without a writer at work the file is read as it is, for the usual way would make files beside it.

        Then `_seen` is its stamp, and what was read counts only if the stamp is still the same after it.
        """
        seen = files.stamp(self.path)
        if not seen.inode:
            self._seen = seen
            return in_memory()
        files.demand_safe(self.path)
        connection = to(files.uri(self.path, immutable=seen.quiet), BUSY_SECONDS)
        self._seen = seen if seen.quiet else None
        try:
            if schema.version(connection) < len(schema.MIGRATIONS):
                return upgraded(connection)
        except BaseException:
            connection.close()
            raise
        return connection

    def _note(self, text: str) -> None:
        if text not in self.notes:
            self.notes.append(text)


def open_ledger(agent: Agent, *, write: bool) -> Ledger:
    """The agent's ledger, for a run (`write`) or only to look; looking makes nothing.

    One that cannot be written is read, `forgets` says why; `go_on_in_memory` is for who must go on without.
    Raises StateError if it cannot be used. To write, the state directory must be there: take the lock first.
    """
    if agent.ledger != "sqlite":
        raise StateError(
            "this version keeps its ledger in SQLite only",
            hint='set [agent] ledger = "sqlite", or leave it out',
            kind="ledger",
        )
    # moves: gone  # 9 ms

    path = f"{agent.state}/ledger.db"
    if not write:
        return SqliteLedger.look(path)
    try:
        return SqliteLedger.open(path)
    except StateError as error:
        if error.kind != UNWRITABLE:
            raise
        return SqliteLedger.unwritable(path, error)  # what cannot be remembered is still told


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
