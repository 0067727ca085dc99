"""A small world of names: BIND and Knot as primaries, a lagging secondary, and a resolver that remembers."""

import math
import os
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any, Self

from renewer.issue.dns01 import Dns01Solver
from renewer.issue.providers import make
from renewer.model.desired import Dns01, Propagation, Rfc2136, Secret, SecretSource, Tsig, TsigAlgorithm
from renewer.model.names import Identifier
from renewer.model.solver import Task
from tests.servers.bind import Bind
from tests.servers.knot import Knot
from tests.servers.nameserver import Key, Zone
from tests.servers.ports import free_port

BIND, KNOT, SECONDARY, RESOLVER = "127.0.0.2", "127.0.0.3", "127.0.0.4", "127.0.0.5"
BIND_ZONE, KNOT_ZONE, LAGGING_ZONE, SIX_ZONE = (
    "bind.example",
    "knot.example",
    "lagging.example",
    "six.example",
)
OTHERS = "not ours, and it stays"
KEYS = [Key(), Key("acme384", "hmac-sha384"), Key("acme512", "hmac-sha512")]
STRANGER = Key("stranger")  # known to the servers, but no zone lets it change anything

BIND_RECORDS = (
    f'_acme-challenge TXT "{OTHERS}"',
    f"_acme-challenge.via CNAME via.acme.{KNOT_ZONE}.",
    "_acme-challenge.chain CNAME one.links",
    "one.links CNAME two.links",
    f"two.links CNAME end.{KNOT_ZONE}.",
    "_acme-challenge.loop CNAME a.loop",
    "a.loop CNAME b.loop",
    "b.loop CNAME a.loop",
    "_acme-challenge.cut NS ns1",
    f"*.wild CNAME cdn.{KNOT_ZONE}.",
)


@dataclass(slots=True)
class Bed:
    """The servers; all listen at one port of addresses of their own."""

    directory: Path
    port: int = field(default_factory=free_port)
    bind: Bind = field(init=False)
    knot: Knot = field(init=False)
    secondary: Bind = field(init=False)
    resolver: Bind = field(init=False)
    _running: ExitStack = field(default_factory=ExitStack)

    def __post_init__(self) -> None:
        """Choose what they serve."""
        names = tuple(key.name for key in KEYS)
        keys = [*KEYS, STRANGER]
        self.bind = Bind(
            self.directory / "bind",
            address=BIND,
            port=self.port,
            ipv6=True,
            keys=keys,
            zones=[
                Zone(BIND_ZONE, servers=(BIND,), records=BIND_RECORDS, keys=names),
                Zone(f"_acme-challenge.cut.{BIND_ZONE}", servers=(BIND,), keys=names),
                Zone(LAGGING_ZONE, servers=(BIND, SECONDARY), keys=names),
                Zone(SIX_ZONE, servers=("::1",), keys=names),
            ],
        )
        self.knot = Knot(
            self.directory / "knot",
            address=KNOT,
            port=self.port,
            keys=keys,
            zones=[Zone(KNOT_ZONE, servers=(KNOT,), keys=names)],
        )
        self.secondary = Bind(
            self.directory / "secondary",
            address=SECONDARY,
            port=self.port,
            secondary={LAGGING_ZONE: (BIND, self.port)},
        )
        at_bind, at_knot = (BIND, self.port), (KNOT, self.port)
        self.resolver = Bind(
            self.directory / "resolver",
            address=RESOLVER,
            port=self.port,
            forward={BIND_ZONE: at_bind, KNOT_ZONE: at_knot, LAGGING_ZONE: at_bind, SIX_ZONE: at_bind},
            options="max-cache-ttl 0; max-ncache-ttl 300;",
        )

    @property
    def resolver_address(self) -> str:
        """HOST:PORT of the resolver."""
        return f"{RESOLVER}:{self.port}"

    def challenge(
        self,
        server: str = BIND,
        key: Key | None = KEYS[0],
        *,
        propagation: dict[str, Any] | None = None,
    ) -> Dns01:
        """A challenge as a config would have it, for one of the servers."""
        host = f"[{server}]" if ":" in server else server
        rule = {
            "resolvers": (self.resolver_address,),
            "timeout": timedelta(seconds=20),
            **(propagation or {}),
        }
        return Dns01(
            provider="rfc2136",
            rfc2136=Rfc2136(server=f"{host}:{self.port}", tsig=tsig(key) if key else None),
            propagation=Propagation(**rule),
        )

    def solver(
        self, *arguments: Any, until: Callable[[], float] = lambda: math.inf, **keywords: Any
    ) -> Dns01Solver:
        """The solver of such a challenge."""
        challenge = self.challenge(*arguments, **keywords)
        return Dns01Solver(challenge, provider=partial(make, challenge), until=until)

    def __enter__(self) -> Self:
        for server in (self.bind, self.knot, self.secondary, self.resolver):
            self._running.enter_context(server)
        return self

    def __exit__(self, *_: object) -> None:
        self._running.close()


def tsig(key: Key) -> Tsig:
    """The key as the config has it: its secret is in the environment."""
    variable = f"TSIG_{key.name}_{abs(hash(key.secret))}"
    os.environ[variable] = key.secret
    secret = Secret(source=SecretSource.ENV, argument=(variable,))
    return Tsig(name=key.name, secret=secret, algorithm=TsigAlgorithm(key.algorithm))


def tasks(*names: str, run: str = "1") -> Sequence[Task]:
    """Challenges for names; another run has other values."""
    return [
        Task(
            certificate="www",
            identifier=Identifier.parse(name),
            type="dns-01",
            token=f"token-{run}-{number}",
            key_authorization=f"token-{run}-{number}.thumbprint",
        )
        for number, name in enumerate(names)
    ]
