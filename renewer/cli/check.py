"""`renewer check`: look at what any port serves, whoever looks after it."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import NamedTuple
from urllib.parse import urlsplit

import click

from renewer import clock, secrets, words
from renewer.cli import screen
from renewer.errors import GiveUp, UsageError
from renewer.model.desired import Config, Endpoint, Starttls
from renewer.model.facts import Leaf
from renewer.model.names import Identifier
from renewer.model.served import BEFORE_TLS
from renewer.model.value import Value
from renewer.network import verify
from renewer.network.verify import PortTrouble, Sight, Target
from renewer.policy.window import SHORT_LIFETIME
from renewer.report import together

# By scheme: the port, what comes before TLS, what is spoken inside it
_SCHEMES: dict[str, tuple[int, Starttls | None, Starttls | None]] = {
    "https": (443, None, None),
    "tls": (443, None, None),
    "wss": (443, None, None),
    "imaps": (993, None, Starttls.IMAP),
    "pop3s": (995, None, Starttls.POP3),
    "smtps": (465, None, Starttls.SMTP),
    "ldaps": (636, None, Starttls.LDAP),
    "ftps": (990, None, Starttls.FTP),
    "xmpps": (5223, None, Starttls.XMPP),
    "dot": (853, None, None),
} | {protocol.value: (port, protocol, None) for port, protocol in BEFORE_TLS.items()}
_COLUMNS = ("target", "address", "state", "expires", "days left", "issuer")
_NOT_REACHED = {PortTrouble.UNRESOLVED, PortTrouble.REFUSED, PortTrouble.TIMEOUT, PortTrouble.NETWORK}


class PortFinding(Value):
    """Something worth saying; `severity` is `error` (clients fail) or `warning`; `code` a stable word."""

    severity: str
    code: str
    text: str


class Wanted(NamedTuple):
    """One thing to look at and how the user wrote it."""

    text: str
    target: Target


@click.command()
@click.argument("targets", nargs=-1, metavar="[HOST[:PORT]|URL]...")
@click.option(
    "--starttls",
    type=click.Choice([*(protocol.value for protocol in Starttls), "none"]),
    help="What is spoken before TLS; by default what the port or the URL's scheme is known for.",
)
@click.option(
    "--roots", metavar="ROOTS", help="What the chain must lead to: system (the default), any, or a PEM file."
)
@click.option("--server-name", metavar="NAME", help="Ask for this name, whatever address is looked at.")
@click.option(
    "--timeout", type=click.FloatRange(0.1, 120), help="Seconds for each address; by default 5, SMTP 15."
)
@screen.json_option
@screen.pass_setup
def command(
    setup: screen.Setup,
    *,
    targets: tuple[str, ...],
    starttls: str | None,
    roots: str | None,
    server_name: str | None,
    timeout: float | None,
    as_json: bool,
) -> int:
    """Look at what ports serve: the certificate, its chain, its names, its time left.

    Every address of a name is looked at. Without an argument: every endpoint of the configuration.
    """
    if roots is not None:
        _try(roots)
    if targets:
        wanted = [Wanted(text, _target(text, starttls, roots, server_name)) for text in targets]
    else:
        wanted = _configured(setup.config(), roots)
    sights = verify.look([one.target for one in wanted], timeout=timeout, reads=secrets.roots)
    texts = {one.target.endpoint: one.text for one in wanted}
    now = clock.now()
    seen = [(texts[sight.endpoint], sight, findings(sight, now)) for sight in sights]
    if as_json:
        documents = [_document(text, sight, found, now) for text, sight, found in seen]
        screen.emit({"schema": screen.SCHEMA, "at": now, "targets": documents})
    elif screen.is_terminal():
        _draw(seen, now)
    else:
        screen.table(_COLUMNS, [_cells(text, sight, found, now) for text, sight, found in seen])
    return _exit([finding for _, _, found in seen for finding in found])


def findings(sight: Sight, now: datetime) -> tuple[PortFinding, ...]:
    """All that is wrong, the worst first; pure."""
    if sight.leaf is None:
        trouble = sight.trouble or PortTrouble.NO_TLS
        code = "unreachable" if trouble in _NOT_REACHED else trouble.value
        severity = "warning" if trouble is PortTrouble.UNREADABLE else "error"
        return (PortFinding(severity=severity, code=code, text=sight.error or "nothing was shown"),)
    found = {}
    if sight.trouble is not None and sight.error is not None:
        how = "warning" if sight.trouble is PortTrouble.UNREADABLE else "error"
        found[sight.trouble.value] = PortFinding(severity=how, code=sight.trouble.value, text=sight.error)
    for finding in (_dates(sight.leaf, now), _names(sight)):
        if finding is not None:
            found[finding.code] = finding  # says more than OpenSSL does of the same
    return tuple(sorted(found.values(), key=lambda finding: finding.severity))


def _dates(leaf: Leaf, now: datetime) -> PortFinding | None:
    left = leaf.not_after - now
    if left <= timedelta(0):
        ago = words.exact(-left.total_seconds())
        return PortFinding(severity="error", code="expired", text=f"expired {ago} ago")
    if leaf.not_before > now:
        starts = words.stamp(leaf.not_before)
        return PortFinding(severity="error", code="not-yet-valid", text=f"valid only from {starts} on")
    # Inside the warning window: half of what was left at the moment for its renewal is gone.
    if left < leaf.lifetime / (4 if leaf.lifetime < SHORT_LIFETIME else 6):
        text = f"expires in {words.exact(left.total_seconds())}, its renewal is overdue"
        return PortFinding(severity="warning", code="expiring", text=text)
    return None


def _names(sight: Sight) -> PortFinding | None:
    if sight.leaf is None or sight.name_matches is not False:
        return None
    names = words.several(sight.leaf.names, 5) or "no name at all"
    text = f"is for {names}, not for {sight.endpoint.server_name}"
    return PortFinding(severity="error", code="name-mismatch", text=text)


def _exit(found: Sequence[PortFinding]) -> int:
    """3 if a client would refuse what is served or soon will, 1 if something could not be seen."""
    unseen = {
        "unreachable",
        *(one.value for one in (PortTrouble.STARTTLS, PortTrouble.NO_TLS, PortTrouble.UNSEEN)),
    }
    told = [finding for finding in found if finding.code != PortTrouble.UNREADABLE]  # nobody's fault
    if any(finding.code not in unseen for finding in told):
        return screen.PERSON
    return screen.FAILED if told else screen.OK


def _try(roots: str) -> None:
    """Roots that cannot be read are the caller's mistake, not a finding about every target."""
    try:
        verify.try_roots(roots, secrets.roots)
    except GiveUp as error:
        raise UsageError(error.text, hint=error.hint) from None


