"""A ledger with bad bytes: what is damaged is set aside and told, all the rest goes on."""

import os
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from renewer.errors import StateError
from renewer.ledger.sqlite import SqliteLedger
from renewer.model.facts import Hold
from tests.ledger.test_contract import NOW, happening, hold


@pytest.fixture
def path(tmp_path: Path) -> str:
    """A ledger with records of three certificates and three lines of history."""
    made = str(tmp_path / "ledger.db")
    with closing(SqliteLedger.open(made)) as ledger:
        ledger.save(hold("a", "1", "why"), hold("b", "1", "why"), hold("c", "1", "why"))
        ledger.append(happening("renewed", "a"), happening("renewed", "b"), happening("renewed", "c"))
    return made


def spoil(path: str, statement: str, *values: object) -> None:
    """Change the file as nobody should."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA writable_schema = ON")
        assert connection.execute(statement, values).rowcount or statement.startswith("PRAGMA")


def names(ledger: SqliteLedger) -> list[str]:
    """Whose holds are known."""
    return [one.certificate for one in ledger.load(Hold)]


BODIES: dict[str, object] = {
    "not UTF-8": b'{"certificate":"b","version":"1","at":"2026-11-22T09:33:00Z","by":"\xe0","why":""}',
    "another's": b'{"certificate":"a","version":"9","at":"2026-11-22T09:33:00Z","by":"","why":""}',
    "nested": b"[" * 50_000,
    "empty": b"",
    "NULs": b"\0" * 300,
    "number": 7,
    "text": "no JSON",
    "no zone": b'{"certificate":"b","version":"1","at":"2026-11-22T09:33:00","by":"b","why":""}',
}


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
def test_one_record(path: str, body: object) -> None:
    """Its certificate lost a record, the others none; who looks tells, who writes sets it aside for good."""
    spoil(path, "UPDATE record SET body = ? WHERE certificate = 'b'", body)
    with closing(SqliteLedger.look(path)) as ledger:
        assert names(ledger) == ["a", "c"]
        assert "a record of kind 'hold' cannot be understood" in ledger.notes[0]
    with closing(SqliteLedger.open(path)) as ledger:
        assert names(ledger) == ["a", "c"]
        assert len(ledger.notes) == 1
    with closing(SqliteLedger.look(path)) as ledger:
        assert names(ledger) == ["a", "c"]
        assert ledger.notes == []  # it is not red for ever
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("SELECT kind FROM record WHERE certificate = 'b'").fetchall() == [
            ("damaged hold",)
        ]


@pytest.mark.parametrize("column", ["certificate", "key"])
def test_names_of_a_row(path: str, column: str) -> None:
    """A name that is no Unicode, or another than the body has, is damage like any other."""
    spoil(path, f"UPDATE record SET {column} = CAST(x'e0ff' AS TEXT) WHERE certificate = 'b'")  # noqa: S608
    with closing(SqliteLedger.open(path)) as ledger:
        assert names(ledger) == ["a", "c"]
        ledger.save(hold("b", "2"))
        assert names(ledger) == ["a", "b", "c"]
    with closing(SqliteLedger.look(path)) as ledger:
        assert (names(ledger), ledger.notes) == (["a", "b", "c"], [])


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
def test_one_line_of_history(path: str, body: object) -> None:
    """It is set aside, told once, and the others are read."""
    spoil(path, "UPDATE history SET body = ? WHERE certificate = 'b'", body)
    with closing(SqliteLedger.open(path)) as ledger:
        assert [one.certificate for one in ledger.history()] == ["a", "c"]
        assert "a line of history cannot be understood" in ledger.notes[0]
    with closing(SqliteLedger.look(path)) as ledger:
        assert [one.certificate for one in ledger.history(since=NOW)] == ["a", "c"]
        assert ledger.notes == []


SPOILT: dict[str, tuple[str, ...]] = {
    "version back": ("PRAGMA user_version = 0",),
    "version one": ("PRAGMA user_version = 1",),
    "version far ahead": ("PRAGMA user_version = 67108866",),
    "version below none": ("PRAGMA user_version = -2",),
    "table renamed": ("UPDATE sqlite_master SET name = 'rekord', tbl_name = 'rekord' WHERE name = 'record'",),
    "column renamed": ("UPDATE sqlite_master SET sql = replace(sql, 'body BLOB', 'bo%y BLOB')",),
    "no SQL": ("UPDATE sqlite_master SET sql = 'CREATE TABBE' WHERE name = 'history'",),
    "another column": ("UPDATE sqlite_master SET sql = replace(sql, 'kind TEXT', 'kint TEXT')",),
}


@pytest.mark.parametrize("statements", SPOILT.values(), ids=SPOILT)
def test_definitions(path: str, statements: tuple[str, ...]) -> None:
    """A ledger whose tables are not those that we make is moved aside, and a new one begun."""
    for one in statements:
        spoil(path, one)
    _is_replaced(path)


def _is_replaced(path: str) -> None:
    """Who looks sees none and tells; who writes keeps it aside and goes on."""
    with closing(SqliteLedger.look(path)) as ledger:
        assert (names(ledger), ledger.history()) == ([], [])
        assert any("damaged" in note for note in ledger.notes)
    with closing(SqliteLedger.open(path)) as ledger:
        assert (names(ledger), ledger.history()) == ([], [])
        ledger.save(hold("new", "1"))
        ledger.append(happening("renewed", "new"))
        assert any("is kept as" in note for note in ledger.notes)
    with closing(SqliteLedger.look(path)) as ledger:
        assert (names(ledger), ledger.notes) == (["new"], [])
    assert any(".damaged-" in name for name in os.listdir(os.path.dirname(path)))


@pytest.mark.parametrize("offset", range(100))
def test_header(path: str, offset: int) -> None:
    """Each byte of the file's header, turned over: read as before, or moved aside; never in the way."""
    octets = bytearray(Path(path).read_bytes())
    for mask in (0x01, 0x80, 0xFF):
        flipped = bytes(octets[:offset]) + bytes((octets[offset] ^ mask,)) + bytes(octets[offset + 1 :])
        Path(path).write_bytes(flipped)
        try:
            with closing(SqliteLedger.look(path)) as ledger:
                ledger.load(Hold)
            with closing(SqliteLedger.open(path)) as ledger:
                found = names(ledger)
                ledger.save(hold("new", "1"))
                assert names(ledger) in (["new"], sorted({*found, "new"}))
        except StateError as error:
            told = (error.kind, bool(error.hint))
            assert told == ("ledger-too-new", True)


