"""The whole host: certificates joined by fingerprint from files, configurations and ports."""

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime

import msgspec

from renewer import clock
from renewer.discover.disk import PLACES, Disk
from renewer.discover.keepers import Keepers
from renewer.discover.ports import look
from renewer.model.desired import Config
from renewer.model.facts import Leaf
from renewer.model.inspection import Finding, Severity
from renewer.model.installed import (
    CertificateUse,
    Discovered,
    Discovery,
    HostCertificate,
    ListeningSocket,
    OnDisk,
    PortShows,
    RenewedBy,
    Unread,
)
from renewer.policy.readiness import judged
from renewer.servers import catalogue, sockets
from renewer.servers.reading import Guard


def take(
    config: Config | None, state: str, host: str, paths: Sequence[str] = (), *, ports: bool = True
) -> Discovery:
    """Look at everything once; `paths` are files and directories to be read besides. Writes nothing.

    Without `ports` no port is looked at.
    """
    listening = sockets.listening() if ports else []
    with Guard() as guard:
        uses = catalogue.uses(guard, sockets.processes())
        disk = Disk(guard)
        named = disk.named(uses)
        ours = ((f"{state}/certificates/*/live/fullchain.pem", 0),)
        more = tuple((os.path.abspath(path), 4) for path in paths)
        files = [*named, *disk.lying((*ours, *more, *PLACES), [one.path for one in named])]
        leaves = {one.path: one.leaf for one in named}
        shown, seen = look(listening, uses, leaves)
        keepers = Keepers(guard, state, _copies(config))
        found = _joined(files, uses, shown, seen, keepers)
        return _discovery(found, listening, guard.unread, shown, host, uses, leaves)


def _copies(config: Config | None) -> dict[str, str]:
    """Our certificates by the paths that follow them."""
    found = {}
    for wish in config.certificates.values() if config else ():
        for copy in wish.copies:
            for part in ("fullchain", "cert", "combined"):
                path = getattr(copy, part, None)
                if isinstance(path, str):
                    found[path] = wish.name
    return found


def _joined(
    files: Sequence[OnDisk],
    uses: Sequence[CertificateUse],
    shown: Sequence[PortShows],
    seen: Mapping[str, Leaf],
    keepers: Keepers,
) -> list[HostCertificate]:
    leaves = dict(seen) | {one.leaf.fingerprint: one.leaf for one in files}
    by_path = {one.path: one.leaf.fingerprint for one in files}
    lying: dict[str, list[OnDisk]] = {}
    used: dict[str, list[CertificateUse]] = {}
    at: dict[str, list[PortShows]] = {}
    for one in files:
        lying.setdefault(one.leaf.fingerprint, []).append(one)
    for use in uses:
        if use.certificate in by_path:
            used.setdefault(by_path[use.certificate], []).append(use)
    for port in shown:
        if port.fingerprint in leaves:
            at.setdefault(port.fingerprint or "", []).append(port)
    return [
        HostCertificate(
            leaf=leaf,
            files=tuple(lying.get(print_, ())),
            uses=tuple(used.get(print_, ())),
            ports=tuple(at.get(print_, ())),
            keeper=_keeper(keepers, lying.get(print_, ())),
        )
        for print_, leaf in leaves.items()
    ]


def _keeper(keepers: Keepers, files: Iterable[OnDisk]) -> RenewedBy | None:
    return next((found for one in files if (found := keepers.of(one.path))), None)


def _discovery(  # noqa: PLR0913, PLR0917  what was gathered
    found: Sequence[HostCertificate],
    listening: Sequence[ListeningSocket],
    unread: Sequence[Unread],
    shown: Sequence[PortShows],
    host: str,
    uses: Sequence[CertificateUse],
    leaves: Mapping[str, Leaf],
) -> Discovery:
    now = clock.now()
    stale = [port for port in shown if port.matches_disk is False]
    certificates = [msgspec.structs.replace(one, findings=judged(one, stale, now)) for one in found]
    return Discovery(
        at=now,
        host=host,
        certificates=tuple(sorted(certificates, key=lambda one: (one.leaf.not_after, one.leaf.fingerprint))),
        sockets=tuple(listening),
        unread=tuple(unread),
        findings=tuple(_missing(uses, leaves)),
    )


def _missing(uses: Iterable[CertificateUse], leaves: Mapping[str, Leaf]) -> Iterator[Finding]:
    """Files that servers name and that cannot be read as certificates."""
    for use in uses:
        if use.certificate and use.certificate not in leaves:
            yield Finding(
                severity=Severity.ERROR,
                code="file-unread",
                text=f"{use.server} names {use.certificate} ({use.place}): no certificate is read there",
                hint=f"ls -l {use.certificate}",
            )


def remembered(
    discovery: Discovery, before: Iterable[Discovered]
) -> tuple[Discovery, tuple[Discovered, ...]]:
    """The same with when each was seen first and last, and the records that say so from now on."""
    known = {one.fingerprint: one for one in before if one.host == discovery.host}
    certificates, records = [], []
    for one in discovery.certificates:
        first = _first(known.get(one.leaf.fingerprint), discovery.at)
        certificates.append(msgspec.structs.replace(one, first_seen=first, last_seen=discovery.at))
        records.append(
            Discovered(
                certificate="",
                host=discovery.host,
                fingerprint=one.leaf.fingerprint,
                first_seen=first,
                last_seen=discovery.at,
            )
        )
    seen = msgspec.structs.replace(discovery, certificates=tuple(certificates), remembered=True)
    return seen, tuple(records)


def _first(before: Discovered | None, now: datetime) -> datetime:
    return before.first_seen if before else now
