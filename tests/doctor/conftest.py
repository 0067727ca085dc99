"""A small world of DNS: a resolver, and name servers of example.org at several addresses of one port."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

import pytest

from renewer.doctor import examination
from renewer.doctor.examination import Doors, examine
from renewer.model.desired import Agent, Authority, Certificate, Config, Dns01, Http01, Rfc2136
from renewer.model.inspection import Candidate, Checkup, Finding
from renewer.model.names import Identifier
from tests.servers.ports import free_port, release
from tests.servers.scripted_dns import Handler, ScriptedDns, World

DNS01 = Dns01(provider="rfc2136", rfc2136=Rfc2136(server="127.0.0.1:53"))
HTTP01 = Http01(webroot="/var/www/html")
NS1, NS2, NS6 = "127.0.0.1", "127.0.0.2", "::1"
Run = Callable[..., dict[str, Finding]]


@dataclass
class Bed:
    """Servers of one test; `dns_port` is that of all name servers."""

    servers: ExitStack
    dns_port: int = field(default_factory=free_port)
    resolver_port: int = field(default_factory=free_port)
    doors: dict[str, int] = field(default_factory=dict)
    limit: float = 10.0
    authorities: tuple[Candidate, ...] = (Candidate(name="ours", public=False),)

    def serve(self, handler: Handler, address: str = NS1) -> ScriptedDns:
        """A name server."""
        return self.servers.enter_context(ScriptedDns(handler, address=address, port=self.dns_port))

    def resolver(self, handler: Handler) -> ScriptedDns:
        """The resolver of this host."""
        return self.servers.enter_context(ScriptedDns(handler, port=self.resolver_port))

    def world(self, *lines: str, serving: tuple[str, ...] = (NS1,)) -> World:
        """A world in which name servers at these addresses serve everything, and a resolver knows it."""
        world = World(*lines)
        for address in serving:
            self.serve(world.serves("example.org", "sub.example.org", "example.net", "org"), address)
        self.resolver(world.resolves())
        return world

    def config(self, *names: str, challenge: Any = DNS01) -> Config:
        """One certificate with these names."""
        certificate = Certificate(
            name="www",
            names=tuple(map(Identifier.parse, names)),
            authorities=tuple(one.name for one in self.authorities),
            challenge=challenge,
            hosts=("web-1",),
        )
        return Config(
            path="/etc/renewer/config.toml",
            agent=Agent(state="/nonexistent", resolvers=(f"127.0.0.1:{self.resolver_port}",)),
            authorities={
                one.name: Authority(name=one.name, directory="https://127.0.0.1:9/")
                for one in self.authorities
            },
            certificates={"www": certificate},
            hooks={},
        )

    def checkups(self, *names: str, challenge: Any = DNS01) -> tuple[Checkup, ...]:
        """What doctor finds."""
        config = self.config(*names, challenge=challenge)
        doors = Doors(dns=self.dns_port, **self.doors)
        return examine(
            config, config.certificates.values(), state=config.agent.state, limit=self.limit, doors=doors
        )

    def findings(self, name: str, challenge: Any = DNS01) -> dict[str, Finding]:
        """What doctor finds about one name, by code."""
        (checkup,) = self.checkups(name, challenge=challenge)
        return {one.code: one for one in checkup.findings}


@pytest.fixture
def bed(monkeypatch: pytest.MonkeyPatch) -> Iterator[Bed]:
    """Nobody serves yet. The authority is asked for nothing: what is known of it is given."""
    with ExitStack() as servers:
        made = Bed(servers)
        known = {one.name: one for one in made.authorities}
        monkeypatch.setattr(
            examination,
            "candidate",
            lambda _, name, *__: {one.name: one for one in made.authorities}.get(name, known.get(name)),
        )
        yield made
    release(made.dns_port, made.resolver_port)
