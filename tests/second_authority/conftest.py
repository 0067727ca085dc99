"""acme2certifier, started for a test, and agents that know it."""

import socket
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.agent import Agent, Table, listen
from tests.servers.acme2certifier import Acme2certifier, Acme2certifierFactory, installed


@pytest.fixture
def second_factory(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Acme2certifierFactory]:
    """Makes started ones with settings of their own."""
    if installed() is None:
        pytest.skip("acme2certifier is not set up; run: tests/setup.sh test")
    if not _may_bind():
        pytest.skip("acme2certifier validates at ports 80 and 53, which need root here")
    with ExitStack() as servers:

        def make(**settings: Any) -> Acme2certifier:
            return servers.enter_context(Acme2certifier(tmp_path_factory.mktemp("second"), **settings))

        yield make


@pytest.fixture
def second(second_factory: Acme2certifierFactory) -> Acme2certifier:
    """A started one with two profiles."""
    return second_factory(profiles={"short": 6, "long": 90})


def table(server: Acme2certifier, **more: Any) -> Table:
    """Its table in the config."""
    return {
        "directory": server.directory,
        "contact": ["ops@example.org"],
        "agree_terms": True,
        "ca_bundle": str(server.ca_bundle),
        **more,
    }


def at_second(directory: Path, server: Acme2certifier, **certificate: Any) -> Agent:
    """An agent with the certificate `www` there."""
    return Agent(
        directory,
        {
            "authority.second": table(server),
            "certificate.www": {
                "names": ["www.example.org"],
                "authority": "second",
                "challenge": listen(80, server.web),
                **certificate,
            },
        },
    )


def _may_bind() -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.99.99.80", 80))
        except OSError:
            return False
    return True
