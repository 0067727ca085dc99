"""One agent and one real server: versions come from a root of the test's own, hooks and ports are real."""

import os
import re
import subprocess
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
from cryptography import x509 as pyca

from renewer import certs, inventory, refresh
from renewer.config.load import load
from renewer.context import Context
from renewer.ledger.sqlite import SqliteLedger
from renewer.model.decision import RunReport, Step
from renewer.model.facts import Deployment, Sighting, Version
from renewer.run import Limits, run
from renewer.store.contract import Material
from renewer.store.layout import version_id
from renewer.store.lock import Lock
from tests import toml
from tests.command import renewer
from tests.servers.certificates import ServerRoot

CHECKOUT = Path(__file__).resolve().parents[2]
NAME = "www.example.org"
_LIMIT = 60  # seconds for one command: far more than any takes
_STEPS = frozenset({Step.INSTALL, Step.DEPLOY, Step.LOOK})
_WRAPPER = """\
#!/bin/sh
# The shipped hook; at `deploy` it may also fail or hang after the server has loaded the new certificate.
mode=$(cat '{mode}' 2>/dev/null)
echo "$1" >>'{calls}'
if [ "$1" = deploy ] && [ -n "$mode" ]; then
    '{hook}' "$@" || exit
    if [ "$mode" = hang ]; then exec sleep 600; fi
    echo "error: told to fail" >&2
    exit 1
fi
exec '{hook}' "$@"
"""


class Server(ABC):
    """A real server of a kind that a shipped hook is for.

    `hook` is the shipped hook's name, `env` what makes it address this very server; `starttls` is the
    protocol as `endpoints` knows it; `copies` are its, if it cannot read from `live`; `notices`
    is whether the hook's own `test` notices a key that does not fit its certificate.
    """

    hook: str
    port: int
    env: Mapping[str, str]
    starttls: str | None = None
    copies: Sequence[Mapping[str, Any]] = ()
    notices = False

    @abstractmethod
    def start(self) -> None:
        """Start it and wait until it answers with what lies in its files; it may have been stopped before.

        Copies that are not there before the first deployment it lays down itself, as a distribution does.
        """

    @abstractmethod
    def stop(self) -> None:
        """End it."""


