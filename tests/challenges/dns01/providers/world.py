"""What tests of providers share: records, providers as a config has them, and an agent at a Pebble."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from renewer.issue.leftover import digest
from renewer.issue.providers import make
from renewer.model.desired import Dns01, OptionValue, Secret, SecretSource
from renewer.model.dns_provider import Provider, TxtRecord
from tests.agent import Agent, authority
from tests.challenges.dns01.bed import Bed
from tests.servers.pebble import Pebble

NAMES = ["example.org", "*.example.org", "www.example.org"]
"""A wildcard and its apex share a name; another one lies beside it."""


def secret(value: str) -> Secret:
    """A reference to a secret that is in the environment."""
    name = f"PROVIDER_SECRET_{abs(hash(value))}"
    os.environ[name] = value
    return Secret(source=SecretSource.ENV, argument=(name,))


def provider(name: str, **options: OptionValue) -> Provider:
    """A provider as its table asks for it."""
    return make(Dns01(provider=name, options=tuple(options.items())))


def script(
    convention: str, env: Mapping[str, str | Secret] | None = None, **options: OptionValue
) -> Provider:
    """The provider `script` with an environment."""
    given = {"convention": convention, **options}
    return make(Dns01(provider="script", options=tuple(given.items()), env=tuple((env or {}).items())))


def record(
    domain: str = "www.example.org", number: int = 1, *, name: str = "", again: bool = True
) -> TxtRecord:
    """A record for a name; without `again`, as it is known of a killed run."""
    answer = f"token-{number}.thumbprint"
    asked = f"_acme-challenge.{domain}"
    return TxtRecord(
        name=name or asked,
        value=digest(answer),
        asked=asked,
        domain=domain,
        token=f"token-{number}",
        key_authorization=answer if again else "",
    )


def in_bed(directory: Path, bed: Bed, pebble: Pebble, challenge: dict[str, Any], names: list[str]) -> Agent:
    """An agent whose names lie in zones of the bed, all servers of which are asked; so does Pebble."""
    rule = {"resolvers": [bed.resolver_address], "timeout": "20s"}
    host = agent(directory, pebble, {"propagation": rule, **challenge}, names)
    host.around = ("tests.challenges.dns01.agent:elsewhere", str(bed.port), "0.3")
    return host


def agent(
    directory: Path, pebble: Pebble, challenge: dict[str, Any], names: list[str] | None = None
) -> Agent:
    """An agent with the certificate `www`, its names proved by a provider; no zone can be found."""
    table = {
        "type": "dns-01",
        "propagation": {"check": "none", "wait": "0s", "resolvers": [pebble.dns.address]},
        **challenge,
    }
    certificate = {"names": names or NAMES, "authority": "pebble", "challenge": "dns", "endpoints": []}
    return Agent(
        directory,
        {
            "authority.pebble": authority(pebble),
            "challenge.dns": table,
            "certificate.www": certificate,
        },
    )
