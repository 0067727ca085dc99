"""Whole runs by the real command: Pebble asks a resolver that remembers; BIND and Knot are authoritative."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from renewer.ledger.sqlite import SqliteLedger
from renewer.model.facts import Debris
from tests.challenges.dns01.bed import (
    BIND,
    BIND_ZONE,
    KEYS,
    KNOT,
    KNOT_ZONE,
    LAGGING_ZONE,
    OTHERS,
    RESOLVER,
    SECONDARY,
    Bed,
)
from tests.command import Started, renewer, start
from tests.servers.handshake import wait_until
from tests.servers.nameserver import all_txt
from tests.servers.pebble import Pebble

pytestmark = pytest.mark.real
CHECKOUT = Path(__file__).resolve().parents[3]
LIMIT = 60  # seconds for one command: far more than any takes
NAMES = [
    *(BIND_ZONE, f"*.{BIND_ZONE}", KNOT_ZONE, f"*.{KNOT_ZONE}", f"via.{BIND_ZONE}"),
    *(f"h{number}.{zone}" for zone in (BIND_ZONE, KNOT_ZONE) for number in range(9)),
]
AT_KNOT = [name for name in NAMES if name.endswith(KNOT_ZONE) or name.startswith("via.")]


@pytest.fixture(scope="module")
def authority(started_bed: Bed, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pebble]:
    """A Pebble that knows names only from the bed's resolver."""
    with Pebble(tmp_path_factory.mktemp("pebble"), dns_server=f"{RESOLVER}:{started_bed.port}") as pebble:
        yield pebble


@dataclass
class Host:
    """A host with the agent and no web server."""

    directory: Path
    bed: Bed
    pebble: Pebble
    names: list[str]
    rule: str = 'timeout = "20s"'
    grace: float = 0.3

    def write(self) -> None:
        """The config: names at Knot have a challenge of their own."""
        key = self.directory / "tsig"
        key.write_text(f"{KEYS[0].secret}\n")
        key.chmod(0o600)
        other = {name: "knot" for name in self.names if name in AT_KNOT}
        lines = [
            "[agent]",
            f'state = "{self.directory}/state"',
            "[authority.pebble]",
            f'directory = "{self.pebble.directory}"',
            f'ca_bundle = "{self.pebble.ca_bundle}"',
            'roots = "any"',
            'profile = "long"',
            "agree_terms = true",
            *self._challenge("bind", BIND, key),
            *self._challenge("knot", KNOT, key),
            "[certificate.www]",
            f"names = {json.dumps(self.names)}",
            'authority = "pebble"',
            'challenge = "bind"',
            "challenges = { " + ", ".join(f'"{name}" = "{way}"' for name, way in other.items()) + " }",
            "endpoints = []",
        ]
        (self.directory / "config.toml").write_text("\n".join((*lines, "")))
        (self.directory / "config.toml").chmod(0o600)

    def _challenge(self, name: str, server: str, key: Path) -> list[str]:
        resolvers = f'resolvers = ["{self.bed.resolver_address}"]'
        return [
            f"[challenge.{name}]",
            'type = "dns-01"',
            'provider = "rfc2136"',
            f'server = "{server}:{self.bed.port}"',
            f'tsig = {{ name = "acme", secret = {{ file = "{key}" }} }}',
            f"propagation = {{ {resolvers}, {self.rule} }}",
        ]

    @property
    def around(self) -> tuple[str, ...]:
        """The world in which the command runs."""
        return "tests.challenges.dns01.agent:elsewhere", str(self.bed.port), str(self.grace)

    def start(self, *arguments: str) -> Started:
        """Start the real command."""
        return start("--config", self.directory / "config.toml", *arguments, around=self.around)

    def document(self, *arguments: str, code: int = 0) -> Any:
        """What a command prints as JSON."""
        ended = renewer("--config", self.directory / "config.toml", *arguments, "--json", around=self.around)
        assert ended.code == code, ended.said
        return ended.document

    def run(self, *, code: int = 0) -> Any:
        """One run to its end, and its document."""
        return self.document("run", code=code)

    def notices(self) -> list[str]:
        """What the renewal log tells the operator."""
        lines = (self.directory / "state" / "renewal.log").read_text().splitlines()
        return [str(line["text"]) for line in map(json.loads, lines) if line["event"] == "notice"]

    def debris(self) -> list[Debris]:
        """What is still on record."""
        ledger = SqliteLedger.open(str(self.directory / "state" / "ledger.db"))
        try:
            return list(ledger.load(Debris))
        finally:
            ledger.close()


def left(bed: Bed) -> set[tuple[str, str]]:
    """Every TXT record in every zone but the one that is not ours."""
    zones = [(BIND, BIND_ZONE), (KNOT, KNOT_ZONE), (BIND, LAGGING_ZONE)]
    found = {one for server, zone in zones for one in all_txt(server, bed.port, zone)}
    assert (f"_acme-challenge.{BIND_ZONE}", OTHERS) in found
    return found - {(f"_acme-challenge.{BIND_ZONE}", OTHERS)}


def test_many_names(tmp_path: Path, bed: Bed, authority: Pebble) -> None:
    """Wildcards, apexes, 20 names over two zones and a delegation: one run, nothing left in the zones."""
    host = Host(tmp_path, bed, authority, NAMES)
    host.write()
    mark = authority.mark()
    document = host.run()
    assert {one["result"] for one in document["outcomes"]} == {"done"}
    assert authority.orders_created(mark) == len(authority.certificates_issued(mark)) == 1
    assert left(bed) == set()
    assert host.debris() == []
    assert not any("left" in text for text in host.notices())


def test_killed_in_the_middle(tmp_path: Path, bed: Bed, authority: Pebble) -> None:
    """After kill -9 with the records published, the next run issues and removes also what was left."""
    names = [f"killed.{LAGGING_ZONE}", f"*.killed.{LAGGING_ZONE}", f"killed.{BIND_ZONE}"]
    host = Host(tmp_path, bed, authority, names)
    host.write()
    process = host.start("run")  # it waits for a secondary that lags for an hour
    try:
        wait_until(lambda: len(left(bed)) == 3, what="all records, zone after zone")
    finally:
        process.kill()
    assert len(left(bed)) == len(host.debris()) == 3
    bed.secondary.stop()  # so it does not lag: it is down, told, and left out
    try:
        host.run()
    finally:
        bed.secondary.start()
    assert left(bed) == set()
    assert host.debris() == []
    assert any(f"ns2.{LAGGING_ZONE} ({SECONDARY}:{bed.port})" in text for text in host.notices())


def test_secondary_that_is_required(tmp_path: Path, bed: Bed, authority: Pebble) -> None:
    """With `unreachable = "require"` the authority is not asked without the secondary; nothing is left."""
    host = Host(tmp_path, bed, authority, [f"must.{LAGGING_ZONE}"])
    host.rule = 'timeout = "2s", unreachable = "require"'
    host.write()
    mark = authority.mark()
    bed.secondary.stop()
    try:
        (outcome,) = [one for one in host.run(code=1)["outcomes"] if one["step"] == "issue"]
    finally:
        bed.secondary.start()
    assert "Connection refused" in outcome["detail"]
    assert f"ns1.{LAGGING_ZONE} ({BIND}:{bed.port}) shows it" in outcome["detail"]
    assert authority.certificates_issued(mark) == ()
    assert left(bed) == set()
