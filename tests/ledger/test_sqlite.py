"""The ledger's file: its modes, its damages, its older and newer selves, its readers, its full disk."""

import os
import resource
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from renewer.errors import StateError
from renewer.ledger import schema, sqlite
from renewer.ledger.files import network_filesystem
from renewer.ledger.sqlite import SqliteLedger, open_ledger
from renewer.model.desired import Agent, Secret, SecretSource
from renewer.model.facts import Hold, RunRecord
from tests.ledger.test_contract import NOW, happening, hold

REPOSITORY = Path(__file__).parents[2]


@pytest.fixture
def path(tmp_path: Path) -> str:
    """Where the ledger lies."""
    return str(tmp_path / "ledger.db")


def beside(path: str) -> set[str]:
    """All files that lie there."""
    return set(os.listdir(os.path.dirname(path)))


def kept(path: str) -> list[str]:
    """The versions held, as somebody sees them who looks."""
    with closing(SqliteLedger.look(path)) as ledger:
        return [one.version for one in ledger.load(Hold)]


def test_durable(path: str) -> None:
    """What was saved is there after closing and opening, in a file that keeps every commit (WAL, FULL)."""
    with closing(SqliteLedger.open(path)) as ledger:
        ledger.save(hold("www", "1"))
        connection = ledger._fresh()
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        assert connection.execute("PRAGMA synchronous").fetchone() == (2,)
    with closing(SqliteLedger.open(path)) as ledger:
        assert [one.version for one in ledger.load(Hold)] == ["1"]
        assert ledger.notes == []
    assert beside(path) == {"ledger.db"}


@pytest.mark.parametrize("umask", [0, 0o777], ids=oct)
def test_modes(path: str, umask: int) -> None:
    """The ledger and the files that SQLite makes beside it are 0600, whatever the umask says."""
    before = os.umask(umask)
    try:
        with closing(SqliteLedger.open(path)) as ledger:
            ledger.save(hold("www", "1"))
            modes = {
                name: os.stat(os.path.join(os.path.dirname(path), name)).st_mode & 0o777
                for name in beside(path)
            }
    finally:
        os.umask(before)
    assert modes == dict.fromkeys(("ledger.db", "ledger.db-wal", "ledger.db-shm"), 0o600)


def test_open_ledger(tmp_path: Path) -> None:
    """The config's ledger is opened in the state directory, or refused in a sentence."""
    agent = Agent(state=str(tmp_path))
    with closing(open_ledger(agent, write=False)) as ledger:
        assert ledger.load(Hold) == []
    assert list(tmp_path.iterdir()) == []
    with closing(open_ledger(agent, write=True)) as ledger:
        ledger.save(hold("www", "1"))
    assert [entry.name for entry in tmp_path.iterdir()] == ["ledger.db"]
    with pytest.raises(StateError, match="SQLite only"):
        open_ledger(Agent(ledger=Secret(source=SecretSource.ENV, argument=("URL",))), write=True)
    with pytest.raises(StateError, match="No such file") as caught:
        open_ledger(Agent(state=str(tmp_path / "missing")), write=True)
    assert "takes the lock" in caught.value.hint


# looking ---------------------------------------------------------------------------------------------------


def test_looking_makes_nothing(path: str) -> None:
    """Who only looks makes no file, neither without a ledger nor beside one, and cannot write."""
    assert kept(path) == []
    assert beside(path) == set()
    with closing(SqliteLedger.open(path)) as ledger:
        ledger.save(hold("www", "1"))
    before = os.stat(path)
    assert kept(path) == ["1"]
    assert beside(path) == {"ledger.db"}
    assert before == os.stat(path) or before.st_mtime_ns == os.stat(path).st_mtime_ns
    with closing(SqliteLedger.look(path)) as ledger, pytest.raises(StateError, match="look only"):
        ledger.save(hold("www", "2"))


def test_looking_while_it_is_written(path: str) -> None:
    """Who looks sees what was committed before, whether a writer comes, works or goes meanwhile."""
    with closing(SqliteLedger.look(path)) as looking:
        assert looking.load(Hold) == []
        for round_ in range(3):
            with closing(SqliteLedger.open(path)) as writing:
                for step in range(3):
                    writing.save(hold("www", f"{round_}{step}"))
                    assert len(looking.load(Hold)) == round_ * 3 + step + 1
            assert len(looking.load(Hold)) == round_ * 3 + 3


