"""BIND: a real name server for zones that take DNS updates, for lagging secondaries, and as a resolver."""

import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

import dns.message
import dns.opcode
import dns.query
import dns.rdatatype

from .nameserver import Key, Zone, named_user, zone_file
from .ports import free_port
from .process import Process, ServerFailedError
from .relay import Relay


@dataclass(slots=True)
class Bind:
    """One named at one address; it keeps its files in `directory`.

    `zones` are primary ones; `secondary` gives names of zones and the (address, port) they come from. They
    are fetched at the start and then every `refresh` seconds, or by `fetch`: none says NOTIFY, so it lags.
    `forward` makes it a resolver: zones and the (address, port) of the server that is asked.
    """

    directory: Path
    address: str = "127.0.0.1"
    port: int = field(default_factory=free_port)
    zones: Sequence[Zone] = ()
    keys: Sequence[Key] = ()
    secondary: Mapping[str, tuple[str, int]] = field(default_factory=dict)
    forward: Mapping[str, tuple[str, int]] = field(default_factory=dict)
    refresh: int = 3600
    ipv6: bool = False
    options: str = ""
    writable: bool = True
    _process: Process | None = None
    _inner: int = field(default_factory=free_port)
    _relays: list[Relay] = field(default_factory=list)

    def start(self) -> Self:
        """Start it and return when it answers; zones that were changed before keep their changes."""
        program = shutil.which("named", path=f"{os.environ['PATH']}:/usr/sbin")
        if program is None:
            raise ServerFailedError("BIND is not set up; run: tests/setup.sh test")
        user = named_user()
        self._zones.mkdir(parents=True, exist_ok=True)
        for zone in self.zones:
            path = self._zones / f"{zone.name}.zone"
            if not path.exists():
                path.write_text(zone_file(zone))
        self._config.write_text(self._text())
        self._hand_over(user)
        argv = [program, "-c", self._config, "-g", "-n", "1", *(("-u", user) if user else ())]
        self._process = Process(argv, log=self.directory / "named.log")
        self._process.wait_for_port(self._inner)
        self._process.wait_for_log("running")
        for name in self.secondary:
            if not (self.directory / f"{name}.copy").exists():
                self._process.wait_for_log(f"zone {name}/IN: transferred serial")
        if not self._relays:
            addresses = (self.address, *(("::1",) if self.ipv6 else ()))
            self._relays = [Relay(address, self.port, self._inner) for address in addresses]
        return self

    def stop(self) -> None:
        """End it; its port stays its own."""
        if self._process is not None:
            self._process.kill()
            self._process = None
        for relay in self._relays:
            relay.close()
        self._relays.clear()

    def fetch(self, zone: str) -> None:
        """Have the secondary look for news of a zone now (RFC 1996)."""
        notify = dns.message.make_query(zone, dns.rdatatype.SOA)
        notify.set_opcode(dns.opcode.NOTIFY)
        dns.query.udp(notify, "127.0.0.1", port=self._inner, timeout=60)

    @property
    def _zones(self) -> Path:
        return self.directory / "zones"

    @property
    def _config(self) -> Path:
        return self.directory / "named.conf"

    def _hand_over(self, user: str) -> None:
        """To the user that it runs as; a directory that it may not write in makes updates fail."""
        if user:
            for path in (self.directory, *self.directory.rglob("*")):
                shutil.chown(path, user)
        if not self.writable:
            shutil.chown(self._zones, os.geteuid())
            self._zones.chmod(0o555)
        for parent in self.directory.parents:  # pytest's own are for their owner only
            if parent.stat().st_mode & 0o005 != 0o005 and parent.stat().st_uid == os.geteuid():
                parent.chmod(parent.stat().st_mode | 0o055)

    def _text(self) -> str:
        lines = [
            "options {",
            f'  directory "{self.directory}"; pid-file none; session-keyfile none; lock-file none;',
            f'  managed-keys-directory "{self.directory}"; geoip-directory none;',
            f"  listen-on port {self._inner} {{ 127.0.0.1; }}; listen-on-v6 {{ none; }};",
            f"  recursion {'yes' if self.forward else 'no'}; allow-query {{ any; }}; dnssec-validation no;",
            "  check-names primary ignore; check-names response ignore;",  # names like _acme-challenge
            "  empty-zones-enable no; notify no; allow-transfer { any; }; minimal-responses no;",
            f"  prefetch 0; {self.options}",
            "};",
            "controls { };",
        ]
        lines += [
            f'key "{key.name}" {{ algorithm {key.algorithm}; secret "{key.secret}"; }};' for key in self.keys
        ]
        lines += [self._zone(zone) for zone in self.zones]
        for name, (address, port) in self.secondary.items():
            source = f"primaries {{ {address} port {port}; }}; allow-notify {{ 127.0.0.1; }}"
            source += f"; min-refresh-time {self.refresh}; max-refresh-time {self.refresh}"
            lines.append(f'zone "{name}" {{ type secondary; file "{name}.copy"; {source}; }};')
        for name, (address, port) in self.forward.items():
            to = f"forward only; forwarders {{ {address} port {port}; }}"
            lines.append(f'zone "{name}" {{ type forward; {to}; }};')
        return "\n".join((*lines, ""))

    def _zone(self, zone: Zone) -> str:
        policy = "".join(
            f'grant "{key.name}" zonesub TXT TLSA; ' for key in self.keys if key.name in zone.keys
        )
        rule = f"update-policy {{ {policy}}};" if policy else "allow-update { none; };"
        notify = " ".join(f"{address} port {port};" for address, port in zone.notify)
        tell = f"notify explicit; also-notify {{ {notify} }};" if notify else ""
        return f'zone "{zone.name}" {{ type primary; file "zones/{zone.name}.zone"; {rule} {tell} }};'

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()


BindFactory = Callable[..., Bind]
"""The type of the fixture `bind_factory`; it takes the fields of Bind but for its directory."""
