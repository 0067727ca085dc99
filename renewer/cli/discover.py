"""`renewer discover`: every certificate on this host, who reads it, which port shows it, who renews it."""

import os
import socket
from collections.abc import Sequence
from contextlib import closing

import click

from renewer import words
from renewer.cli import screen
from renewer.cli.screen import Setup
from renewer.errors import ConfigError, RenewerError
from renewer.model.desired import Agent, Config
from renewer.model.inspection import Finding
from renewer.model.installed import Discovery, HostCertificate
from renewer.report import together

_COLUMNS = ("names", "expires", "renewed by", "servers", "ports")


@click.command("discover")
@click.argument("paths", nargs=-1, metavar="[PATH…]", type=click.Path())
@click.option("--toml", "as_toml", is_flag=True, help="Print configuration for what was found.")
@click.option("--watch", is_flag=True, help="Have what others renew watched: conf.d/discovered.toml.")
@screen.json_option
@screen.pass_setup
def command(setup: Setup, paths: tuple[str, ...], as_toml: bool, watch: bool, as_json: bool) -> int:
    """Find every certificate on this host: its files, who reads and renews it, which ports show it.

    PATH is a file or a directory to be looked at, too. Nothing is started, and nothing but when each was seen
    is written; keys are never read. Needs no configuration. Root sees most.
    """
    found = discover(setup, paths)
    if watch:
        return _watch(setup, found)
    if as_json:
        screen.emit(_document(found))
    elif as_toml:
        from renewer.discover.suggestion import toml

        screen.out(toml(found))
    else:
        _print(found)
    return screen.OK


def _watch(setup: Setup, found: Discovery) -> int:
    """Write the watches, and say which came and went. Raises ConfigError, UsageError."""
    from renewer.discover import watching

    before, after = watching.renew(os.path.abspath(setup.config_path), found)
    for name in after:
        screen.out(f"{'=' if name in before else '+'} watch.{name}: {after[name]}")
    for name in before:
        if name not in after:
            screen.out(f"- watch.{name}: not found any more, or another file watches it")
    if after:
        screen.say("renewer run looks at them; renewer status shows them")
    else:
        screen.out("nothing is here that we do not renew ourselves")
    return screen.OK


def discover(setup: Setup, paths: Sequence[str] = ()) -> Discovery:
    """Look at the whole host, and remember when each was seen, where there is a state to do so."""
    from renewer.discover import discovery

    config = _config(setup)
    agent = config.agent if config else Agent()
    found = discovery.take(config, agent.state, agent.host or socket.gethostname(), paths)
    return _remembered(found, agent)


def _config(setup: Setup) -> Config | None:
    """The configuration, if there is one that can be used: what is on the host does not depend on it."""
    if not os.path.exists(setup.config_path):
        return None
    try:
        return setup.config()
    except ConfigError as error:
        screen.say(f"note: {setup.config_path} is left aside: {words.line(error.text)}")
        return None


def _remembered(found: Discovery, agent: Agent) -> Discovery:
    from renewer.discover import discovery
    from renewer.ledger.sqlite import open_ledger
    from renewer.model.installed import Discovered
    from renewer.store.lock import Lock

    if not os.path.isdir(agent.state):
        return found
    try:
        with Lock(agent.state, group=agent.group), closing(open_ledger(agent, write=True)) as ledger:
            seen, records = discovery.remembered(found, ledger.load(Discovered))
            ledger.save(*records)
    except RenewerError as error:
        screen.say(f"note: when they were first seen is not remembered: {words.line(error.text)}")
        return found
    return seen


def _document(found: Discovery) -> dict[str, object]:
    return {
        "schema": screen.SCHEMA,
        "at": found.at,
        "host": found.host,
        "certificates": [_certificate(one, found) for one in found.certificates],
        "unread": [{"place": words.line(one.place), "text": words.line(one.text)} for one in found.unread],
        "findings": [_finding(one) for one in found.findings],
    }


