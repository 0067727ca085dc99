"""A whole site for the tests of the main job: config, state directory, Pebble, nginx, hooks of one's own."""

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Self

import msgspec

from renewer import certs, inventory, refresh
from renewer.config.load import load
from renewer.context import Context
from renewer.ledger.sqlite import SqliteLedger
from renewer.model.decision import RunReport
from renewer.model.facts import Deployment, Failure, Record, Sighting
from renewer.run import Limits, run
from renewer.store.lock import Lock
from tests import toml
from tests.command import Ended, renewer
from tests.servers.handshake import served_serial
from tests.servers.nginx import Nginx
from tests.servers.pebble import Pebble
from tests.store.looking import live_pair

CHECKOUT = Path(__file__).resolve().parents[2]

Table = Mapping[str, Any]


@dataclass(slots=True)
class Site:
    """One host with its certificates and its web server; what is given are tables of the config.

    A certificate needs no key: it gets a name of its own, nginx's webroot, hook and port. What it says
    itself comes before that. `shared` is a running nginx that is to serve this site from now on.
    """

    directory: Path
    pebble: Pebble
    certificates: dict[str, dict[str, Any]] = field(default_factory=lambda: {"www": {}})
    hooks: dict[str, dict[str, Any]] = field(default_factory=dict)
    agent: dict[str, Any] = field(default_factory=dict)
    authority: dict[str, Any] = field(default_factory=dict)
    domain: str = "example.org"
    workers: int = 2
    shared: Nginx | None = None
    nginx: Nginx = field(init=False)
    roots: Path = field(init=False)

    def __post_init__(self) -> None:
        """Choose the ports and write the config; `start` starts nginx on placeholders."""
        self.directory.mkdir(parents=True, exist_ok=True)
        self.roots = self.pebble.write_roots(self.directory / "roots.pem")
        served = {
            self.name_of(one): self.paths(one)
            for one, keys in self.certificates.items()
            if keys.get("endpoints") != []
        }
        if self.shared is None:
            self.nginx = Nginx(
                self.directory / "nginx", served, http_port=self.pebble.http_port, workers=self.workers
            )
        else:
            self.nginx = self.shared
            self.nginx.sites = served
        self.nginx.webroot.mkdir(parents=True, exist_ok=True)
        self.write_config()

    def start(self) -> Self:
        """Placeholders at `live`, as a first run leaves them, and nginx on them."""
        self.place_holders()
        if self.shared is None:
            self.nginx.start()
        else:
            self.nginx.write_config()
            self.nginx.reload()
        return self

    def stop(self) -> None:
        """End nginx, if it is ours alone."""
        if self.shared is None:
            self.nginx.stop()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    # --- where things are ---------------------------------------------------------------------------------

    @property
    def state(self) -> Path:
        """The state directory."""
        return self.directory / "state"

    @property
    def config(self) -> Path:
        """The config file."""
        return self.directory / "config.toml"

    @property
    def log(self) -> Path:
        """The renewal log."""
        return self.state / "renewal.log"

    def name_of(self, certificate: str) -> str:
        """The first name of a certificate: the one that nginx knows it by."""
        names: Sequence[str] = self.certificates[certificate].get("names", [f"{certificate}.{self.domain}"])
        return names[0]

    def live(self, certificate: str = "www") -> Path:
        """The live link."""
        return self.state / "certificates" / certificate / "live"

    def paths(self, certificate: str) -> tuple[Path, Path]:
        """What nginx's config names: fullchain and key."""
        live = self.live(certificate)
        return live / "fullchain.pem", live / "privkey.pem"

    # --- the config ---------------------------------------------------------------------------------------

    def write_config(self) -> None:
        """Write the config as the tables stand now."""
        hooks = {"nginx": self.nginx_hook(), **self.hooks}
        tables: dict[str, Table] = {
            "agent": {"state": self.state, "host": "web-1", "preflight": "off", **self.agent},
            "authority.pebble": {
                "directory": self.pebble.directory,
                "contact": ["ops@example.org"],
                "agree_terms": True,
                "ca_bundle": self.pebble.ca_bundle,
                "roots": self.roots,
                "profile": "long",
                **self.authority,
            },
            **{f"certificate.{name}": self._certificate(name) for name in self.certificates},
            **{f"hook.{name}": hook for name, hook in hooks.items()},
        }
        self.config.write_text(toml.tables(tables))
        self.config.chmod(0o600)

    def change(self, certificate: str = "www", **keys: Any) -> None:
        """Change what the config says of a certificate."""
        self.certificates[certificate].update(keys)
        self.write_config()

    def nginx_hook(self, **keys: Any) -> dict[str, Any]:
        """The table of the shipped hook for this very nginx."""
        env = {
            "NGINX": self.nginx.binary,
            "NGINX_PREFIX": f"{self.nginx.prefix}/",
            "NGINX_CONF": self.nginx.config,
            "NGINX_PID": self.nginx.pid_file,
        }
        return {"run": "nginx", "env": env, **keys}

    def _certificate(self, name: str) -> Table:
        first = self.name_of(name)
        return {
            "names": [first],
            "authority": "pebble",
            "challenge": {"type": "http-01", "webroot": self.nginx.webroot, "preflight": "off"},
            "hooks": ["nginx"],
            "endpoints": [{"host": "127.0.0.1", "port": self.nginx.port, "server_name": first}],
            **self.certificates[name],
        }

    def add_hook(self, name: str, *lines: str, mode: int = 0o755, **keys: Any) -> Path:
        """Add a hook of one's own, in sh; `$calls` is a file to write to, `reload` is nginx's HUP."""
        path = self.directory / f"{name}.sh"
        self.hooks[name] = {"run": path, **keys}
        self.write_config()
        return self.script(path, *lines, mode=mode)

    def script(self, path: Path, *lines: str, mode: int = 0o755) -> Path:
        """Write such a hook's file, in place of what is there, as a person does who mends it."""
        beginning = (
            "#!/bin/sh",
            f"calls={self.directory}/calls",
            f"reload() {{ kill -HUP $(cat {self.nginx.pid_file}); }}",
        )
        draft = path.with_suffix(".draft")
        draft.write_text("\n".join((*beginning, *lines, "")))
        draft.chmod(mode)
        draft.rename(path)
        return path

    @property
    def calls(self) -> list[str]:
        """What the hooks of one's own have written to `$calls`."""
        path = self.directory / "calls"
        return path.read_text().splitlines() if path.exists() else []

    # --- commands -----------------------------------------------------------------------------------------

    def argv(self, *arguments: str) -> list[str]:
        """The command line of the real CLI."""
        return [sys.executable, "-m", "renewer", "--config", str(self.config), *arguments]

    def cli(self, *arguments: str, env: Mapping[str, str] | None = None) -> Ended:
        """Run the real CLI to its end."""
        return renewer("--config", self.config, *arguments, env=env)

    def json(self, *arguments: str, exit_code: int = 0) -> Any:
        """The document of a command that ends with this exit code."""
        ended = self.cli(*arguments, "--json")
        assert ended.code == exit_code, f"{ended.code}, not {exit_code}:\n{ended.out}\n{ended.err}"
        return ended.document

    @contextmanager
    def context(self, *, write: bool = True) -> Iterator[Context]:
        """The equipment of a run in this process, under the lock if it may write."""
        config = load(str(self.config))
        if not write:
            with Context(config, write=False) as context:
                yield context
            return
        with Lock(config.agent.state, group=config.agent.group), Context(config, write=True) as context:
            yield context

    def run(self, limits: Limits | None = None) -> RunReport:
        """One run in this process."""
        with self.context() as context:
            return run(context, limits or Limits())

    def place_holders(self) -> None:
        """Self-signed versions where nothing stands, as a run makes them before its first order."""
        with self.context() as context:
            refresh.placeholders(context, inventory.take(context).values())

    # --- what is so ---------------------------------------------------------------------------------------

    def served(self, certificate: str = "www", *, trusted: bool = False) -> str:
        """The serial served at nginx's port, by a handshake that uses none of the package's code."""
        roots = self.roots if trusted else None
        return _octets(served_serial(self.nginx.port, self.name_of(certificate), roots=roots))

    def live_serial(self, certificate: str = "www") -> str:
        """The serial at `live`."""
        return certs.leaf(self.pair(certificate)[1]).serial

    def issued(self, mark: int = 0) -> list[str]:
        """The serials that the authority has issued since a mark of its log."""
        return [_octets(serial) for serial in self.pebble.certificates_issued(mark)]

    def status(self, certificate: str = "www") -> Any:
        """A certificate's part of `status --json`."""
        document = self.cli("status", certificate, "--json").document
        return document["certificates"][0]

    def pair(self, certificate: str = "www") -> tuple[bytes, bytes]:
        """Key and chain at `live`, which fit each other."""
        return live_pair(self.state, certificate)

    def versions(self, certificate: str = "www") -> list[str]:
        """The versions on disk."""
        directory = self.state / "certificates" / certificate / "versions"
        return sorted(path.name for path in directory.iterdir())

    def events(self, certificate: str = "www", *, run_id: str | None = None) -> list[dict[str, Any]]:
        """What the renewal log tells of a certificate and of whole runs."""
        lines = [json.loads(line) for line in self.log.read_text().splitlines()] if self.log.exists() else []
        return [
            line
            for line in lines
            if line["certificate"] in ("", certificate) and run_id in (None, line["run"])
        ]

    def last_events(self, certificate: str = "www") -> list[dict[str, Any]]:
        """Those of the last run."""
        return self.events(certificate, run_id=self.events(certificate)[-1]["run"])

    def challenge_files(self) -> list[Path]:
        """Everything in the webroot: nothing, between runs."""
        return sorted(self.nginx.webroot.rglob("*"))

    # --- the world turns ----------------------------------------------------------------------------------

    def make_due(self, certificate: str = "www", *, explanation_url: str | None = None) -> None:
        """Let the authority say that the live certificate is to be renewed now."""
        now = datetime.now(UTC)
        window = now - timedelta(hours=2), now - timedelta(hours=1)
        _, chain = self.pair(certificate)
        self.pebble.set_renewal_info(chain.decode(), *window, explanation_url=explanation_url)

    def age(self, by: timedelta = timedelta(days=2)) -> None:
        """Let every failure and every look lie further back, as if so much time had passed."""
        ledger = SqliteLedger.open(str(self.state / "ledger.db"))
        try:
            for kind in (Failure, Deployment, Sighting):
                ledger.save(*(_aged(record, by) for record in ledger.load(kind)))
        finally:
            ledger.close()


def _aged(record: Record, by: timedelta) -> Record:
    changes = {"at": getattr(record, "at") - by}  # noqa: B009  every kind of it has one
    if getattr(record, "not_before", None) is not None:
        changes["not_before"] = getattr(record, "not_before") - by  # noqa: B009
    return msgspec.structs.replace(record, **changes)


def _octets(serial: str) -> str:
    """A serial as whole octets, as the package writes it."""
    return serial.zfill(len(serial) + len(serial) % 2)
