"""Processes that talk to strangers: what who conquers one gets, and what main does with such a one."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import dns.message
import msgspec
import pytest

from renewer import network, secrets, workers
from renewer.errors import GiveUp, RenewerError, RetryLater
from renewer.model.desired import Endpoint
from renewer.network import challenges, line
from renewer.network.challenges import Listening
from renewer.network.channels import Courier
from renewer.network.dns import NameServers
from renewer.network.door import Door
from renewer.network.protocol import Done
from renewer.network.verify import PortTrouble, Target, look, try_roots
from renewer.network.verify.messages import Look
from renewer.provisioning import sockets
from tests.network import table
from tests.network.processes import below, ended, name_of
from tests.servers.certificates import ServerRoot
from tests.servers.ports import free_port
from tests.servers.scripted_dns import ScriptedDns, reply
from tests.servers.tls_peer import Peer, tls
from tests.tell.listener import Listener

pytestmark = pytest.mark.real
ROOT = os.geteuid() == 0
HOSTILE = """
import sys
sys.path[:] = sys.argv[2:]
from tests.network.hostile import main
main(sys.argv[1:2], {given!r})
"""
Conquer = Callable[..., workers.Workers]


@pytest.fixture
def real(monkeypatch: pytest.MonkeyPatch) -> Iterator[Conquer]:
    """Makes workers in processes of their own; with arguments hostile ones (`tests/network/hostile.py`)."""
    made: list[workers.Workers] = []

    monkeypatch.setattr(line, "SILENCE", 4.0)

    def make(**given: Any) -> workers.Workers:
        ours = workers.Workers()
        made.append(ours)
        if given:
            monkeypatch.setattr(workers, "PROGRAM", HOSTILE.format(given=json.dumps(given)))
        monkeypatch.setattr(network, "opener", ours.open)
        return ours

    yield make
    for ours in made:
        ours.close()


def nobody(port: int | None = None) -> Target:
    """A port of this host where nobody listens."""
    return Target(endpoint=Endpoint(server_name="localhost", host="127.0.0.1", port=port or free_port()))


def test_a_worker_looks_without_rights(real: Conquer) -> None:
    """What it sees is what was seen before, and it is another user, held by Landlock where there is one."""
    ours = real()
    (seen,) = look([nobody()])
    assert seen.trouble is PortTrouble.REFUSED
    confined = ours.confined["looks"]
    assert (confined.uid is not None) == ROOT
    assert confined.landlock > 0


def test_a_worker_checks_against_certificates_that_only_main_can_read(real: Conquer, tmp_path: Path) -> None:
    """They may lie where nobody else may look; of a file that is none it is said which."""
    real()
    root = ServerRoot()
    pair = root.issue(tmp_path, "localhost")
    ours, others, broken = (tmp_path / name for name in ("ours.pem", "others.pem", "broken.pem"))
    root.write(ours)
    ServerRoot().write(others)
    broken.write_text("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")
    tmp_path.chmod(0o700)
    with Peer(tls(pair)) as peer:
        asked = [ours, others, broken, tmp_path / "none.pem"]
        where = nobody(peer.port)
        seen = look([msgspec.structs.replace(where, roots=str(one)) for one in asked], reads=secrets.roots)
    assert [(one.completed, one.trusted, one.roots) for one in seen] == [
        (True, one is ours, str(one)) for one in asked
    ]
    assert [one.trouble for one in seen[2:]] == [PortTrouble.ROOTS] * 2
    assert [str(one) in (sight.error or "") for one, sight in zip(asked, seen, strict=True)][2:] == [True] * 2
    try_roots(str(ours), secrets.roots)
    for one in asked[2:]:
        with pytest.raises(GiveUp) as caught:
            try_roots(str(one), secrets.roots)
        assert str(one) in caught.value.text


def test_workers_end_with_who_asked_them(real: Conquer) -> None:
    """When main has what it wanted nothing is left running."""
    before = set(below(os.getpid()))
    ours = real()
    look([nobody()])
    started = set(below(os.getpid())) - before
    assert len(started) == 2
    ours.close()
    assert all(ended(one) for one in started)


@pytest.mark.parametrize("deed", ["looks", "acme", "names", "listen", "channel", "provider", "service"])
def test_who_conquers_a_worker_gets_nothing(
    real: Conquer, tmp_path: Path, deed: str, record_property: Callable[[str, object], None]
) -> None:
    """Keys, ledger, memory, other processes, disk, ports and most of this machine are out of reach."""
    state = tmp_path / "state"
    state.mkdir(mode=0o700)
    files = {name: state / name for name in ("key", "account", "ledger")}
    for path in files.values():
        path.write_bytes(b"secret")
        path.chmod(0o600)
    beside = real()
    look([nobody()])
    (other,) = (one for one in below(os.getpid()) if name_of(one) == "renewer looks")
    given = {name: str(path) for name, path in files.items()}
    ours = real(deed="attack", main=os.getpid(), other=other, state=str(state), port=free_port(), **given)
    said: list[str] = []
    Door[Any](deed, note=said.append).do(Look(targets=()))
    got = dict(json.loads(one) for one in said)
    for tried, came in got.items():
        record_property(table.PROPERTY, (deed, tried, came))
    assert {name: what for name, what in got.items() if what == "done"} == {}
    assert len(got) > 20
    assert not list(state.glob("new"))
    ours.close()
    beside.close()


HOWS = [
    *("1 GiB", "half a frame", "no JSON", "another version", "an answer that nobody waits for"),
    *("a question that is never granted", "notes without end", "an answer without end", "its end"),
    "a child left behind",
]


@pytest.mark.parametrize("how", HOWS)
def test_a_worker_that_breaks_the_rules_is_ended(real: Conquer, how: str) -> None:
    """What it was asked is tried again later; a second one is asked in this run, and no third."""
    before = set(below(os.getpid()))
    ours = real(deed="misbehave", how=how)
    door = Door[Any]("looks", shared=True)
    for _ in range(2):
        with pytest.raises(RetryLater):
            door.do(Look(targets=()))
    with pytest.raises(RetryLater, match="no third"):
        door.do(Look(targets=()))
    left = set(below(os.getpid())) - before
    ours.close()
    assert all(ended(one) for one in left)
    assert set(below(os.getpid())) - before == set()


def held_up(door: Door[Any], act: Callable[[int], None]) -> RenewerError:
    """What is told when something happens to the worker while it looks at who accepts and says nothing."""
    told: list[RenewerError] = []
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        target = nobody(silent.getsockname()[1])

        def ask() -> None:
            try:
                list(door.ask_all(Look(targets=(target,), timeout=300), Done))
            except RenewerError as error:
                told.append(error)

        asking = threading.Thread(target=ask)
        asking.start()
        connection, _ = silent.accept()
        (worker,) = (one for one in below(os.getpid()) if name_of(one) == "renewer looks")
        act(worker)
        asking.join(120)
        connection.close()
    assert not asking.is_alive()
    return told[0]


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP])
def test_a_worker_that_is_killed_or_stopped_holds_nobody_up(real: Conquer, number: int) -> None:
    """It is told within bounds, and the next one that is asked answers."""
    ours = real()
    door = Door[Any]("looks", shared=True)
    error = held_up(door, lambda pid: os.kill(pid, number))
    assert isinstance(error, RetryLater)
    assert "looks at ports" in error.text
    (seen,) = look([nobody()])
    assert seen.trouble is PortTrouble.REFUSED
    ours.close()


def fetched(port: int, path: str) -> bytes:
    """What a port answers to a GET."""
    with socket.create_connection(("127.0.0.1", port), timeout=30) as sock:
        sock.sendall(f"GET {path} HTTP/1.0\r\n\r\n".encode())
        said = b""
        while some := sock.recv(4096):
            said += some
    return said.partition(b"\r\n\r\n")[2]


def the_listener() -> int:
    """The process that answers at ports."""
    (pid,) = (one for one in below(os.getpid()) if name_of(one) == "renewer listen")
    return pid


def test_a_worker_answers_at_a_port_that_main_bound(real: Conquer) -> None:
    """Another one that takes its place knows all that is in hand, and nobody listens in the end."""
    real()
    port = free_port()
    listening = Listening("http-01", sockets.open_for(f"127.0.0.1:{port}"))
    listening.show("/a", b"one")
    assert fetched(port, "/a") == b"one"
    killed = the_listener()
    os.kill(killed, signal.SIGKILL)
    assert ended(killed)
    with contextlib.suppress(RetryLater):  # it may be that nobody noticed yet
        listening.show("/b", b"two")
    listening.show("/b", b"two")
    assert (fetched(port, "/a"), fetched(port, "/b")) == (b"one", b"two")
    listening.hide("/a")
    assert fetched(port, "/a") == b""
    listening.stop()
    with pytest.raises(ConnectionRefusedError):
        fetched(port, "/b")


def test_a_worker_delivers_what_is_longer_than_a_frame(real: Conquer) -> None:
    """It knows the URL and the body for one delivery, and is gone after it."""
    real()
    body = os.urandom(700_000)
    with Listener() as listener:
        courier = Courier(of="ops")
        assert courier.post(listener.url("/x"), body, [("X-A", "b")], limit=60) == 200
        (posted,) = listener.posted
    assert posted.body == body
    assert [one for one in below(os.getpid()) if name_of(one) == "renewer channel" and not ended(one)] == []


def test_a_worker_asks_name_servers(real: Conquer) -> None:
    """It has all that reads answers before it gives up its rights."""
    real()
    port = free_port()

    def zone(query: dns.message.Message) -> dns.message.Message:
        return reply(query, f'{query.question[0].name} 60 TXT "x"')

    with ScriptedDns(zone, address="127.0.0.31", port=port):
        found = NameServers((f"127.0.0.31:{port}",), port=port).places(["_acme-challenge.www.example"])
    assert set(found) == {"_acme-challenge.www.example"}


def test_a_listener_that_is_stopped_keeps_no_port(real: Conquer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever does not close its sockets in time is ended, and the port is free."""
    monkeypatch.setattr(challenges, "_GRACE", 1.0)
    monkeypatch.setattr(line, "SLACK", 1.0)
    real()
    port = free_port()
    listening = Listening("http-01", sockets.open_for(f"127.0.0.1:{port}"))
    frozen = the_listener()
    os.kill(frozen, signal.SIGSTOP)
    listening.stop()
    assert ended(frozen)
    for one in sockets.open_for(f"127.0.0.1:{port}"):
        one.close()