def _configured(config: Config, roots: str | None) -> list[Wanted]:
    wanted: dict[Endpoint, Wanted] = {}
    for certificate in config.certificates.values():
        authority = config.authorities.get(certificate.authorities[0]) if certificate.authorities else None
        chosen = roots or (authority.roots if authority else "system")
        for endpoint in certificate.endpoints:
            wanted.setdefault(endpoint, Wanted(str(endpoint), Target(endpoint=endpoint, roots=chosen)))
    if not wanted:
        raise UsageError(
            "the configuration names no endpoint", hint="say what to look at: renewer check HOST"
        )
    return list(wanted.values())


def _target(text: str, starttls: str | None, roots: str | None, server_name: str | None) -> Target:
    host, port, before, inside = _read(text)
    if starttls is not None:
        before = None if starttls == "none" else Starttls(starttls)
        inside = None if before else inside
    try:
        name = str(Identifier.parse(server_name or host))
        address = None if server_name is None else str(Identifier.parse(host))
    except ValueError as error:
        raise UsageError(str(error), hint="write HOST, HOST:PORT, [IPv6]:PORT or a URL") from None
    endpoint = Endpoint(server_name=name, port=port, host=address, starttls=before, protocol=inside)
    return Target(endpoint=endpoint, roots=roots or "system")


