"""One host without a web server: an agent, its config and state, a webroot that answers, a port that serves.

The agent is the whole one: `run` takes the lock and makes a pass as the timer does, in this process, so that
its clock and its time limits are the test's.
"""

import http.server
import json
import ssl
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Self

import pytest

from renewer import clock, run
from renewer.config.load import load
from renewer.context import Context
from renewer.ledger.sqlite import SqliteLedger
from renewer.logs import Listener
from renewer.model.decision import Decision, Result, RunReport
from renewer.model.facts import Debris, Failure, Order, Situation, Version, Window
from renewer.report.documents import plan_document, status_document
from renewer.run import Limits
from renewer.store.lock import Lock
from tests import toml
from tests.documents import plain, row_of
from tests.servers.bendable import Bendable
from tests.servers.pebble import Pebble
from tests.servers.tls_peer import Peer
from tests.store.looking import live_pair

ORDER_LIMIT = 10.0  # seconds that a run waits for the authority to validate or to sign, instead of 300
HASTE = 10  # the agent's pauses are so many times shorter
_SHORT = 0.005  # but for those that are short already


class Clock:
    """The agent's clock: the real one and what the test adds. Backoff is overcome by setting it forward."""

    def __init__(self) -> None:
        """Show the real time."""
        self.ahead = timedelta(0)
        self.wrong = False
        """Whether what is added is a fault of the host's clock, rather than time that went by."""

    def compare(self, other: datetime) -> timedelta:
        """In place of `clock.ahead`: where time went by, an authority that has the real one is right, too."""
        real = other - datetime.now(UTC)
        return other - self.now() if self.wrong else min(other - self.now(), real, key=abs)

    def now(self) -> datetime:
        """What the agent believes."""
        return datetime.now(UTC) + self.ahead

    def forward(self, by: timedelta) -> None:
        """So much later."""
        self.ahead += by

    def reach(self, moment: datetime) -> None:
        """Not before this moment, and never back."""
        self.ahead = max(self.ahead, moment - datetime.now(UTC) + timedelta(seconds=1))


@pytest.fixture
def agents_clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """The clock of every agent in this test; pauses are short, and so is the wait for an order."""
    ours, sleep = Clock(), clock.sleep
    monkeypatch.setattr(clock, "now", ours.now)
    monkeypatch.setattr(clock, "ahead", ours.compare)
    monkeypatch.setattr(clock, "sleep", lambda seconds: sleep(max(seconds / HASTE, min(seconds, _SHORT))))
    monkeypatch.setattr(Context, "order_limit", ORDER_LIMIT)
    return ours


class Web:
    """A web server for http-01: files of a webroot, whatever the host is called; some names can go wrong."""

    def __init__(self, port: int, webroot: Path) -> None:
        """Listen where the authority looks."""
        self.webroot = webroot
        self.broken: set[str] = set()
        """Names that answer 404, as if they led to another host."""
        self.slow: dict[str, threading.Event] = {}
        """Names that answer when the event is set."""
        web = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                body = web.answer(self.headers.get("Host", "").partition(":")[0], self.path)
                self.send_response(404 if body is None else 200)
                self.send_header("Content-Length", str(len(body or b"")))
                self.end_headers()
                self.wfile.write(body or b"")

            def log_message(self, *_: object) -> None:
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()

    def answer(self, host: str, path: str) -> bytes | None:
        """What stands in the webroot, if the name leads here."""
        if held := self.slow.get(host):
            held.wait(30)
        file = self.webroot / path.lstrip("/")
        if host in self.broken or ".." in path or not file.is_file():
            return None
        return file.read_bytes()

    def stop(self) -> None:
        """Let go of everybody, and end."""
        for held in self.slow.values():
            held.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@dataclass(slots=True)
