"""PowerDNS with its HTTP API: a DNS service as hosters run one, on this machine."""

import os
import secrets
import shutil
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from .loopback import ask
from .ports import free_port, release
from .process import Process, ServerFailedError

_SCHEMA = Path("/usr/share/pdns-backend-sqlite3/schema/schema.sqlite3.sql")
_QUIET = ("cache-ttl", "query-cache-ttl", "negquery-cache-ttl", "zone-cache-refresh-interval")


@dataclass(slots=True)
class PowerDns:
    """One pdns_server; its files are in `directory`, its zones in SQLite. `key` opens the API at `api`.

    It answers 500 if two zones are changed at once: SQLite has one writer.
    """

    directory: Path
    zones: Sequence[str]
    address: str = "127.0.0.1"
    port: int = field(default_factory=free_port)
    key: str = field(default_factory=lambda: secrets.token_hex(16))
    _web: int = field(default_factory=free_port)
    _process: Process | None = None

    @property
    def api(self) -> str:
        """Where the HTTP API is."""
        return f"http://127.0.0.1:{self._web}"

    def start(self) -> Self:
        """Start it and return when it answers, with its zones."""
        program = shutil.which("pdns_server", path=f"{os.environ['PATH']}:/usr/sbin")
        if program is None or not _SCHEMA.exists():
            raise ServerFailedError("PowerDNS is not set up; run: tests/setup.sh test")
        self.directory.mkdir(parents=True, exist_ok=True)
        database = sqlite3.connect(self.directory / "zones.db")
        database.executescript(_SCHEMA.read_text())
        database.close()
        settings = {
            "config-dir": self.directory,
            "socket-dir": self.directory,
            "launch": "gsqlite3",
            "gsqlite3-database": self.directory / "zones.db",
            "local-address": self.address,
            "local-port": self.port,
            "webserver": "yes",
            "webserver-address": "127.0.0.1",
            "webserver-port": self._web,
            "api": "yes",
            "api-key": self.key,
            "daemon": "no",
            "guardian": "no",
            "disable-syslog": "yes",
            "security-poll-suffix": "",  # else it asks the world whether it is up to date
            **dict.fromkeys(_QUIET, 0),
        }
        argv = [program, *(f"--{name}={value}" for name, value in settings.items())]
        self._process = Process(argv, log=self.directory / "pdns.log")
        self._process.wait_for_port(self._web)
        self._process.wait_for_port(self.port, host=self.address)
        for zone in self.zones:
            self._make(zone)
        return self

    def stop(self) -> None:
        """End it and give its ports back."""
        if self._process is not None:
            self._process.kill()
            self._process = None
        release(self.port, self._web)

    def txt(self, zone: str) -> set[tuple[str, str]]:
        """Every TXT record of a zone as (name, value)."""
        return {
            (one["name"].rstrip("."), record["content"].strip('"'))
            for one in self._ask("GET", f"zones/{zone}.")["rrsets"]
            if one["type"] == "TXT"
            for record in one["records"]
        }

    def add_txt(self, zone: str, name: str, value: str) -> None:
        """A record of somebody else's."""
        rrset = _rrset(f"{name}.", "TXT", f'"{value}"') | {"changetype": "REPLACE"}
        self._ask("PATCH", f"zones/{zone}.", json={"rrsets": [rrset]})

    def _make(self, zone: str) -> None:
        records = [
            _rrset(f"{zone}.", "SOA", f"ns1.{zone}. hostmaster.{zone}. 1 3600 600 86400 300"),
            _rrset(f"{zone}.", "NS", f"ns1.{zone}."),
            _rrset(f"ns1.{zone}.", "A", self.address),
        ]
        body = {"name": f"{zone}.", "kind": "Native", "rrsets": records, "nameservers": []}
        self._ask("POST", "zones", json=body)

    def _ask(self, method: str, path: str, **arguments: Any) -> Any:
        url = f"{self.api}/api/v1/servers/localhost/{path}"
        response = ask(method, url, headers={"X-API-Key": self.key}, **arguments)
        return response.json() if response.content else None

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()


def _rrset(name: str, kind: str, content: str) -> dict[str, Any]:
    return {"name": name, "type": kind, "ttl": 300, "records": [{"content": content, "disabled": False}]}