class Bed:
    """One certificate, one hook, one server, at the directory of a test."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.root = ServerRoot()
        self.roots = self.root.write(directory / "roots.pem")
        self.mode = directory / "mode"
        self.made = 0
        self.patience = 3  # seconds that a hook has which is told to hang
        self._closing = ExitStack()
        self.server: Server

    def serve(self, server: Server) -> None:
        """Start the server that reads from `live` or copies, after config and placeholder."""
        self.server = server
        self._closing.callback(server.stop)
        wrapper = self.directory / "hook.sh"
        shipped = CHECKOUT / "hooks" / server.hook
        wrapper.write_text(_WRAPPER.format(mode=self.mode, calls=self.directory / "calls", hook=shipped))
        wrapper.chmod(0o755)
        self.write_config()
        with self.context() as context:
            refresh.placeholders(context, inventory.take(context).values())
        server.start()

    def write_config(self, **certificate: Any) -> None:
        """Write the config; keywords are more keys of the certificate."""
        server = self.server
        endpoint: dict[str, Any] = {"host": "127.0.0.1", "port": server.port, "server_name": NAME}
        if server.starttls:
            endpoint["starttls"] = server.starttls
        tables: dict[str, dict[str, Any]] = {
            "agent": {"state": self.state, "host": "web-1", "preflight": "off"},
            "authority.test": {
                "directory": "https://127.0.0.1:1/directory",
                "agree_terms": True,
                "contact": ["ops@example.org"],
                "roots": self.roots,
            },
            "certificate.www": {
                "names": [NAME],
                "authority": "test",
                "challenge": {"type": "http-01", "webroot": self.directory},
                "hooks": ["it"],
                "endpoints": [endpoint],
                "copies": server.copies,
                **certificate,
            },
            "hook.it": {
                "run": self.directory / "hook.sh",
                "events": ["test", "deploy", "rollback"],
                "timeout": "10s",
                "env": server.env,
            },
        }
        self.config.write_text(toml.tables(tables))
        self.config.chmod(0o600)

    def close(self) -> None:
        """Stop the server."""
        self._closing.close()

    # --- where things are -------------------------------------------------------------------------------

    @property
    def state(self) -> Path:
        """The state directory."""
        return self.directory / "state"

    @property
    def config(self) -> Path:
        """The config file."""
        return self.directory / "config.toml"

    @property
    def live(self) -> Path:
        """The live link, whose files a server's config names."""
        return self.state / "certificates" / "www" / "live"

    @property
    def calls(self) -> list[str]:
        """The events that the hook was called with so far."""
        path = self.directory / "calls"
        return path.read_text().splitlines() if path.exists() else []

    # --- what is done -----------------------------------------------------------------------------------

    @contextmanager
    def context(self) -> Iterator[Context]:
        """The equipment of a run, under the lock."""
        config = load(str(self.config))
        with Lock(config.agent.state, group=config.agent.group), Context(config, write=True) as context:
            yield context

    def put(self, valid_for: timedelta = timedelta(days=90), names: Sequence[str] = (NAME,)) -> Version:
        """A new version on disk, younger than all before, as an authority has just issued it."""
        self.made += 1
        at = datetime.now(UTC).replace(microsecond=0) - timedelta(hours=1) + timedelta(minutes=self.made)
        pair = self.root.issue(self.directory / "issued", *names, stem=str(self.made), valid_for=valid_for)
        material = Material(privkey=pair.key.read_bytes(), cert=pair.cert.read_bytes(), chain=self.root.pem)
        leaf = certs.leaf(material.cert)
        version = Version(id=version_id(at, leaf.serial), made_at=at, leaf=leaf)
        with self.context() as context:
            return context.store.put("www", version, material, key_mode=0o600)

    def put_broken(self) -> Version:
        """A new version whose key is not its certificate's."""
        version = self.put()
        other = self.root.issue(self.directory / "issued", NAME, stem="other")
        (self.live.parent / "versions" / version.id / "privkey.pem").write_bytes(other.key.read_bytes())
        return version

    def remove(self, version: Version) -> None:
        """Take a version away again that is not live."""
        with self.context() as context:
            context.store.remove("www", version.id)

    @contextmanager
    def forced(self, version: Version) -> Iterator[None]:
        """Its files at `live` and in copies of fullchain and key, past all checks, and then as before."""
        link = self.live.readlink()
        copies = {
            Path(path): _FILES[part]
            for table in self.server.copies
            for part, path in table.items()
            if part in _FILES
        }
        before = {path: path.read_bytes() for path in copies}
        self.live.unlink()
        self.live.symlink_to(link.with_name(version.id))
        for path, file in copies.items():
            path.write_bytes((self.live / file).read_bytes())
        try:
            yield
        finally:
            self.live.unlink()
            self.live.symlink_to(link)
            for path, content in before.items():
                path.write_bytes(content)

    def run(self) -> RunReport:
        """One run that orders nothing."""
        with self.context() as context:
            return run(context, Limits(steps=_STEPS))

    def cli(self, *arguments: str, code: int = 0) -> Any:
        """The document of a real command that must end with this exit code."""
        ended = renewer("--config", self.config, *arguments, "--json")
        assert ended.code == code, f"{ended.code}, not {code}:\n{ended.said}"
        return ended.document

    def call(self, event: str) -> int:
        """Call the shipped hook alone, as the agent would, for what lies at `live`; its exit code."""
        ended = subprocess.run(
            [CHECKOUT / "hooks" / self.server.hook, event],
            env={
                "PATH": os.environ["PATH"],
                "RENEWER_EVENT": event,
                "RENEWER_HOOK": "it",
                "RENEWER_HOST": "web-1",
                "RENEWER_RUN": "r",
                "RENEWER_CERTIFICATES": "www",
                "RENEWER_LIVE": str(self.live),
                **self.server.env,
            },
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_LIMIT,
            check=False,
        )
        return ended.returncode

    def age(self, by: timedelta = timedelta(days=2)) -> None:
        """Let every failure and look lie further back, as if so much time had passed."""
        ledger = SqliteLedger.open(str(self.state / "ledger.db"))
        try:
            records: list[Deployment | Sighting] = [*ledger.load(Deployment), *ledger.load(Sighting)]
            ledger.save(*(msgspec.structs.replace(one, at=one.at - by) for one in records))
        finally:
            ledger.close()

    # --- what is so -------------------------------------------------------------------------------------

    def served(self) -> str:
        """The serial at the port, seen by openssl: none of the package's code is asked."""
        return shown(self.server.port, self.server.starttls)

    def live_id(self) -> str:
        """The version that is live."""
        return self.live.readlink().name


def shown(port: int, starttls: str | None, name: str = NAME) -> str:
    """The serial that openssl sees at a port of this host; or what it says, if it sees none."""
    argv = ["openssl", "s_client", "-connect", f"127.0.0.1:{port}", "-servername", name]
    if starttls:
        argv += ["-starttls", _OPENSSL.get(starttls, starttls)]
        if starttls == "xmpp":
            argv += ["-xmpphost", NAME]
    ended = subprocess.run(
        argv, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=20, check=False
    )
    found = re.search(r"-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----", ended.stdout, re.DOTALL)
    if found is None:
        return f"nothing: {ended.stderr.strip()[-300:]}"
    serial = f"{pyca.load_pem_x509_certificate(found[0].encode()).serial_number:x}"
    return serial.zfill(len(serial) + len(serial) % 2)


_FILES = {"fullchain": "fullchain.pem", "key": "privkey.pem"}
_OPENSSL = {"submission": "smtp", "postgresql": "postgres"}
"""Protocols that openssl calls otherwise."""
