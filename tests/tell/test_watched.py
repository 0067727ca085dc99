"""Certificates that are only watched: at real ports and in files, in status and in notices."""

import os
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from renewer import clock
from renewer.config.load import load
from renewer.context import Context
from renewer.model.told import Watched
from renewer.watches import rows, take
from tests.command import renewer
from tests.documents import plain
from tests.servers.certificates import ServerRoot
from tests.servers.tls_peer import Peer, tls
from tests.tell.conftest import Clock, MakeMail
from tests.tell.host import Host
from tests.tell.post_office import PostOffice

DAY, HOUR = timedelta(days=1), timedelta(hours=1)


@pytest.fixture
def healthy(host: Host, time: Clock) -> Host:
    """Its own certificate needs nothing."""
    host.install(not_before=time.moment, not_after=time.moment + 300 * DAY)
    return host


def facts(host: Host) -> dict[str, dict[str, Any]]:
    """What status says of each."""
    config = load(str(host.path))
    with Context(config, write=False) as context:
        found: list[dict[str, Any]] = plain(rows(config.watches, take(context), clock.now()))
    return {row["name"]: row for row in found}


def port(name: str, number: int, roots: Path | None = None) -> str:
    """The table of a watched port of this host."""
    table = (
        f'[watch.{name}]\nendpoint = {{ host = "127.0.0.1", port = {number}, server_name = "localhost" }}\n'
    )
    return table + (f'roots = "{roots}"\n' if roots else "")


def write(path: Path, root: ServerRoot, name: str, **dates: Any) -> Path:
    """A certificate in a file, with its key before it, as many programs want it."""
    pair = root.issue(path.parent, name, stem=path.stem, **dates)
    path.write_bytes(pair.key.read_bytes() + pair.cert.read_bytes())
    return path


def test_a_port_is_looked_at(healthy: Host, root: ServerRoot, time: Clock) -> None:
    """Any port; its chain must lead to the given roots and its name must fit."""
    bundle = root.write(healthy.root / "roots.pem")
    good = root.issue(healthy.root / "a", "localhost", valid_for=200 * DAY)
    other = root.issue(healthy.root / "b", "elsewhere.example.org", valid_for=200 * DAY)
    with Peer(tls(good)) as well, Peer(tls(other)) as wrong:
        healthy.configure(
            port("well", well.port, bundle),
            port("wrong", wrong.port, bundle),
            port("system", well.port),
            port("gone", 9),
        )
        assert {name: row["state"] for name, row in facts(healthy).items()} == dict.fromkeys(
            ("well", "wrong", "system", "gone"), "unknown"
        )
        report = healthy.run()
    seen = facts(healthy)

    assert report.exit == 1
    assert {name: row["state"] for name, row in seen.items()} == {
        "well": "ok",
        "wrong": "untrusted",
        "system": "untrusted",
        "gone": "unreachable",
    }
    assert "the certificate is not for localhost" in seen["wrong"]["why"]
    assert "connection refused" in seen["gone"]["error"]
    assert seen["well"]["names"] == ["localhost"]
    assert seen["well"]["not_after"] - time.moment < 200 * DAY
    assert seen["well"]["issuer"] == "renewer test root"


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "cannot be read: No such file or directory"),
        (b"no certificate", "holds no certificate in PEM"),
        (b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "cannot be read: "),
        (b"-----BEGIN CERTIFICATE-----" * 100_000, "is larger than 1 MiB"),
    ],
)
def test_files_that_hold_nothing(healthy: Host, content: bytes | None, said: str) -> None:
    """Each with its own sentence, and never the end of a run."""
    path = healthy.root / "watched.pem"
    if content is not None:
        path.write_bytes(content)
    healthy.configure(f'[watch.file]\nfile = "{path}"\n')
    assert healthy.run().exit == 1
    row = facts(healthy)["file"]
    assert (row["state"], said in row["error"]) == ("unreachable", True)


