"""Knot DNS: the other real name server for zones that take DNS updates."""

import os
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from .nameserver import Key, Zone, zone_file
from .ports import free_port
from .process import Process, ServerFailedError


@dataclass(slots=True)
class Knot:
    """One knotd at one address; it keeps its files in `directory`."""

    directory: Path
    address: str = "127.0.0.1"
    port: int = field(default_factory=free_port)
    zones: Sequence[Zone] = ()
    keys: Sequence[Key] = ()
    _process: Process | None = None

    def start(self) -> Self:
        """Start it and return when it answers; zones that were changed before keep their changes."""
        program = shutil.which("knotd", path=f"{os.environ['PATH']}:/usr/sbin")
        if program is None:
            raise ServerFailedError("Knot is not set up; run: tests/setup.sh test")
        self.directory.mkdir(parents=True, exist_ok=True)
        for zone in self.zones:
            path = self.directory / f"{zone.name}.zone"
            if not path.exists():
                path.write_text(zone_file(zone))
        config = self.directory / "knot.conf"
        config.write_text(self._text())
        self._process = Process([program, "-c", config], log=self.directory / "knotd.log")
        self._process.wait_for_port(self.port, host=self.address)
        self._process.wait_for_log("server started", "started in the foreground")
        return self

    def stop(self) -> None:
        """End it; its port stays its own."""
        if self._process is not None:
            self._process.kill()
            self._process = None

    def _text(self) -> str:
        lines = [
            "server:",
            f"    listen: {self.address}@{self.port}",
            f"    rundir: {self.directory}",
            "    tcp-workers: 1",
            "    udp-workers: 1",
            "    background-workers: 1",
            "log:",
            "  - target: stdout",
            "    any: info",
            "database:",
            f"    storage: {self.directory}",
        ]
        if self.keys:
            lines.append("key:")
        for key in self.keys:
            lines += [f"  - id: {key.name}", f"    algorithm: {key.algorithm}", f"    secret: {key.secret}"]
        lines.append("acl:")
        for key in self.keys:
            lines += [f"  - id: by-{key.name}", f"    key: {key.name}"]
            lines += ["    action: update", "    update-type: [TXT]"]
        lines += ["  - id: anybody", "    address: 127.0.0.0/8", "    action: transfer", "zone:"]
        for zone in self.zones:
            acl = ["anybody", *(f"by-{key.name}" for key in self.keys if key.name in zone.keys)]
            lines += [
                f"  - domain: {zone.name}",
                f"    storage: {self.directory}",
                f"    file: {zone.name}.zone",
            ]
            lines += [
                f"    acl: [{', '.join(acl)}]",
                "    zonefile-load: difference",
                "    journal-max-usage: 8M",
            ]
        return "\n".join((*lines, ""))

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()


KnotFactory = Callable[..., Knot]
"""The type of the fixture `knot_factory`; it takes the fields of Knot but for its directory."""
