"""What is wrong with a certificate on a host, whoever renews it, and is it ready for short lifetimes?"""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime

from renewer import words
from renewer.model.inspection import Finding, Severity
from renewer.model.installed import HostCertificate, PortShows, RenewedBy
from renewer.model.value import Value


def judged(one: HostCertificate, stale: Iterable[PortShows], now: datetime) -> tuple[Finding, ...]:
    """What is wrong with a certificate on disk or at a port, the worst first.

    `stale` are the ports that show something else than the file that is named for them.
    """
    found = [*_dates(one, now), *_keys(one), *_ports(one, stale), *_alone(one, now)]
    return tuple(sorted(found, key=lambda finding: list(Severity).index(finding.severity)))


def _dates(one: HostCertificate, now: datetime) -> Iterator[Finding]:
    left = one.leaf.not_after - now
    if left.total_seconds() <= 0:
        text = f"it expired {words.exact(-left.total_seconds())} ago"
        in_use = bool(one.uses or one.ports)
        severity = Severity.ERROR if in_use else Severity.WARNING
        yield Finding(severity=severity, code="expired", text=text, hint=_renew(one))
    elif one.leaf.not_before > now:
        text = f"it is valid only from {words.stamp(one.leaf.not_before)} on"
        yield Finding(severity=Severity.ERROR, code="not-yet-valid", text=text)
    elif left < one.leaf.lifetime / 6:
        text = f"it expires in {words.exact(left.total_seconds())}, its renewal is overdue"
        yield Finding(severity=Severity.WARNING, code="expiring", text=text, hint=_renew(one))


def _renew(one: HostCertificate) -> str:
    client = one.keeper.client if one.keeper else ""
    name = one.keeper.name if one.keeper else ""
    return {
        "renewer": f"renewer run {name}",
        "certbot": f"certbot renew --cert-name {name}",
        "": "renewer discover --toml shows a configuration for it",
    }.get(client, f"ask {client} why it does not renew it")


def _keys(one: HostCertificate) -> Iterator[Finding]:
    told = set()
    for file in one.files:
        if file.key and file.key_readable_by and file.key not in told:
            told.add(file.key)
            text = f"its key {file.key} can be read by {file.key_readable_by}"
            hint = f"chmod o-rwx {file.key}, and have it replaced by a certificate with a new key"
            yield Finding(severity=Severity.ERROR, code="key-readable", text=text, hint=hint)


def _ports(one: HostCertificate, stale: Iterable[PortShows]) -> Iterator[Finding]:
    paths = {file.path for file in one.files}
    for port in stale:
        if port.file in paths:
            text = f"{port.how}: {port.server} shows another certificate than {port.file}"
            hint = f"have {port.server} load its files again (systemctl reload {port.server})"
            yield Finding(severity=Severity.ERROR, code="port-differs", text=text, hint=hint)


def _alone(one: HostCertificate, now: datetime) -> Iterator[Finding]:
    if one.keeper is None and (one.uses or one.ports) and one.leaf.not_after > now:
        text = "it is in use, and nobody renews it that could be found"
        hint = "renewer discover --toml shows a configuration for it"
        yield Finding(severity=Severity.WARNING, code="nobody-renews", text=text, hint=hint)


LIFETIMES = {"64d": 64, "47d": 47, "6d": 6}
"""Lifetimes in days that come: Let's Encrypt's default from 2027, everybody's from 2029, short-lived ones."""
_SHARE = 0.1  # of a lifetime: what must be left when a renewal is begun
_BEFORE = {"certbot": 30, "lego": 30, "dehydrated": 32, "traefik": 30}  # days before the end, by default
_DAYS = re.compile(r"\s*(\d{1,4})\s*(day|week)?s?\s*")
_BY_LIFETIME = 4  # the version of certbot from which on its default goes by the lifetime


class ForeseenRenewal(Value):
    """Whether a certificate is renewed by itself in time at each of LIFETIMES, and why not."""

    certificate: HostCertificate
    ready: Mapping[str, bool]
    reasons: tuple[str, ...] = ()
    todo: tuple[str, ...] = ()