def test_a_pipe_in_place_of_a_file_holds_nobody_up(healthy: Host) -> None:
    """What is not a file is not waited for."""
    os.mkfifo(healthy.root / "pipe")
    healthy.configure(f'[watch.file]\nfile = "{healthy.root / "pipe"}"\n')
    healthy.run()
    assert "is not a file" in facts(healthy)["file"]["error"]


def test_every_stage_is_told(
    healthy: Host, time: Clock, mail: MakeMail, office: PostOffice, root: ServerRoot
) -> None:
    """30, 15, 7, 3, 2 and 1 days, expired; then it is replaced: well again."""
    end = time.moment + 33 * DAY
    path = write(healthy.root / "partner.pem", root, "partner", not_before=end - 90 * DAY, valid_for=90 * DAY)
    healthy.configure()
    healthy.run()
    healthy.configure(mail(), f'[watch.partner]\nfile = "{path}"\n')
    for _ in range(34 * 2):
        time.advance(DAY / 2)
        healthy.run()
    write(path, root, "partner", not_before=time.moment, valid_for=90 * DAY)
    time.advance(2 * HOUR)
    healthy.run()

    assert [subject.partition(": ")[2] for subject in office.subjects] == [
        "expires in 30 days",
        "expires in 15 days",
        "expires in 7 days",
        "expires in 3 days",
        "expires in 2 days",
        "expires in 24 hours",
        "EXPIRED 0 seconds ago",
        "EXPIRED 24 hours ago",
        "well again, good for 89 days",
    ]


def test_it_is_looked_at_once_an_hour(healthy: Host, time: Clock, root: ServerRoot) -> None:
    """look_every goes for what is watched, too; another target is looked at at once."""
    path = write(healthy.root / "a.pem", root, "a", valid_for=200 * DAY)
    healthy.configure(f'[watch.a]\nfile = "{path}"\n')
    healthy.run()
    first = facts(healthy)["a"]
    time.advance(HOUR / 2)
    healthy.run()
    assert facts(healthy)["a"]["at"] == first["at"]
    time.advance(HOUR / 2)
    healthy.run()
    assert facts(healthy)["a"]["at"] == time.moment
    healthy.configure(
        f'[watch.a]\nfile = "{write(healthy.root / "b.pem", root, "b", valid_for=200 * DAY)}"\n'
    )
    assert facts(healthy)["a"]["state"] == "unknown"
    healthy.run()
    assert facts(healthy)["a"]["names"] == ["b"]


def test_what_was_seen_last_is_remembered(healthy: Host, time: Clock, root: ServerRoot) -> None:
    """A file that went away still expires when it does."""
    path = write(healthy.root / "a.pem", root, "a", not_before=time.moment - 10 * DAY, valid_for=15 * DAY)
    healthy.configure(f'[watch.a]\nfile = "{path}"\n')
    healthy.run()
    path.unlink()
    time.advance(2 * HOUR)
    healthy.run()
    ledger = healthy.ledger()
    (record,) = ledger.load(Watched)
    ledger.close()
    assert (record.seen, record.failures, record.names[0].value) == (False, 1, "a")
    time.advance(5 * DAY)
    assert (facts(healthy)["a"]["state"], healthy.run().exit) == ("expired", 3)


def test_status_shows_them(host: Host, root: ServerRoot) -> None:
    """In JSON and for people; what is watched and ill is not "all is well"."""
    now = clock.now()
    host.install(not_before=now, not_after=now + 90 * DAY)
    path = write(host.root / "p.pem", root, "p", not_before=now - 85 * DAY, valid_for=90 * DAY)
    host.configure(f'[watch.partner]\nfile = "{path}"\n')
    renewer("--config", host.path, "run")
    done = renewer("--config", host.path, "status", "--json")
    document = done.document
    (row,) = document["watches"]
    words = renewer("--config", host.path, "status").out

    assert (done.code, document["exit"], document["healthy"]) == (3, 3, False)
    assert (row["name"], row["target"], row["state"]) == ("partner", str(path), "expiring")
    assert "all is well" not in words
    assert "partner" in words
