"""A state directory as a year of runs leaves it, spoilt at will, and every command over it."""

import os
import random
import shutil
import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest

from renewer import certs, clock, x509
from renewer.cli import app
from renewer.ledger.contract import Happening
from renewer.ledger.sqlite import SqliteLedger
from renewer.model.desired import KeyType
from renewer.model.facts import Debris, Failure, Order, OrderState, Record, Standing, Version, Window
from renewer.model.names import Identifier
from renewer.model.told import Ack, Notice
from renewer.store.contract import Material
from renewer.store.disk import DiskStore, version_id
from renewer.store.lock import Lock
from tests.servers.certificates import ServerRoot

WELL = ("www", "mail", "shop")
"""Certificates with nothing to do; `late` has an order under way at an authority that does not answer."""

_TABLES = """
[agent]
state = "{state}"
host = "web-1"
wake = "1h"
preflight = "off"
[report]
metrics = "{root}/renewer.prom"
page = "{root}/page.html"
[authority.nowhere]
directory = "https://127.0.0.1:9/directory"
ca_bundle = "{root}/authority.pem"
agree_terms = true
"""
_CERTIFICATE = """
[certificate.{name}]
names = ["{name}.example.org"]
authority = "nowhere"
challenge = {{ type = "http-01", webroot = "{root}", preflight = "off" }}
"""
COMMANDS = (
    ("plan",),
    ("status",),
    ("status", "--json"),
    ("status", "--check"),
    ("log",),
    ("log", "www", "--last"),
    ("versions", "www"),
    ("versions", "late", "--json"),
    ("account", "show"),
    ("report",),
    ("page",),
)