class HostReadiness(Value):
    """A whole host: the per cent of its certificates that are ready for 47 days, and what to do first."""

    certificates: tuple[ForeseenRenewal, ...]
    percent: int
    first: tuple[str, ...]


def assess(certificates: Iterable[HostCertificate], now: datetime) -> HostReadiness:
    """How ready a host is. What has expired and nobody uses counts nothing."""
    found = tuple(_assessed(one) for one in certificates if one.leaf.not_after > now or one.uses or one.ports)
    ready = sum(one.ready["47d"] for one in found)
    steps = Counter(step for one in found for step in one.todo)
    first = [
        f"{step} ({words.count(number, 'certificate')})" if number > 1 else step
        for step, number in steps.most_common(3)
    ]
    percent = 100 * ready // len(found) if found else 100
    return HostReadiness(certificates=found, percent=percent, first=tuple(first))


def _assessed(one: HostCertificate) -> ForeseenRenewal:
    name = str(one.leaf.names[0]) if one.leaf.names else f"serial {one.leaf.serial}"
    bad = {finding.code: finding for finding in one.findings}
    if one.keeper is None:
        reason = "nobody renews it that could be found"
        todo = "let renewer renew what nobody does: renewer discover --toml"
        return ForeseenRenewal(
            certificate=one, ready=dict.fromkeys(LIFETIMES, False), reasons=(reason,), todo=(todo,)
        )
    for code in ("expired", "port-differs"):
        if code in bad:
            reason = f"{one.keeper.client} renews it, and yet: {bad[code].text}"
            todo = f"{name}: {bad[code].hint}"
            ready = dict.fromkeys(LIFETIMES, False)
            return ForeseenRenewal(certificate=one, ready=ready, reasons=(reason,), todo=(todo,))
    ready, reasons = {}, []
    for label, days in LIFETIMES.items():
        why = _why_not(one.keeper, days)
        ready[label] = not why
        if why:
            reasons.append(why)
    steps = (f"{name}: {_mend(one.keeper)}",) if reasons else ()
    return ForeseenRenewal(certificate=one, ready=ready, reasons=tuple(reasons), todo=steps)


def _why_not(keeper: RenewedBy, lifetime: int) -> str:
    """Why a client would not renew a certificate of so many days in time; "" if it would."""
    client = keeper.client
    if client == "acme.sh":
        after = _days(keeper.settings.get("Le_RenewalDays", ""), 60)
        if lifetime - after < lifetime * _SHARE:
            return f"acme.sh renews {after} days after it was issued: too late for {lifetime} days"
        return ""
    before = _BEFORE.get(client)
    if before is None:  # by the lifetime, as renewer, Caddy and mod_md do
        return ""
    if client == "certbot":
        said = keeper.settings.get("renew_before_expiry", "")
        if not said and _major(keeper.settings.get("version", "")) >= _BY_LIFETIME:
            return ""
        before = _days(said, before)
    if before >= lifetime * (1 - _SHARE):
        return f"{client} renews {before} days before the end: at {lifetime} days it would at every run"
    return ""


def _mend(keeper: RenewedBy) -> str:
    if keeper.client == "certbot" and "renew_before_expiry" in keeper.settings:
        return f"take renew_before_expiry out of {keeper.config}, with certbot 4 or newer"
    if keeper.client == "certbot":
        return "use certbot 4 or newer, which goes by the lifetime"
    if keeper.client == "acme.sh":
        return f"set Le_RenewalDays='10' in {keeper.config}"
    return f"let {keeper.client} renew by the lifetime, or let renewer take it over"


def _days(text: str, usual: int) -> int:
    found = _DAYS.fullmatch(text)
    return int(found[1]) * (7 if found[2] == "week" else 1) if found else usual


def _major(version: str) -> int:
    number = version.partition(".")[0]
    return int(number) if number.isascii() and number.isdigit() else 0
