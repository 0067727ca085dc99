"""Who speaks to the authority for us is killed or frozen at every message of an order, the nursery, too."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from typing import Any

import pytest

from renewer import clock, network, workers
from renewer.model.decision import RunReport
from renewer.network import line
from tests.faults.conftest import HostFactory
from tests.faults.host import Host, authority, failed
from tests.network.processes import below, ended, name_of
from tests.servers.pebble import Pebble

pytestmark = pytest.mark.slow
TELLING = "the process that speaks to an authority"
MESSAGES = 40
"""More than an order has."""


class Fate:
    """Strikes a process of ours right after a message of an order was sent to the one that speaks."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, whom: str, number: signal.Signals) -> None:
        self.ours = workers.Workers()
        self.at = 0
        self.said = 0
        self._whom, self._number = whom, number
        monkeypatch.setattr(network, "opener", self.ours.open)
        usual = line.WorkerLine._say
        self._patch = monkeypatch

        def say(way: line.WorkerLine, octets: bytes, descriptors: Sequence[int] = ()) -> None:
            usual(way, octets, descriptors)
            self.said += 1
            if self.said == self.at:
                self._strike()

        monkeypatch.setattr(line.WorkerLine, "_say", say)

    def begin(self, at: int) -> None:
        """From now on, at this message; all that runs runs well."""
        self.at, self.said = at, 0
        self.ours._starts.clear()
        self._patch.setattr(line, "SILENCE", 5.0)
        if not at:
            self._patch.setattr(workers, "_PATIENCE", 60.0)

    def _strike(self) -> None:
        for one in below(os.getpid()):
            if name_of(one) == self._whom:
                os.kill(one, self._number)
        if self._number is signal.SIGSTOP:  # who is frozen for certain need not be waited for as long
            self._patch.setattr(line, "SILENCE", 0.2)
            self._patch.setattr(workers, "_PATIENCE", 3.0)


@pytest.fixture
def quiet_host(make_host: HostFactory, pebble: Pebble) -> Host:
    """A host that asks Pebble."""
    return make_host(pebble.http_port, {"pebble": authority(pebble)})


@pytest.fixture
def left() -> Iterator[None]:
    """Nothing is left running."""
    before = set(below(os.getpid()))
    yield
    assert all(ended(one) for one in set(below(os.getpid())) - before)


def until_well(host: Host) -> RunReport:
    """Runs as they become due; the second mostly is well."""
    for _ in range(3):
        report = host.run_when_due()
        if not failed(report):
            return report
    return report


@pytest.mark.usefixtures("left")
@pytest.mark.parametrize(
    ("whom", "number", "step"),
    [
        ("renewer acme", signal.SIGKILL, 1),
        ("renewer acme", signal.SIGSTOP, 1),
        ("renewer nursery", signal.SIGKILL, 3),
        ("renewer nursery", signal.SIGSTOP, 5),
    ],
    ids=["worker-killed", "worker-stopped", "nursery-killed", "nursery-stopped"],
)
def test_struck_at_each_message(  # noqa: PLR0917  the case
    quiet_host: Host,
    pebble: Pebble,
    monkeypatch: pytest.MonkeyPatch,
    whom: str,
    number: signal.Signals,
    step: int,
) -> None:
    """It is told within bounds, the next run is well, and no renewal has two certificates."""
    host = quiet_host
    fate = Fate(monkeypatch, whom, number)
    host.run()  # the account
    for at in range(1, MESSAGES, step):
        name = f"n{at}"
        host.certificates = {name: {}}
        host.write_config()
        mark, began = pebble.mark(), clock.monotonic()
        fate.begin(at)
        report = host.run()
        assert clock.monotonic() - began < 120
        told = failed(report)
        over = not told and fate.said < at
        if told:
            fate.begin(0)
            assert all(TELLING in one for one in told), told
            assert not failed(until_well(host))
        host.live(name)
        assert len(pebble.certificates_issued(mark)) == 1, at
        assert pebble.orders_created(mark) <= 2, at
        assert host.leftovers() == []
        if over:
            break
    else:
        pytest.fail("an order without end")
    assert at > 8
    fate.ours.close()


KILLED = """
import os, signal, sys
from renewer.cli import app
from renewer.network.line import WorkerLine
at = sys.argv.pop(1)
usual = WorkerLine._say
def say(self, octets, descriptors=()):
    usual(self, octets, descriptors)
    if ('"type":"' + at + '"').encode() in octets:
        from tests.network.processes import below
        print(*below(os.getpid()), flush=True)
        os.kill(os.getpid(), signal.SIGKILL)
WorkerLine._say = say
app.main()
"""


def test_main_killed_with_messages_under_way(quiet_host: Host, pebble: Pebble) -> None:
    """Nobody outlives it, the next run goes on, and no renewal has two certificates."""
    host = quiet_host

    def run(at: str) -> Any:
        argv = [
            sys.executable,
            "-c",
            KILLED,
            at,
            "--config",
            str(host.directory / "config.toml"),
            "run",
            name,
        ]
        return subprocess.run(argv, capture_output=True, text=True, check=False, timeout=300)

    for at in ("NewOrder", "AnswerChallenge", "FinalizeOrder", "FetchChain"):
        name = at.lower()
        host.certificates = {name: {"names": [f"{name}.example.org"]}}
        host.write_config()
        mark = pebble.mark()
        killed = run(at)
        assert killed.returncode == -signal.SIGKILL, killed.stderr
        started = [int(one) for one in killed.stdout.split()]
        assert len(started) >= 2
        assert all(ended(one) for one in started)
        again = run("nothing")
        assert again.returncode == 0, again.stdout + again.stderr
        host.live(name)
        assert len(pebble.certificates_issued(mark)) == 1
        assert pebble.orders_created(mark) <= 2
