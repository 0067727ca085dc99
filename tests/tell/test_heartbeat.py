"""Pings around a run: start, success, exit status, broken off; a ping that fails changes nothing."""

import json
import socket
import subprocess
import sys
import uuid
from collections.abc import Iterator
from datetime import timedelta
from time import monotonic
from urllib.parse import parse_qs, urlsplit

import pytest

from renewer.report import heartbeat
from renewer.report.heartbeat import rid
from renewer.run import Limits
from tests.servers.tls_peer import Peer
from tests.tell.conftest import Clock
from tests.tell.host import Host
from tests.tell.listener import Listener

DAY = timedelta(days=1)
CHECK = "/ping/1b9d6bcd-bbfd-4b2d-9b5d-ab8dfbbd4bed"


@pytest.fixture
def checks() -> Iterator[Listener]:
    """What healthchecks would be."""
    with Listener() as listener:
        yield listener


def watched(host: Host, url: str) -> None:
    """A host whose runs ping."""
    host.configure(f"[report]\nheartbeat = {host.secret('heartbeat', url)}\n")


def test_a_good_run_is_pinged(host: Host, time: Clock, checks: Listener) -> None:
    """Start, then success, under one rid that is the run's, with the run's summary."""
    watched(host, checks.url(CHECK))
    host.install(not_before=time.moment, not_after=time.moment + 90 * DAY)
    report = host.run()
    first, last = checks.posted
    rids = [parse_qs(urlsplit(one.path).query)["rid"] for one in (first, last)]

    assert checks.paths == [f"{CHECK}/start", CHECK]
    assert rids == [[rid(report.run)]] * 2
    assert str(uuid.UUID(rids[0][0])) == rids[0][0]
    assert last.body.decode().splitlines()[0].startswith(f"run {report.run} on web-1: exit 0, ")
    assert "nothing to do for 1 certificates" in last.body.decode()


def test_a_failing_run_is_pinged_with_its_exit_status(host: Host, time: Clock, checks: Listener) -> None:
    """And with what failed."""
    watched(host, checks.url(CHECK + "?a=b"))
    end = time.moment + 5 * DAY
    host.install(not_before=end - 90 * DAY, not_after=end)
    report = host.run()

    assert report.exit == 3
    assert checks.paths == [f"{CHECK}/start", f"{CHECK}/3"]
    assert "failed www: issue: " in checks.posted[-1].body.decode()
    assert parse_qs(urlsplit(checks.posted[0].path).query)["a"] == ["b"]


def test_a_run_that_breaks_off_is_a_failure(
    host: Host, time: Clock, checks: Listener, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever it was."""
    watched(host, checks.url(CHECK))

    def broken(*_: object) -> None:
        raise RuntimeError

    monkeypatch.setattr("renewer.report.history.keep", broken)
    with pytest.raises(RuntimeError):
        host.run()
    assert (checks.paths, time.moment) == ([f"{CHECK}/start", f"{CHECK}/fail"], time.now())
    assert checks.posted[-1].body.decode().endswith(" on web-1 broke off")


def test_a_persons_run_of_one_certificate_is_not_pinged(host: Host, time: Clock, checks: Listener) -> None:
    """It would hide that the timer does not call any more."""
    watched(host, checks.url(CHECK))
    host.install(not_before=time.moment, not_after=time.moment + 90 * DAY)
    host.limits = Limits(only=frozenset({"www"}))
    host.run()
    assert checks.posted == []


@pytest.mark.parametrize("how", ["refuses", "hangs", "says 500", "has no secret", "is no URL"])
def test_a_ping_that_fails_fails_nothing(
    host: Host, time: Clock, checks: Listener, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    """The run ends as it would, but for a secret that is missing; the log tells why, without the URL."""
    monkeypatch.setattr(heartbeat.Heartbeat.__init__, "__defaults__", (0.3,))
    host.install(not_before=time.moment, not_after=time.moment + 90 * DAY)
    with Peer(_silence) as silent:
        urls = {
            "refuses": f"http://127.0.0.1:9{CHECK}",
            "hangs": f"http://127.0.0.1:{silent.port}{CHECK}",
            "says 500": checks.url(CHECK),
            "is no URL": f"gopher://{CHECK}",
        }
        checks.answers = [500]
        watched(host, urls.get(how, "x"))
        if how == "has no secret":
            (host.root / "heartbeat").unlink()
        began = monotonic()
        report = host.run()
        assert monotonic() - began < 30
    told = [line["text"] for line in host.log("notice") if line["text"].startswith("heartbeat: ")]
    assert (report.exit, len(told)) == (1 if how == "has no secret" else 0, 2)
    assert "1b9d6bcd" not in host.log_text()


def _silence(connection: socket.socket) -> None:
    while connection.recv(4096):
        pass


@pytest.mark.slow
def test_a_run_without_a_heartbeat_knows_nothing_of_it(host: Host) -> None:
    """Nothing is imported that only pings need; with one, no client library is."""
    from renewer import clock

    host.install(not_before=clock.now() - DAY, not_after=clock.now() + 89 * DAY)
    code = (
        "import json, sys\nfrom renewer.cli.app import main\ntry:\n    main()\nfinally:\n"
        "    print(json.dumps(sorted({name.split('.')[0] for name in sys.modules})), file=sys.stderr)\n"
    )

    def loaded() -> set[str]:
        argv = [sys.executable, "-c", code, "--config", str(host.path), "run"]
        done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=60)
        assert done.returncode == 0, done
        return set(json.loads(done.stderr.splitlines()[-1]))

    host.configure()
    loaded()
    assert loaded() & {"requests", "ssl", "http", "smtplib", "email"} == set()
    with Listener() as listener:
        watched(host, listener.url(CHECK))
        assert loaded() & {"requests", "smtplib"} == set()
    assert len(listener.posted) == 2