class Place:
    """The state directory; `restore` makes it what it was when it was made."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.state = root / "state"
        self.kept = root / "kept"
        self.config = root / "config.toml"
        self.now = datetime.now(UTC).replace(microsecond=0)
        ServerRoot().write(root / "authority.pem")
        text = _TABLES.format(state=self.state, root=root)
        text += "".join(_CERTIFICATE.format(name=name, root=root) for name in (*WELL, "late"))
        self.config.write_text(text)
        self._fill()
        self.run()
        self.run()
        shutil.copytree(self.state, self.kept, symlinks=True)

    def _fill(self) -> None:
        with Lock(str(self.state)), closing(SqliteLedger.open(f"{self.state}/ledger.db")) as ledger:
            store = DiskStore(str(self.state))
            for name in (*WELL, "late"):
                for age in (80, 20):
                    self._install(store, name, self.now - timedelta(days=age))
            order = self._order()
            key = x509.new_key(KeyType.ECDSA_P256)
            store.prepare("late", order.pending, key, msgspec.json.encode(order))
            ledger.save(order, *self._records())
            ledger.append(*(self._happening(name) for name in WELL))
        account = self.state / "authorities" / "127.0.0.1_9" / "nowhere"
        account.mkdir(0o700, parents=True)
        for directory in (account, account.parent, account.parent.parent):
            directory.chmod(0o700)
        for file, content in (
            ("key.pem", key),
            ("account.json", b'{"schema":1,"url":"https://127.0.0.1:9/a"}'),
        ):
            (account / file).write_bytes(content)
            (account / file).chmod(0o600)

    def _install(self, store: DiskStore, name: str, at: datetime) -> None:
        pair = ServerRoot().issue(
            self.root / "pairs",
            f"{name}.example.org",
            stem=f"{name}-{at:%Y%m%d}",
            not_before=at,
            valid_for=timedelta(days=90),
        )
        cert = pair.cert.read_bytes()
        leaf = certs.leaf(cert)
        version = Version(id=version_id(at, leaf.serial), made_at=at, leaf=leaf, authority="nowhere")
        store.put(
            name, version, Material(privkey=pair.key.read_bytes(), cert=cert, chain=b""), key_mode=0o600
        )
        store.turn(name, version.id)

    def _order(self) -> Order:
        return Order(
            certificate="late",
            pending=f"{self.now:%Y%m%dT%H%M%SZ}-00000001",
            state=OrderState.OPEN,
            authority="nowhere",
            directory="https://127.0.0.1:9/directory",
            identifiers=(Identifier.parse("late.example.org"),),
            key_type=KeyType.ECDSA_P256,
            profile=None,
            at=self.now - timedelta(hours=2),
            url="https://127.0.0.1:9/order/1",
        )

    def _records(self) -> list[Record]:
        at, later = self.now - timedelta(days=1), self.now + timedelta(days=1)
        return [
            Window(certificate="www", serial="0a", ask_again=later, asked_at=at, start=at, end=later),
            Failure(
                certificate="mail", authority="other", wish="w", count=2, since=at, at=at, text="it broke"
            ),
            Debris(certificate="mail", what="webroot", where="/nonexistent/token", at=at),
            Standing(certificate="www", host="web-1", renewed_at=at, not_after=later),
            Notice(certificate="www", channel="gone", subject="s", mark="m", stage=7, at=at, run="r"),
            Ack(certificate="www", by="somebody", at=at, until=later),
        ]

    def _happening(self, name: str) -> Happening:
        details = {"version": "v", "serial": "0a", "not_after": self.now + timedelta(days=70), "took": 3.5}
        at = self.now - timedelta(days=20)
        return Happening(at=at, host="web-1", run="r", certificate=name, event="renewed", details=details)

    # spoiling ---------------------------------------------------------------------------------------------

    def restore(self) -> None:
        """As it was; copies have other inodes, so that nothing is known by its stamp."""
        shutil.rmtree(self.state)
        shutil.copytree(self.kept, self.state, symlinks=True)

    def files(self) -> list[str]:
        """Every file of it, by its path below the state directory."""
        found = (path for path in self.kept.rglob("*") if path.is_file() and not path.is_symlink())
        plain = (str(path.relative_to(self.kept)) for path in found)
        return sorted(path for path in plain if "/live/" not in path)

    def rows(self) -> list[tuple[str, str]]:
        """Every row of the ledger: its table and what finds it."""
        with closing(sqlite3.connect(f"{self.kept}/ledger.db")) as connection:
            names = "SELECT kind || char(10) || certificate || char(10) || key FROM record"
            return [("record", row[0]) for row in connection.execute(names)] + [
                ("history", str(row[0])) for row in connection.execute("SELECT id FROM history")
            ]

    def spoil_row(self, table: str, row: str, chance: random.Random) -> str:
        """Change the body of one row; returns what was done."""
        where, values = "id = ?", [row]
        if table == "record":
            where, values = "kind = ? AND certificate = ? AND key = ?", row.split("\n")
        with closing(sqlite3.connect(f"{self.state}/ledger.db", isolation_level=None)) as connection:
            (body,) = connection.execute(f"SELECT body FROM {table} WHERE {where}", values).fetchone()  # noqa: S608
            how, bent = spoilt(bytes(body), chance)
            connection.execute(f"UPDATE {table} SET body = ? WHERE {where}", (bent, *values))  # noqa: S608
        return f"{table} {row!r}: {how}: {bent[:300]!r}"

    # commands ---------------------------------------------------------------------------------------------

    def run(self) -> int:
        """What the timer does."""
        return app._run(["--config", str(self.config), "run"])

    def command(self, *words: str) -> int:
        """Any command, in this process."""
        return app._run(["--config", str(self.config), *words])


def spoilt(data: bytes, chance: random.Random) -> tuple[str, bytes]:
    """The octets with something done to them that disks, people and programs do."""
    at = chance.randrange(len(data)) if data else 0
    mask = chance.choice((0x01, 0x02, 0x20, 0x80, 0xE0, 0xFF))
    flipped = data[:at] + bytes((data[at] ^ mask,)) + data[at + 1 :] if data else b"\xe0"
    number = chance.choice((b"1e400", b"9" * 40, b"-1", b"{}", b"[]", b"null", b'"\\ud800"', b"[" * 5000))
    choices = {
        "flip": flipped,
        "another flip": flipped,
        "bad UTF-8": data[:at] + b"\xe0" + data[at:],
        "truncated": data[:at],
        "emptied": b"",
        "NULs": b"\0" * len(data),
        "wrong type": _member(data, chance, number),
        "another wrong type": _member(data, chance, number),
        "year 0": data.replace(b'"20', b'"00'),
        "year 9999": data.replace(b'"20', b'"99').replace(b'"9926', b'"9999'),
        "no zone": data.replace(b'Z"', b'"'),
        "Latin-1": data[:at] + "ä".encode("latin-1") * 3 + data[at:],
        "doubled": data + data,
    }
    how = chance.choice(list(choices))
    return how, choices[how]


def _member(data: bytes, chance: random.Random, given: bytes) -> bytes:
    """JSON with another value in one of its members; a flip of something where it is none."""
    try:
        document: Any = msgspec.json.decode(data)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return data[: len(data) // 2] + given + data[len(data) // 2 :]
    if not isinstance(document, dict) or not document:
        return given
    key = chance.choice(sorted(document))
    return msgspec.json.encode(document | {key: msgspec.Raw(given)})


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Place:
    """The state directory."""
    clock_ahead = clock.now() - datetime.now(UTC)
    assert abs(clock_ahead) < timedelta(minutes=1)
    os.environ.pop("RENEWER_CONFIG", None)
    return Place(tmp_path_factory.mktemp("place"))