def _read(text: str) -> tuple[str, int, Starttls | None, Starttls | None]:
    """Host, port, and what is spoken before and inside TLS. Raises UsageError."""
    scheme = ""
    bare = text.count(":") > 1 and "[" not in text and "/" not in text  # an IPv6 address as it is
    try:
        parts = urlsplit(text if "://" in text else f"//[{text}]" if bare else f"//{text}")
        host, port, scheme = parts.hostname, parts.port, parts.scheme.lower()
    except ValueError:
        host, port = None, None
    if not host or (scheme and scheme not in _SCHEMES):
        known = ", ".join(sorted(_SCHEMES))
        raise UsageError(
            f"'{text}' is nothing that can be looked at",
            hint=f"write HOST, HOST:PORT, [IPv6]:PORT or a URL; its scheme may be {known}",
        )
    if scheme:
        usual, before, inside = _SCHEMES[scheme]
        return host, port or usual, before, inside
    return host, port or 443, BEFORE_TLS.get(port or 443), None


def _document(text: str, sight: Sight, found: tuple[PortFinding, ...], now: datetime) -> dict[str, object]:
    leaf = sight.leaf
    return {
        "target": text,
        "address": sight.address,
        "reachable": sight.connected,
        "tls": sight.completed,
        "chain_valid": sight.trusted,
        "name_matches": sight.name_matches,
        "not_before": leaf.not_before if leaf else None,
        "not_after": leaf.not_after if leaf else None,
        "days_left": _days(leaf, now),
        "serial": leaf.serial if leaf else None,
        "fingerprint_sha256": leaf.fingerprint if leaf else None,
        "issuer": leaf.issuer if leaf else None,
        "names": [str(name) for name in leaf.names] if leaf else [],
        "findings": [
            {"severity": finding.severity, "code": finding.code, "text": finding.text} for finding in found
        ],
    }


def _days(leaf: Leaf | None, now: datetime) -> float | None:
    return round((leaf.not_after - now) / timedelta(days=1), 2) if leaf else None


def _cells(text: str, sight: Sight, found: tuple[PortFinding, ...], now: datetime) -> list[str]:
    """A record of the plain output: target, address, state, expiry, days left, issuer."""
    leaf = sight.leaf
    return [
        text,
        sight.address or "-",
        ",".join(finding.code for finding in found) or "ok",
        words.stamp(leaf.not_after if leaf else None),
        "-" if leaf is None else str(_days(leaf, now)),
        leaf.issuer if leaf else "-",
    ]


def _draw(seen: Sequence[tuple[str, Sight, tuple[PortFinding, ...]]], now: datetime) -> None:
    """For a person: a row a port, why those are not well that are not, each reason once, and how many."""
    from rich.text import Text

    from renewer.cli import drawing

    to, rows, styles = drawing.console(), [], []
    for text, sight, found in seen:
        target, address, state, _, _, issuer = _cells(text, sight, found, now)
        leaf = sight.leaf
        left = words.exact((leaf.not_after - now).total_seconds()) if leaf else "-"
        day = f"{leaf.not_after:%Y-%m-%d}" if leaf else "-"
        rows.append((target, address, state.replace(",", ", "), day, left, issuer))
        styles.append(
            "red" if any(one.severity == "error" for one in found) else "yellow" if found else "green"
        )
    headline = Text(_total(seen), style="bold red" if "red" in styles else "bold")
    if len(rows) >= to.height - 1:
        to.print(headline)
    heads = ("Target", "Address", "State", "Expires", "Left", "Issuer")
    drawing.table(heads, rows, styles, to, styled=2)
    told = [
        (text, f"{one.severity}\0{one.text.removeprefix(f'{sight.address}: ')}", one)
        for text, sight, found in seen
        for one in found
    ]
    for group in together.by_cause(told):
        severity, _, cause = group.text.partition("\0")
        said = together.line(group.names, group.items[0].text if len(group.names) == 1 else cause, "port")
        line = Text(words.clean(f"{severity}: {said}"), style="red" if severity == "error" else "yellow")
        for part in drawing.hanging(Text(), line, to.width, to):
            to.print(part)
    to.print(headline)


def _total(seen: Sequence[tuple[str, Sight, tuple[PortFinding, ...]]]) -> str:
    """How many were looked at, and how many are not well."""
    bad = sum(1 for _, _, found in seen if any(one.severity == "error" for one in found))
    odd = sum(1 for _, _, found in seen if found) - bad
    parts = [f"{number} {word}" for number, word in ((bad, "not well"), (odd, "with a warning")) if number]
    return f"{words.count(len(seen), 'port')} looked at: {', '.join(parts) or 'all well'}"
