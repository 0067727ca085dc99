"""Hosts in front of the worker's Pebble; between them and it, a network that fails on demand."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.faults.host import Clock, Host, Web, agents_clock, authority
from tests.servers.bendable import Bendable, BendableFactory
from tests.servers.faultproxy import FaultProxy
from tests.servers.pebble import Pebble
from tests.servers.ports import free_port

__all__ = ["agents_clock"]

HostFactory = Callable[..., Host]
"""Makes a host; it takes the fields of Host, `pebble` for another authority, `directory` of its own."""


@pytest.fixture
def proxy(pebble: Pebble, tmp_path: Path) -> Iterator[FaultProxy]:
    """A network that fails on demand, in front of the shared Pebble."""
    with FaultProxy(pebble, tmp_path / "proxy") as running:
        yield running


@pytest.fixture
def make_host(tmp_path: Path, agents_clock: Clock) -> Iterator[HostFactory]:
    """Makes hosts whose authorities are given as tables; the webroot is answered at `http_port`."""
    with ExitStack() as ending:

        def make(http_port: int, authorities: dict[str, dict[str, Any]], **settings: Any) -> Host:
            web = Web(http_port, tmp_path / "webroot")
            ending.callback(web.stop)
            return ending.enter_context(Host(tmp_path, agents_clock, web, authorities, **settings))

        yield make


@pytest.fixture
def host(make_host: HostFactory, pebble: Pebble, proxy: FaultProxy) -> Host:
    """A host with the certificate `www`, that asks Pebble through the proxy."""
    table = authority(pebble, directory=proxy.directory, ca_bundle=proxy.ca_bundle)
    return make_host(pebble.http_port, {"pebble": table})


@pytest.fixture
def bent(bendable: BendableFactory, agents_clock: Clock) -> Bendable:
    """An authority whose every answer can be bent, with the agent's clock."""
    return bendable(clock=agents_clock.now)


@pytest.fixture
def bent_host(make_host: HostFactory, bent: Bendable) -> Host:
    """A host with the certificate `www`, that asks it."""
    return make_host(free_port(), {"bent": authority(bent)})