def _directory(path: str) -> None:
    os.mkdir(path)


PLACES: dict[str, Callable[[str], None]] = {"directory": _directory, "FIFO": os.mkfifo}


@pytest.mark.parametrize("make", PLACES.values(), ids=PLACES)
@pytest.mark.parametrize("suffix", ["", "-wal", "-journal"])
def test_something_else_in_its_place(path: str, suffix: str, make: Callable[[str], None]) -> None:
    """It is refused at once, with the place and how to look at it; nobody waits for a reader of a pipe."""
    if not suffix:
        os.unlink(path)
    make(path + suffix)
    with pytest.raises(StateError) as caught:
        SqliteLedger.open(path)
    assert path + suffix in caught.value.text
    assert "ls -l" in caught.value.hint


def test_wal_with_bad_bytes(path: str) -> None:
    """What a killed run left in the WAL is taken up as far as it is whole."""
    with closing(SqliteLedger.open(path)) as ledger:
        ledger.save(hold("d", "1"))
        wal = Path(path + "-wal").read_bytes()
    for place in range(0, len(wal), 97):
        Path(path + "-wal").write_bytes(wal[:place] + bytes((wal[place] ^ 0xFF,)) + wal[place + 1 :])
        with closing(SqliteLedger.open(path)) as ledger:
            assert set(names(ledger)) >= {"a", "b", "c"}
