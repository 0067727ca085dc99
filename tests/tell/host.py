"""A host with one certificate, run after run; real state, real ledger, no authority that answers."""

import json
from datetime import datetime
from pathlib import Path
from typing import Any

from renewer import certs
from renewer.config.load import load
from renewer.context import Context
from renewer.ledger.sqlite import SqliteLedger
from renewer.model.decision import RunReport
from renewer.model.facts import Failure, Version
from renewer.run import Limits, run
from renewer.store.contract import Material
from renewer.store.disk import DiskStore, version_id
from renewer.store.lock import Lock
from tests.servers.certificates import ServerRoot

NAMES = ("example.org", "www.example.org")

CONFIG = """
[agent]
state = "{state}"
host = "web-1"
wake = "{wake}"
preflight = "off"
[authority.nowhere]
directory = "https://127.0.0.1:9/directory"
ca_bundle = "{root}/authority.pem"
agree_terms = true
[certificate.www]
names = ["example.org", "www.example.org"]
authority = "nowhere"
challenge = {{ type = "http-01", webroot = "{root}", preflight = "off" }}
"""


class Host:
    """State below `root`; `configure` adds tables to the config."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.state = root / "state"
        self.path = root / "config.toml"
        self.limits = Limits()
        self.wake = "1h"
        ServerRoot().write(root / "authority.pem")  # the system's roots take 60 ms a run to load

    def configure(self, *tables: str) -> None:
        """Write the config."""
        text = CONFIG.format(state=self.state, root=self.root, wake=self.wake)
        self.path.write_text(text + "\n".join(tables), "utf-8")

    def secret(self, name: str, text: str) -> str:
        """A secret in a file, as the config refers to it."""
        path = self.root / name
        path.write_text(text, "utf-8")
        path.chmod(0o600)
        return f'{{ file = "{path}" }}'

    def install(
        self, name: str = "www", *, not_before: datetime, not_after: datetime, made: datetime | None = None
    ) -> str:
        """Put a certificate of these dates on disk and turn to it, as a renewal does; returns the version."""
        pair = ServerRoot().issue(
            self.root / "pairs",
            *NAMES,
            stem=f"{name}-{not_before:%Y%m%d%H%M%S}",
            not_before=not_before,
            valid_for=not_after - not_before,
        )
        cert = pair.cert.read_bytes()
        leaf = certs.leaf(cert)
        at = made or not_before
        version = Version(
            id=version_id(at, leaf.serial), made_at=at, leaf=leaf, authority="nowhere", account="https://a/1"
        )
        with Lock(str(self.state)).acquire(0):
            store = DiskStore(str(self.state))
            store.put(
                name, version, Material(privkey=pair.key.read_bytes(), cert=cert, chain=b""), key_mode=0o600
            )
            store.turn(name, version.id)
            ledger = self.ledger()
            ledger.drop(*ledger.load(Failure))  # as an order that succeeds does
            ledger.close()
        return version.id

    def run(self) -> RunReport:
        """One run."""
        config = load(str(self.path))
        with Lock(str(self.state)).acquire(0), Context(config, write=True) as context:
            return run(context, self.limits)

    def ledger(self) -> SqliteLedger:
        """The ledger, to look into; close it."""
        return SqliteLedger.open(str(self.state / "ledger.db"))

    def log(self, event: str | None = None) -> list[dict[str, Any]]:
        """The renewal log."""
        path = self.state / "renewal.log"
        if not path.exists():
            return []
        lines = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
        return [line for line in lines if event in (None, line["event"])]

    def log_text(self) -> str:
        """The renewal log as it is."""
        return (self.state / "renewal.log").read_text("utf-8")