def test_looking_at_what_a_killed_run_left(path: str) -> None:
    """What a run committed before it was killed is seen by who looks, and by the next run."""
    code = (
        "import os, sys; from renewer.ledger.sqlite import SqliteLedger\n"
        "from tests.ledger.test_contract import hold\n"
        "SqliteLedger.open(sys.argv[1]).save(hold('www', '1'))\n"
        "os.kill(os.getpid(), 9)"
    )
    done = subprocess.run([sys.executable, "-c", code, path], cwd=REPOSITORY, check=False)
    assert done.returncode == -signal.SIGKILL
    assert "ledger.db-wal" in beside(path)
    assert kept(path) == ["1"]
    with closing(SqliteLedger.open(path)) as ledger:
        assert [one.version for one in ledger.load(Hold)] == ["1"]
    assert beside(path) == {"ledger.db"}


def test_strange_path(tmp_path: Path) -> None:
    """Characters that mean something in a URI are part of the name."""
    strange = tmp_path / "a?b#c%41 d"
    strange.mkdir()
    with closing(SqliteLedger.open(str(strange / "ledger.db"))) as ledger:
        ledger.save(hold("www", "1"))
    assert kept(str(strange / "ledger.db")) == ["1"]


# damage ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "junk", [b"junk" * 2000, b"SQLite format 3\0" + b"\xff" * 8000], ids=["junk", "head"]
)
def test_damaged_file(path: str, junk: bytes) -> None:
    """A file that is no ledger is seen as empty, and moved aside by the next run, which says so."""
    with open(path, "wb") as file:
        file.write(junk)
    with closing(SqliteLedger.look(path)) as looking:
        assert looking.load(Hold) == []
        assert "is damaged" in looking.notes[0]
    assert beside(path) == {"ledger.db"}
    with closing(SqliteLedger.open(path)) as ledger:
        ledger.save(hold("www", "1"))
        (note,) = ledger.notes
    assert kept(path) == ["1"]
    (aside,) = beside(path) - {"ledger.db"}
    assert aside.startswith("ledger.db.damaged-2")
    assert aside in note
    assert junk == (Path(path).parent / aside).read_bytes()


def test_damaged_twice_at_once(path: str) -> None:
    """Two damaged ledgers of one second are both kept."""
    for _ in range(2):
        with open(path, "wb") as file:
            file.write(b"junk" * 2000)
        SqliteLedger.open(path).close()
    assert len(beside(path)) == 3


def test_damage_found_late(path: str) -> None:
    """Damage that is met in the middle of a run costs the records, not the run."""
    with closing(SqliteLedger.open(path)) as ledger:
        ledger.save(*(hold("www", str(number), "x" * 200) for number in range(200)))
    with open(path, "r+b") as file:
        file.seek(4096 * 3)
        file.write(b"\xff" * 4096 * 8)
    with closing(SqliteLedger.open(path)) as ledger:
        assert ledger.load(Hold) == []
        ledger.save(hold("www", "1"))
        assert len(ledger.notes) == 1
        assert len(ledger.load(Hold)) == 1


def test_empty_file(path: str) -> None:
    """An empty file, as a full disk may leave it, is a new ledger."""
    open(path, "wb").close()
    os.chmod(path, 0o600)
    assert kept(path) == []
    with closing(SqliteLedger.open(path)) as ledger:
        ledger.save(hold("www", "1"))
        assert ledger.notes == []


def test_incomprehensible_records(path: str) -> None:
    """Records that cannot be understood any more are left out, told once, and cost none of the others."""
    with closing(SqliteLedger.open(path)) as ledger:
        ledger.save(hold("www", "1"), hold("www", "2"), hold("www", "3"))
        ledger._fresh().execute("UPDATE record SET body = '{\"certificate\": 7}' WHERE key = '1'")
        ledger._fresh().execute("UPDATE record SET body = x'ff00' WHERE key = '2'")
        for _ in range(2):
            assert [one.version for one in ledger.load(Hold)] == ["3"]
        assert len(ledger.notes) == 1


