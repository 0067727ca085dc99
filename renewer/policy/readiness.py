"""What is wrong with a certificate on a host, whoever renews it, and is it ready for short lifetimes?"""

from collections.abc import Iterable, Iterator
from datetime import datetime

from renewer import words
from renewer.model.inspection import Finding, Severity
from renewer.model.installed import HostCertificate, PortShows


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
