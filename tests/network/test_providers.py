"""Providers of others: code that nobody here wrote, in a worker without rights, with its secrets alone."""

import json
import os
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from renewer import network, workers
from renewer.errors import GiveUp, RetryLater
from renewer.issue.providers import make
from renewer.model.desired import Dns01, Secret, SecretSource
from renewer.model.dns_provider import TxtRecord
from tests.network.processes import below, ended, name_of

pytestmark = pytest.mark.real
THEIRS = """
import json, os, socket, subprocess
from renewer.model.dns_options import Option, Rules, Sort

def tried(act):
    try:
        act()
    except Exception as error:
        return type(error).__name__
    return "done"

class Theirs:
    rules = Rules(
        options=(Option(name="port"), Option(name="file"), Option(name="word", sort=Sort.REFERENCE))
    )
    needs_zone = False

    def __init__(self, challenge):
        self._options = dict(challenge.options)
        self._calls = 0

    def add(self, zone, records):
        self._calls += 1
        told = {
            "calls": self._calls,
            "word": self._options["word"],
            "values": [record.value for record in records],
            "environment": sorted(os.environ),
            "user": os.getuid(),
            "read": tried(lambda: open(self._options["file"]).read()),
            "start": tried(lambda: subprocess.run(["/bin/true"])),
        }
        with socket.create_connection(("127.0.0.1", int(self._options["port"])), timeout=30) as connection:
            connection.sendall(json.dumps(told).encode())

    remove = add

    def close(self):
        pass
"""


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A directory of packages that only we may enter; workers are processes of their own."""
    found = tmp_path / "packages"
    (found / "theirs-1.dist-info").mkdir(parents=True)
    (found / "theirs-1.dist-info" / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: theirs\nVersion: 1\n"
    )
    (found / "theirs-1.dist-info" / "entry_points.txt").write_text(
        "[renewer.dns_providers]\ntheirs = theirs_of_others:Theirs\n"
    )
    (found / "theirs_of_others.py").write_text(THEIRS)
    tmp_path.chmod(0o700)
    monkeypatch.syspath_prepend(str(found))
    ours = workers.Workers()
    monkeypatch.setattr(network, "opener", ours.open)
    yield found
    ours.close()


@contextmanager
def hearing() -> Iterator[tuple[str, list[dict[str, object]]]]:
    """A port, and what was said to it, a document a connection."""
    heard: list[dict[str, object]] = []
    with socket.create_server(("127.0.0.1", 0)) as server:

        def hear() -> None:
            for _ in range(2):
                with server.accept()[0] as connection, connection.makefile() as said:
                    heard.append(json.loads(said.read()))

        listening = threading.Thread(target=hear, daemon=True)
        listening.start()
        yield str(server.getsockname()[1]), heard
        listening.join(60)


def test_a_provider_of_others_has_its_secrets_and_nothing_else(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is imported from where only we may read, is made once, and can read, start and know nothing here."""
    monkeypatch.setenv("A_SECRET", "open sesame")
    monkeypatch.setenv("ANOTHER_SECRET", "x")
    beside = place.parent / "key.pem"
    beside.write_text("key")
    beside.chmod(0o600)
    record = TxtRecord(name="_acme-challenge.a", value="v", asked="_acme-challenge.a", domain="a")
    with hearing() as (port, heard):
        word = Secret(source=SecretSource.ENV, argument=("A_SECRET",))
        options = (("port", port), ("word", word), ("file", str(beside)))
        made = make(Dns01(provider="theirs", options=options))
        made.add("a", [record])
        made.remove("a", [record])
        (worker,) = (one for one in below(os.getpid()) if name_of(one) == "renewer provide")
        made.close()
    first, second = heard
    assert (first["calls"], second["calls"]) == (1, 2)
    assert (first["word"], first["values"]) == ("open sesame", ["v"])
    assert (first["read"], first["start"]) == ("PermissionError", "PermissionError")
    assert not {"A_SECRET", "ANOTHER_SECRET", "HOME"} & set(first["environment"])  # type: ignore[call-overload]
    assert (first["user"] != 0) == (os.geteuid() == 0)
    assert ended(worker)


@pytest.mark.parametrize(
    ("text", "error", "said"),
    [
        ("raise ValueError('half of it')", GiveUp, "cannot be used: ValueError: half of it"),
        ("raise SystemExit(3)", GiveUp, "cannot be used: SystemExit: 3"),
        ("Others = 1", GiveUp, "cannot be used: AttributeError"),
        (
            "import threading, time\nthreading.Thread(target=time.sleep, args=(600,), daemon=True).start()",
            RetryLater,
            "could not give up its rights: something that it imported",
        ),
    ],
)
def test_one_that_cannot_be_imported(place: Path, text: str, error: type[Exception], said: str) -> None:
    """What is wrong with it is said as it is, and its worker is gone."""
    (place / "theirs_of_others.py").write_text(text)
    with pytest.raises(error, match=said):
        make(Dns01(provider="theirs"))
    assert [one for one in below(os.getpid()) if name_of(one) == "renewer provide" and not ended(one)] == []


def test_one_that_is_not_there(place: Path) -> None:
    """Its name is told, also if other packages are there."""
    (place / "theirs-1.dist-info" / "entry_points.txt").write_text("[renewer.dns_providers]\nothers = a:B\n")
    with pytest.raises(GiveUp, match="there is no provider 'theirs'"):
        make(Dns01(provider="theirs"))