def test_fields_of_a_newer_release(path: str) -> None:
    """A record with fields that are not known yet is read without them."""
    with closing(SqliteLedger.open(path)) as ledger:
        ledger.save(hold("www", "1"))
        ledger._fresh().execute("UPDATE record SET body = json_set(body, '$.colour', 'red')")
        assert ledger.load(Hold) == [hold("www", "1")]


@pytest.mark.parametrize("kind", ["link", "directory", "writable"])
def test_unsafe_file(path: str, tmp_path: Path, kind: str) -> None:
    """Something else than a private file in the ledger's place is refused, and left as it is."""
    if kind == "link":
        (tmp_path / "elsewhere").write_bytes(b"")
        os.symlink(tmp_path / "elsewhere", path)
    elif kind == "directory":
        os.mkdir(path)
    else:
        SqliteLedger.open(path).close()
        os.chmod(path, 0o620)
    for opener in (SqliteLedger.open, SqliteLedger.look):
        with pytest.raises(StateError, match="only we can write") as caught:
            opener(path)
        assert "ls -l" in caught.value.hint


# versions of the file --------------------------------------------------------------------------------------


def _old_file(path: str) -> None:
    """A ledger as the first release made it: no history yet."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        for statement in schema.MIGRATIONS[0]:
            connection.execute(statement)
        body = b'{"certificate":"www","version":"1","at":"2026-11-22T09:33:00Z","by":"b","why":"w"}'
        connection.execute("INSERT INTO record VALUES ('hold', 'www', '1', ?)", (body,))
        connection.execute("PRAGMA user_version = 1")
    os.chmod(path, 0o600)


def test_old_file(path: str) -> None:
    """An older file is brought up to date by who writes; who looks reads it and leaves it as it is."""
    _old_file(path)
    before = Path(path).read_bytes()
    with closing(SqliteLedger.look(path)) as looking:
        assert len(looking.load(Hold)) == 1
        assert looking.history() == []
    assert before == Path(path).read_bytes()
    with closing(SqliteLedger.open(path)) as ledger:
        assert len(ledger.load(Hold)) == 1
        ledger.append(happening("issued"))
    with closing(SqliteLedger.open(path)) as ledger:
        assert schema.version(ledger._fresh()) == len(schema.MIGRATIONS)
        assert len(ledger.history()) == 1


def test_interrupted_migration(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A migration that fails half way leaves the file as it was."""
    _old_file(path)
    monkeypatch.setattr(schema, "MIGRATIONS", (*schema.MIGRATIONS, ("CREATE TABLE half (x)", "nonsense")))
    with pytest.raises(StateError, match="cannot be used"):
        SqliteLedger.open(path)
    monkeypatch.undo()
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA user_version").fetchone() == (1,)
        tables = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
        assert tables == [("record",)]
    with closing(SqliteLedger.open(path)) as ledger:
        assert len(ledger.load(Hold)) == 1


def test_newer_file(path: str) -> None:
    """A file of a newer release is neither read nor moved aside: the hint says to upgrade."""
    with closing(SqliteLedger.open(path)) as ledger:
        ledger._fresh().execute("PRAGMA user_version = 99")
    for opener in (SqliteLedger.open, SqliteLedger.look):
        with pytest.raises(StateError, match="newer renewer") as caught:
            opener(path)
        assert "upgrade" in caught.value.hint
    assert beside(path) == {"ledger.db"}


# where it cannot be written --------------------------------------------------------------------------------


