"""`renewer acme-dns`: accounts at an acme-dns server, and the CNAME that each name needs."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import click

from renewer.cli import screen
from renewer.cli.limits import complete, no_certificate
from renewer.cli.screen import Setup
from renewer.errors import UsageError
from renewer.model.value import Value

if TYPE_CHECKING:
    from renewer.model.desired import Config, Dns01
    from renewer.model.dns_provider import AcmeDnsAccount

_certificates = click.argument("names", nargs=-1, metavar="[CERTIFICATE]...", shell_complete=complete)


@click.group()
def command() -> None:
    """Look after the accounts at an acme-dns server.

    CERTIFICATE is a name of the configuration; without one, all whose challenge is acme-dns.
    """


@command.command()
@_certificates
@screen.json_option
@screen.pass_setup
def register(setup: Setup, names: tuple[str, ...], as_json: bool) -> int:
    """Make the accounts that are missing, and print the CNAME to publish for each name.

    What is made is stored at once; run it again as often as you like.
    """
    from renewer.issue import providers
    from renewer.store.lock import Lock

    config = setup.config()
    needed = _needed(config, names)
    with Lock(config.agent.state, group=config.agent.group):
        for challenge, domain in needed:
            if _account(challenge, domain) is None:
                account = providers.register(challenge, domain)
                screen.say(f"registered {domain}: {account.fulldomain}")
    return _tell(needed, as_json=as_json)


@command.command()
@_certificates
@screen.json_option
@screen.pass_setup
def show(setup: Setup, names: tuple[str, ...], as_json: bool) -> int:
    """Print the CNAME of each name, and whether it is published. Registers nothing.

    Exit 1 if an account or a CNAME is missing.
    """
    return _tell(_needed(setup.config(), names), as_json=as_json, strict=True)


def _needed(config: "Config", names: Sequence[str]) -> "list[tuple[Dns01, str]]":
    """Each domain with the challenge that proves it; a wildcard shares the account of its base."""
    if unknown := [name for name in names if name not in config.certificates]:
        raise no_certificate(unknown[0], config)
    found = list(dict.fromkeys(_of(config, names or list(config.certificates))))
    if not found:
        hint = 'provider = "acme-dns" in a table [challenge.X] that a certificate uses; see docs/dns.md'
        raise UsageError("no name is proved by acme-dns", hint=hint)
    return found


def _of(config: "Config", names: Sequence[str]) -> "Iterator[tuple[Dns01, str]]":
    from renewer.model.desired import Dns01
    from renewer.model.dns_options import ACME_DNS

    for wish in (config.certificates[name] for name in names):
        for identifier in wish.names:
            own = [way for one, way in wish.challenges if one == identifier]
            for way in own or (wish.challenge, *wish.otherwise):
                if type(way) is Dns01 and way.provider == ACME_DNS and identifier.type == "dns":
                    yield way, identifier.base


def _account(challenge: "Dns01", domain: str) -> "AcmeDnsAccount | None":
    from renewer.provisioning import acme_dns as accounts

    return accounts.load(str(dict(challenge.options)["storage"])).get(domain)


def _tell(needed: "Sequence[tuple[Dns01, str]]", *, as_json: bool, strict: bool = False) -> int:
    shown = list(_shown(needed))
    if as_json:
        screen.emit({"schema": screen.SCHEMA, "records": shown})
    else:
        for one in shown:
            screen.out(_line(one))
    if not as_json and any(one.target and one.published is not True for one in shown):
        screen.say("→ publish these records once; then play it through: renewer rehearse")
    missing = any(one.published is not True for one in shown)
    return screen.FAILED if strict and missing else screen.OK


class _Record(Value):
    """What is to be published for a name, and whether it is; the fields are the document's keys."""

    domain: str
    name: str
    target: str | None
    server: str
    published: bool | None


def _line(one: _Record) -> str:
    if one.target is None:
        return f"{one.name}. has no account yet: renewer acme-dns register"
    state = "could not be looked up"
    if one.published is not None:
        state = "published" if one.published else "not published"
    return f"{one.name}. CNAME {one.target}.  ; {state}"


def _shown(needed: "Sequence[tuple[Dns01, str]]") -> Iterator[_Record]:
    from renewer.network.dns import NameServers
    from renewer.network.protocol import Failed

    given = {challenge.propagation.resolvers for challenge, _ in needed}
    servers = {resolvers: NameServers(resolvers) for resolvers in given}
    for challenge, domain in needed:
        asked, account = f"_acme-challenge.{domain}", _account(challenge, domain)
        target = account.fulldomain.rstrip(".").lower() if account else None
        published: bool | None = False
        if target:
            found = servers[challenge.propagation.resolvers].places([asked])[asked]
            published = None if isinstance(found, Failed) else found.name == target
        server = str(dict(challenge.options)["server"])
        yield _Record(domain=domain, name=asked, target=target, server=server, published=published)
