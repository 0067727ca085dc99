"""dns-01: wildcards, apexes and 20 names over two zones and a delegation, in one run."""

import sys
from pathlib import Path

from tests.benchmarks.contenders import Bed
from tests.benchmarks.measure import Sample, Series, measure
from tests.benchmarks.scenarios import Result, Row, Turns
from tests.challenges.dns01.bed import RESOLVER
from tests.challenges.dns01.bed import Bed as NameServers
from tests.challenges.dns01.test_whole_runs import CHECKOUT, NAMES, Host
from tests.servers.pebble import Pebble

GOAL = 3.0  # seconds, and what the servers need


def dns(bed: Bed, turns: Turns) -> Result:
    """One issuance by rfc2136 against real BIND and Knot; no peer does the like without a flat sleep."""
    directory = bed.directory / "dns"
    directory.mkdir()
    servers = NameServers(directory)
    with servers, Pebble(directory / "pebble", dns_server=f"{RESOLVER}:{servers.port}") as pebble:
        samples = tuple(_issue(directory / f"host{turn}", servers, pebble) for turn in range(turns.many))
    series = Series(samples)
    measured = f"{len(NAMES)} names by dns-01, two zones"
    return Result([Row(measured, str(series), "", "", f"≤ {GOAL:g} s", series.best <= GOAL)])


def _issue(directory: Path, servers: NameServers, pebble: Pebble) -> Sample:
    directory.mkdir()
    host = Host(directory, servers, pebble, NAMES)
    host.write()
    agent = [sys.executable, "-m", "tests.challenges.dns01.agent", str(servers.port), str(host.grace)]
    return measure([*agent, "--config", directory / "config.toml", "run"], cwd=CHECKOUT)