@contextmanager
def _no_file_longer_than(size: int) -> Iterator[None]:
    """What a full disk does to writes, without filling one."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_write_that_fails(path: str) -> None:
    """A write that the disk refuses is told, leaves nothing half done, and the ledger goes on working."""
    with closing(SqliteLedger.open(path)) as ledger:
        ledger.save(hold("www", "1"))
        with _no_file_longer_than(os.stat(f"{path}-wal").st_size):
            with pytest.raises(StateError, match="cannot be used") as caught:
                ledger.save(hold("www", "2"), hold("www", "3", "x" * 10_000))
            assert "df -h" in caught.value.hint
            assert [one.version for one in ledger.load(Hold)] == ["1"]
        ledger.save(hold("www", "4"))
        assert [one.version for one in ledger.load(Hold)] == ["1", "4"]
        assert ledger.notes == []


def test_full_file(path: str) -> None:
    """The same where SQLite itself finds no more room."""
    with closing(SqliteLedger.open(path)) as ledger:
        ledger.save(hold("www", "1"))
        ledger._fresh().execute("PRAGMA max_page_count = 8")
        with pytest.raises(StateError, match="full"):
            ledger.save(hold("www", "2", "x" * 100_000))
        ledger._fresh().execute("PRAGMA max_page_count = 100000")
        ledger.save(hold("www", "3", "x" * 100_000))
        assert [one.version for one in ledger.load(Hold)] == ["1", "3"]


def test_held_for_long(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A ledger that another process does not let go of is told of after a while, and used again later."""
    monkeypatch.setattr(sqlite, "BUSY_SECONDS", 0.05)
    with (
        closing(SqliteLedger.open(path)) as ledger,
        closing(sqlite3.connect(path, isolation_level=None)) as other,
    ):
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StateError, match="locked") as caught:
            ledger.save(hold("www", "1"))
        assert "fuser" in caught.value.hint
        other.execute("ROLLBACK")
        ledger.save(hold("www", "1"))


# file systems ----------------------------------------------------------------------------------------------

_MOUNTS = """sysfs /sys sysfs rw 0 0
/dev/vda / ext4 rw 0 0
server:/a /srv nfs4 rw 0 0
/dev/vdb /srv/local\\040disk ext4 rw 0 0
share /srv/cifs cifs rw 0 0
tmpfs /srv/cifs tmpfs rw 0 0
user@host: /home/me fuse.sshfs rw 0 0
broken
"""


@pytest.mark.parametrize(
    ("where", "expected"),
    [
        ("/var/lib/renewer", None),
        ("/srv", "nfs4"),
        ("/srv/renewer/ledger.db", "nfs4"),
        ("/srvx/renewer", None),
        ("/srv/local disk/renewer", None),
        ("/srv/cifs/renewer", None),
        ("/home/me/state", "fuse.sshfs"),
    ],
)
def test_network_filesystem(tmp_path: Path, where: str, expected: str | None) -> None:
    """The mount that a path really lies on says whether other hosts share it."""
    mounts = tmp_path / "mounts"
    mounts.write_text(_MOUNTS)
    assert network_filesystem(where, str(mounts)) == expected
    assert network_filesystem(where, str(tmp_path / "missing")) is None


def test_on_a_network_filesystem(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """There the ledger keeps no WAL, syncs more, says so, and is read all the same."""
    with closing(SqliteLedger.open(path)) as ledger:
        ledger.save(hold("www", "1"))
    monkeypatch.setattr(sqlite, "network_filesystem", lambda _: "nfs4")
    with closing(SqliteLedger.open(path)) as ledger:
        assert ledger._fresh().execute("PRAGMA journal_mode").fetchone() == ("delete",)
        assert ledger._fresh().execute("PRAGMA synchronous").fetchone() == (3,)
        assert "nfs4" in ledger.notes[0]
        ledger.save(hold("www", "2"))
        assert beside(path) == {"ledger.db"}
        assert kept(path) == ["1", "2"]


# what it costs ---------------------------------------------------------------------------------------------


def test_light_imports(path: str) -> None:
    """A run with nothing to do pays for SQLite and msgspec, and for nothing heavy."""
    code = (
        "import sys; from renewer.ledger.sqlite import SqliteLedger\n"
        "from renewer.store.disk import DiskStore; from renewer.store.lock import Lock\n"
        "from renewer.model.facts import RunRecord\n"
        "SqliteLedger.open(sys.argv[1]).load(RunRecord); DiskStore('/nowhere').shelf('www')\n"
        "heavy = 'cryptography ssl logging dataclasses subprocess requests asyncio urllib.parse'.split()\n"
        "print([name for name in heavy if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, path], cwd=REPOSITORY, capture_output=True, text=True, check=True
    )
    assert done.stdout == "[]\n"


def test_runs(path: str) -> None:
    """The newest run of a host replaces the one before, and has no certificate."""
    with closing(SqliteLedger.open(path)) as ledger:
        for run in ("r1", "r2"):
            ledger.save(RunRecord(certificate="", run=run, host="web-1", at=NOW))
        assert [one.run for one in ledger.load(RunRecord)] == ["r2"]