class Host:
    """One agent. `authorities` and `certificates` are tables of its config; `write_config` after a change."""

    directory: Path
    clock: Clock
    web: Web
    authorities: dict[str, dict[str, Any]]
    certificates: dict[str, dict[str, Any]] = field(
        default_factory=lambda: {"www": {"names": ["www.example.org"]}}
    )
    hooks: dict[str, dict[str, Any]] = field(default_factory=dict)
    ports: dict[str, Peer] = field(default_factory=dict)
    listener: Listener | None = None

    def __post_init__(self) -> None:
        """Write the config."""
        self.web.webroot.mkdir(parents=True, exist_ok=True)
        self.write_config()

    @property
    def state(self) -> Path:
        """The state directory."""
        return self.directory / "state"

    # --- the config ---------------------------------------------------------------------------------------

    def write_config(self) -> None:
        """Write the config as the tables stand now."""
        tables: dict[str, Mapping[str, Any]] = {
            "agent": {"state": self.state, "host": "web-1", "preflight": "off"}
        }
        usual = {"contact": ["ops@example.org"], "agree_terms": True, "profile": "default", "roots": "any"}
        for name, authority in self.authorities.items():
            tables[f"authority.{name}"] = usual | authority
        for name, certificate in self.certificates.items():
            tables[f"certificate.{name}"] = self._certificate(name) | certificate
        for name, hook in self.hooks.items():
            tables[f"hook.{name}"] = hook
        path = self.directory / "config.toml"
        path.write_text(toml.tables(tables))
        path.chmod(0o600)

    def _certificate(self, name: str) -> dict[str, Any]:
        port = self.ports.get(name)
        here = (
            {"host": "127.0.0.1", "port": port.port, "server_name": f"{name}.example.org"} if port else None
        )
        return {
            "names": [f"{name}.example.org"],
            "authorities": list(self.authorities),
            "challenge": {"type": "http-01", "webroot": self.web.webroot, "preflight": "off"},
            "endpoints": [here] if here else [],
        }

    def open_port(self, certificate: str) -> Peer:
        """A port that serves what is live at every handshake, as a server does that needs no reload."""
        live = self.state / "certificates" / certificate / "live"

        def serve(connection: Any) -> None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(live / "fullchain.pem", live / "privkey.pem")
            with context.wrap_socket(connection, server_side=True) as secured:
                secured.recv(1)

        self.ports[certificate] = Peer(serve)
        self.write_config()
        return self.ports[certificate]

    # --- the agent ----------------------------------------------------------------------------------------

    @contextmanager
    def context(self, *, write: bool = True) -> Iterator[Context]:
        """The equipment of a run, under the lock if it may write."""
        config = load(str(self.directory / "config.toml"))
        if not write:
            with Context(config, write=False) as context:
                yield context
            return
        with Lock(config.agent.state), Context(config, write=True, listener=self.listener) as context:
            yield context
            for session in context.sessions().values():
                session.close()

    def run(self, **limits: Any) -> RunReport:
        """One pass."""
        with self.context() as context:
            return run.run(context, Limits(**limits))

    def decision(self, certificate: str = "www", **limits: Any) -> Decision:
        """What a run would do now."""
        with self.context(write=False) as context:
            plan, _ = run.plan(context, Limits(**limits))
        return next(one for one in plan.decisions if one.certificate == certificate)

    def run_when_due(self) -> RunReport:
        """The next pass that may act: the clock goes to the moment that the plan names."""
        waiting = [self.decision(name).not_before for name in self.certificates]
        self.clock.reach(min((moment for moment in waiting if moment), default=self.clock.now()))
        return self.run()

    # --- what is so ---------------------------------------------------------------------------------------

    def situation(self, certificate: str = "www") -> Situation:
        """All facts of a certificate."""
        with self.context(write=False) as context:
            return run.plan(context, Limits())[1][certificate]

    def status(self, certificate: str = "www") -> dict[str, Any]:
        """A certificate's part of `status --json`."""
        with self.context(write=False) as context:
            plan, situations = run.plan(context, Limits())
        document = status_document(situations, plan, now=clock.now(), host="web-1", orphans=(), last_run=None)
        assert plan_document(plan).steps
        row: dict[str, Any] = plain(row_of(document, certificate))
        return row

    def live(self, certificate: str = "www") -> Version:
        """The live version, which is no placeholder, and whose key and chain fit each other."""
        version = self.situation(certificate).live_version
        assert version is not None
        assert not version.placeholder
        live_pair(self.state, certificate)
        return version

    def failure(self, certificate: str = "www") -> Failure:
        """The one failure on record."""
        (found,) = self.situation(certificate).failures
        return found

    def window(self, certificate: str = "www") -> Window:
        """What the ledger has of the renewal window of the live version."""
        serial = self.live(certificate).leaf.serial
        return next(one for one in self.situation(certificate).windows if one.serial == serial)

    def leftovers(self) -> list[str]:
        """What must not be there between runs once all is well: challenges, their records, open orders."""
        files = [str(path) for path in self.web.webroot.rglob("*") if path.is_file()]
        pending = [str(path) for path in self.state.glob("certificates/*/pending/*")]
        ledger = SqliteLedger.open(str(self.state / "ledger.db"))
        try:
            records = [str(record) for kind in (Debris, Order, Failure) for record in ledger.load(kind)]
        finally:
            ledger.close()
        return files + pending + records

    def challenge_files(self) -> list[Path]:
        """Everything in the webroot: nothing, between runs."""
        return [path for path in self.web.webroot.rglob("*") if path.is_file()]

    def events(self, certificate: str = "www") -> list[dict[str, Any]]:
        """What the renewal log tells of a certificate."""
        lines = [json.loads(line) for line in (self.state / "renewal.log").read_text().splitlines()]
        return [line for line in lines if line["certificate"] == certificate]

    def stop(self) -> None:
        """Close the ports."""
        for port in self.ports.values():
            port.__exit__()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


def authority(
    server: Pebble | Bendable, *, directory: str | None = None, ca_bundle: Path | None = None
) -> dict[str, Any]:
    """The config's table for a Pebble, or for the proxy in front of it."""
    return {"directory": directory or server.directory, "ca_bundle": ca_bundle or server.ca_bundle}


def failed(report: RunReport) -> Sequence[str]:
    """What a run says of everything that failed."""
    return [outcome.detail for outcome in report.outcomes if outcome.result is Result.FAILED]