def _certificate(one: HostCertificate, found: Discovery) -> dict[str, object]:
    keeper = one.keeper
    return {
        "fingerprint_sha256": one.leaf.fingerprint,
        "names": [words.line(str(name)) for name in one.leaf.names],
        "issuer": words.line(one.leaf.issuer),
        "serial": one.leaf.serial,
        "not_before": one.leaf.not_before,
        "not_after": one.leaf.not_after,
        "days_left": (one.leaf.not_after - found.at).days,
        "files": [words.line(file.path) for file in one.files],
        "servers": [
            {"server": use.server, "config": words.line(use.config), "line": use.line} for use in one.uses
        ],
        "ports": [
            {
                "address": port.address,
                "port": port.port,
                "server_name": port.server_name,
                "starttls": port.starttls,
                "matches_disk": port.matches_disk,
            }
            for port in one.ports
        ],
        "renewed_by": keeper.client if keeper else None,
        "renewal_config": words.line(keeper.config) if keeper and keeper.config else None,
        "first_seen": one.first_seen,
        "last_seen": one.last_seen,
        "how": [words.line(place) for place in one.how],
        "findings": [_finding(each) for each in one.findings],
    }


def _finding(one: Finding) -> dict[str, object]:
    return {
        "severity": one.severity,
        "code": one.code,
        "text": words.line(one.text),
        "hint": words.line(one.hint),
    }


def _print(found: Discovery) -> None:
    screen.out(verdict(found))
    if found.certificates:
        screen.table(_COLUMNS, [_row(one, found) for one in found.certificates])
    for group in _causes(found.certificates):
        finding = group.items[0]
        head = (f"{finding.severity.value} ", screen.severity_style(finding.severity))
        screen.coloured(head, (words.line(group.line()), ""))
        if finding.hint:
            screen.out(f"    → {words.line(finding.hint)}")
    for finding in found.findings:
        head = (f"{finding.severity.value} ", screen.severity_style(finding.severity))
        screen.coloured(head, (words.line(finding.text), ""))
        if finding.hint:
            screen.out(f"    → {words.line(finding.hint)}")
    if screen.is_terminal() and len(found.certificates) >= screen.height():
        screen.out(verdict(found))
    for left in found.unread:
        screen.out(f"not read: {words.line(left.place)}: {words.line(left.text)}")


def _causes(found: Sequence[HostCertificate]) -> Sequence[together.Together[Finding]]:
    """What is wrong with certificates, each cause once."""
    told = []
    for one in found:
        for finding in one.findings:
            text, hint = finding.text, finding.hint
            for name in map(str, one.leaf.names):  # a sentence names what it is about
                text, hint = together.alike(text, (name,)), together.alike(hint, (name,))
            told.append((_names(one), f"{finding.severity}\0{finding.code}\0{text}\0{hint}", finding))
    groups = together.by_cause(told)
    for group in groups:
        group.text = group.items[0].text
    return groups


def verdict(found: Discovery) -> str:
    """The one line that answers."""
    many = words.count(len(found.certificates), "certificate")
    if not found.certificates:
        return f"no certificate was found on {words.line(found.host)}"
    alone = sum(one.keeper is None for one in found.certificates)
    text = f"{many} on {words.line(found.host)}"
    return f"{text}, {alone} of them renewed by nobody" if alone else f"{text}, each renewed by somebody"


def _names(one: HostCertificate) -> str:
    return words.several(map(str, one.leaf.names), 2) if one.leaf.names else f"serial {one.leaf.serial}"


def _row(one: HostCertificate, found: Discovery) -> tuple[str, ...]:
    left = (one.leaf.not_after - found.at).days
    when = f"{one.leaf.not_after:%Y-%m-%d}"
    servers = ", ".join(dict.fromkeys(use.server for use in one.uses)) or "-"
    told = (f"{at.port} (stale)" if at.matches_disk is False else f"{at.port}" for at in one.ports)
    ports = ", ".join(dict.fromkeys(told))
    keeper = one.keeper.client if one.keeper else "nobody"
    expires = f"{when} ({left} d)" if left >= 0 else f"{when} (expired)"
    return (words.line(_names(one)), expires, keeper, servers, ports or "-")