def test_a_nursery_that_is_killed_takes_its_workers_along(real: Conquer) -> None:
    """No worker outlives it; the next that is asked has a new one."""
    before = set(below(os.getpid()))
    ours = real()
    look([nobody()])
    started = set(below(os.getpid())) - before
    (nursery,) = (one for one in started if name_of(one) == "renewer nursery")
    os.kill(nursery, signal.SIGKILL)
    assert all(ended(one) for one in started)
    (seen,) = look([nobody()])
    assert seen.trouble is PortTrouble.REFUSED
    ours.close()


ALONE = """
import signal, sys
from renewer import network, workers
from renewer.model.desired import Endpoint
from renewer.network.verify import Target, look
network.opener = workers.Workers().open
look([Target(endpoint=Endpoint(server_name="localhost", host="127.0.0.1", port=1))])
print("ready", flush=True)
signal.pause()
"""


@pytest.mark.parametrize("stopped", [False, True])
def test_nothing_outlives_main(*, stopped: bool) -> None:
    """Main is killed: nursery and workers end, also workers that were stopped."""
    main = subprocess.Popen([sys.executable, "-c", ALONE], stdout=subprocess.PIPE)
    assert main.stdout is not None
    assert main.stdout.readline() == b"ready\n"
    left = below(main.pid)
    assert len(left) == 2
    if stopped:
        for one in left:
            if name_of(one) != "renewer nursery":
                os.kill(one, signal.SIGSTOP)
    main.kill()
    main.wait()
    main.stdout.close()
    assert all(ended(one) for one in left)


def test_where_no_process_can_be_started_that_is_told(real: Conquer, monkeypatch: pytest.MonkeyPatch) -> None:
    """A table of processes that is full, or a Python that is gone: nothing is known of the port."""
    real()
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    (seen,) = look([nobody()])
    assert seen.trouble is PortTrouble.UNSEEN
    assert "could not be started" in (seen.error or "")


def test_without_landlock_it_is_another_user(real: Conquer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the kernel has no Landlock it says so, and the work is done."""
    monkeypatch.setattr(
        workers,
        "PROGRAM",
        workers.PROGRAM.replace(
            "from renewer.network.nursery",
            "from renewer.network import confine\n"
            "confine.landlock_version = lambda: 0\nfrom renewer.network.nursery",
        ),
    )
    ours = real()
    (seen,) = look([nobody()])
    assert seen.trouble is PortTrouble.REFUSED
    assert ours.confined["looks"].landlock == 0
