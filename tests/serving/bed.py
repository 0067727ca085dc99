"""One host whose certificates come from the test's hand: versions are put on its disk, no authority is asked.

The authority of its config is away for ever, so that whatever happens here happens without an order.
"""

import json
import ssl
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from renewer import certs, clock, run
from renewer.config.load import load
from renewer.context import Context
from renewer.model.decision import Decision, RunReport
from renewer.model.facts import Record, Situation, Version
from renewer.network import tls
from renewer.report.documents import status_document
from renewer.run import Limits
from renewer.store.contract import Material
from renewer.store.disk import DiskStore, version_id
from renewer.store.lock import Lock
from tests.agent import Agent
from tests.command import Ended
from tests.documents import plain, row_of
from tests.faults.host import Clock
from tests.servers.tls_peer import Behaviour, Peer
from tests.serving.issuer import Signer

NOWHERE = "https://127.0.0.1:9/directory"  # nobody listens at the port "discard"


@dataclass
class Bed:
    """`tables` are those of the config by dotted name; `root` signs, and is what the authority leads to."""

    directory: Path
    clock: Clock
    root: Signer = field(default_factory=Signer.root)
    tables: dict[str, dict[str, Any]] = field(default_factory=dict)
    peers: list[Peer] = field(default_factory=list)

    def __post_init__(self) -> None:
        """The authority."""
        roots = self.root.write(self.directory / "roots.pem")
        self.tables["agent"] = {"state": str(self.state), "host": "web-1", "preflight": "off"}
        self.tables["authority.ca"] = {"directory": NOWHERE, "agree_terms": True, "roots": str(roots)}

    @property
    def state(self) -> Path:
        """The state directory."""
        return self.directory / "state"

    def live(self, name: str = "www") -> Path:
        """The link."""
        return self.state / "certificates" / name / "live"

    def certificate(self, name: str = "www", **keys: Any) -> None:
        """A table of the config."""
        self.tables[f"certificate.{name}"] = {
            "names": [f"{name}.example.org"],
            "authority": "ca",
            "challenge": {"type": "http-01", "webroot": str(self.directory), "preflight": "off"},
            "endpoints": [],
            **keys,
        }

    def hook(self, name: str, *lines: str, **keys: Any) -> Path:
        """A hook of one's own: a shell script, whose `$calls` is the file `calls` of the bed."""
        path = self.directory / f"{name}.sh"
        path.write_text("\n".join(["#!/bin/sh", f"calls={self.directory}/calls", *lines, ""]))
        path.chmod(0o755)
        events = ["test", "deploy", "rollback"]
        self.tables[f"hook.{name}"] = {"run": str(path), "events": events, **keys}
        return path

    @property
    def calls(self) -> list[str]:
        """What hooks wrote down."""
        path = self.directory / "calls"
        return path.read_text().splitlines() if path.exists() else []

    def put(
        self, material: Material, name: str = "www", *, live: bool = False, made: datetime | None = None
    ) -> Version:
        """A version on disk, as the agent had installed it a moment ago, or at `made`."""
        leaf = certs.leaf(material.cert)
        made = made or clock.now()
        version = Version(
            id=version_id(made, leaf.serial), made_at=made, leaf=leaf, authority="ca", directory=NOWHERE
        )
        with self.lock():
            store = DiskStore(str(self.state))
            store.put(name, version, material, key_mode=0o600)
            if live:
                store.turn(name, version.id)
        return version

    def renewed(self, name: str = "www", *, days: int = 60, **leaf: Any) -> tuple[Version, Version]:
        """An old version that is live and has so many `days` left, and a new one beside it."""
        names = [f"{name}.example.org"]
        age = timedelta(days=90 - days)
        old = self.put(
            self.root.issue(*names, age=age), name, live=True, made=clock.now() - timedelta(days=1)
        )
        return old, self.put(self.root.issue(*names, **leaf), name)

    def port(self, behaviour: Behaviour) -> dict[str, Any]:
        """A port that behaves so until the test ends, as an endpoint of `www.example.org`."""
        peer = Peer(behaviour)
        peer.__enter__()
        self.peers.append(peer)
        return {"host": "127.0.0.1", "port": peer.port, "server_name": "www.example.org"}

    def serving(self, *paths: Path, weak: bool = False) -> dict[str, Any]:
        """A port that serves the files of these directories in turn, read anew at each handshake."""
        return self.serving_any(list(paths), weak=weak)

    def serving_any(self, paths: list[Path], *, weak: bool = False) -> dict[str, Any]:
        """The same of a list that the test may change meanwhile."""
        count = iter(range(1 << 30))

        def serve(connection: Any) -> None:
            path = paths[next(count) % len(paths)]
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            if weak:
                context.set_ciphers("ALL:@SECLEVEL=0")
            context.load_cert_chain(path / "fullchain.pem", path / "privkey.pem")
            with context.wrap_socket(connection, server_side=True) as secured:
                secured.recv(1)

        return self.port(serve)

    # --- the agent ----------------------------------------------------------------------------------------

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Nobody else changes anything meanwhile."""
        with Lock(str(self.state)):
            yield

    def write(self) -> Path:
        """Write the config as the tables stand now."""
        agent = Agent(self.directory, self.tables)
        return agent.write()

    @contextmanager
    def context(self, *, write: bool) -> Iterator[Context]:
        """The equipment of a run."""
        config = load(str(self.write()))
        if not write:
            with Context(config, write=False) as context:
                yield context
            return
        with Lock(config.agent.state), Context(config, write=True) as context:
            yield context
            for session in context.sessions().values():
                session.close()

    @contextmanager
    def fresh(self) -> Iterator[None]:
        """As in another process: what this one has read of roots is forgotten."""
        tls.verifying.cache_clear()
        yield
        tls.verifying.cache_clear()

    def plan(self, name: str = "www") -> Decision:
        """What a run would do now."""
        with self.context(write=False) as context:
            planned, _ = run.plan(context, Limits())
        return next(one for one in planned.decisions if one.certificate == name)

    def records(self, kind: type[Record]) -> list[Any]:
        """The ledger's records of a kind."""
        return Agent(self.directory, self.tables).remembered(kind)

    def run(self, *only: str, **limits: Any) -> RunReport:
        """One pass."""
        with self.context(write=True) as context:
            return run.run(context, Limits(only=frozenset(only), **limits))

    def cli(self, *arguments: str, env: Mapping[str, str] | None = None) -> Ended:
        """The real command, by the real clock."""
        return Agent(self.directory, self.tables).cli(*arguments, env=env)

    def situation(self, name: str = "www") -> Situation:
        """All facts of a certificate."""
        with self.context(write=False) as context:
            return run.plan(context, Limits())[1][name]

    def status(self, name: str = "www") -> dict[str, Any]:
        """A certificate's part of `status --json`."""
        with self.context(write=False) as context:
            plan, situations = run.plan(context, Limits())
        document = status_document(situations, plan, now=clock.now(), host="web-1", orphans=(), last_run=None)
        row: dict[str, Any] = plain(row_of(document, name))
        return row

    def events(self, name: str = "www") -> list[dict[str, Any]]:
        """What the renewal log tells of a certificate."""
        lines = [json.loads(line) for line in (self.state / "renewal.log").read_text().splitlines()]
        return [line for line in lines if line["certificate"] == name]
