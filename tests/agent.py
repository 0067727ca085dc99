"""One agent without a web server: a config, a state directory, and the real command, run to its end."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cryptography import x509

from renewer.ledger.sqlite import SqliteLedger
from renewer.model.facts import Record
from tests import toml
from tests.command import Ended, renewer
from tests.servers.pebble import Pebble

Table = dict[str, Any]


@dataclass(slots=True)
class Agent:
    """`tables` are those of the config, by dotted name; in what the command runs is `around` it."""

    directory: Path
    tables: dict[str, Table] = field(default_factory=dict)
    around: tuple[str, ...] = ()

    @property
    def state(self) -> Path:
        """The state directory."""
        return self.directory / "state"

    def write(self) -> Path:
        """Write the config as the tables stand now; its path."""
        self.directory.mkdir(parents=True, exist_ok=True)
        config = self.directory / "config.toml"
        agent = {"state": str(self.state), "host": "web-1", "preflight": "off"} | self.tables.get("agent", {})
        config.write_text(toml.tables(self.tables | {"agent": agent}))
        return config

    def cli(self, *arguments: str, env: Mapping[str, str] | None = None) -> Ended:
        """Run the real command with the config as the tables stand now."""
        return renewer("--config", self.write(), *arguments, env=env, around=self.around)

    def json(self, *arguments: str, code: int = 0) -> Any:
        """The document of a command that ends with this exit code."""
        ended = self.cli(*arguments, "--json")
        assert ended.code == code, f"{ended.code}, not {code}:\n{ended.out}\n{ended.err}"
        return ended.document

    def chain(self, certificate: str = "www") -> list[x509.Certificate]:
        """What lies at `live`, leaf first."""
        path = self.state / "certificates" / certificate / "live/fullchain.pem"
        return x509.load_pem_x509_certificates(path.read_bytes())

    def serial(self, certificate: str = "www") -> str:
        """The serial at `live`, as Pebble writes it."""
        return f"{self.chain(certificate)[0].serial_number:x}"

    def key(self, certificate: str = "www") -> bytes:
        """The private key at `live`."""
        return (self.state / "certificates" / certificate / "live/privkey.pem").read_bytes()

    def remembered(self, kind: type[Record]) -> list[Any]:
        """The ledger's records of a kind."""
        ledger = SqliteLedger.look(str(self.state / "ledger.db"))
        try:
            return list(ledger.load(kind))
        finally:
            ledger.close()

    def forget(self, *records: Record) -> None:
        """Take records out of the ledger."""
        ledger = SqliteLedger.open(str(self.state / "ledger.db"))
        ledger.drop(*records)
        ledger.close()

    def files(self) -> dict[str, bytes]:
        """Every file below the state directory but the log, to see that nothing changed."""
        return {
            str(path.relative_to(self.state)): path.read_bytes()
            for path in sorted(self.state.rglob("*"))
            if path.is_file() and not path.is_symlink() and path.name != "lock"
        }


def at_pebble(directory: Path, pebble: Pebble, **certificate: Any) -> Agent:
    """An agent with the certificate `www` at a Pebble, that listens for http-01 itself."""
    return Agent(
        directory,
        {
            "authority.pebble": authority(pebble),
            "certificate.www": {
                "names": ["www.example.org"],
                "authority": "pebble",
                "challenge": listen(pebble.http_port),
                **certificate,
            },
        },
    )


def authority(pebble: Pebble) -> Table:
    """An authority's table for a Pebble."""
    return {
        "directory": pebble.directory,
        "contact": ["ops@example.org"],
        "agree_terms": True,
        "ca_bundle": str(pebble.ca_bundle),
        "profile": "default",
    }


def listen(port: int, host: str = "127.0.0.1") -> Table:
    """A challenge answered by our own listener."""
    return {"type": "http-01", "listen": f"{host}:{port}", "preflight": "off"}
