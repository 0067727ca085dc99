"""Everything that DNS says of some names, at the same time, within one time limit."""

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any, NamedTuple

import dns.message
import dns.name
import dns.rcode
import dns.rdatatype
import msgspec

from renewer import clock
from renewer.dns.ask import Server, Silence
from renewer.dns.caa import relevant
from renewer.dns.cuts import Cuts
from renewer.dns.dnssec import signed
from renewer.dns.eyes import Eyes, records, said
from renewer.dns.resolvers import Resolvers
from renewer.dns.together import together
from renewer.dns.trails import MAX_VALUES, Trails
from renewer.model.inspection import NameSeen, Resolved, Trail

PROBE = "_renewer-probe"  # a label that nobody has: whoever has an alias there has a wildcard


class Wanted(NamedTuple):
    """A name to look at, and the label below which its challenge has a record ("" if it needs none)."""

    name: str
    label: str = ""


def look(
    wanted: Iterable[Wanted], *, resolvers: tuple[str, ...], deadline: float, port: int = 53
) -> dict[str, NameSeen]:
    """What is seen of each name by `deadline` (of clock.monotonic).

    Raises GiveUp if this host has no resolver, and RetryLater if none of them answers at all.
    """
    servers = Resolvers(resolvers).servers
    eyes = Eyes(servers, deadline=deadline, port=port)
    labels = {one.name: one.label for one in wanted}
    trails = Trails(eyes, Cuts(eyes))
    found = together(_work(eyes, trails, labels), deadline)
    seen = {name: _gather(name, label, found) for name, label in labels.items()}
    return _with_signatures(eyes, trails, seen)


def silent_resolvers(resolvers: tuple[str, ...], timeout: float) -> tuple[str, ...]:
    """The resolvers, if none of them says anything at all within so many seconds; empty if one does.

    Raises GiveUp if this host has none.
    """
    servers = Resolvers(resolvers).servers
    deadline = clock.monotonic() + timeout

    def speaks(server: Server) -> bool:
        answer = Eyes((server,), deadline=deadline).resolve(dns.name.root, dns.rdatatype.NS)
        return not isinstance(answer, Silence)

    spoke = together({server: partial(speaks, server) for server in servers}, deadline + 0.1)
    return () if any(spoke.values()) else tuple(map(str, servers))


Work = Mapping[tuple[str, str], Callable[[], object]]


def _work(eyes: Eyes, trails: Trails, labels: Mapping[str, str]) -> Work:
    work: dict[tuple[str, str], Callable[[], object]] = {}
    for name, label in labels.items():
        work[name, "resolved"] = partial(_resolved, eyes, name)
        work[name, "host"] = partial(trails.host, name)
        work[name, "caa"] = partial(relevant, eyes, name)
        if label:
            work[name, "proof"] = partial(_proof, trails, name, label)
    return work


def _resolved(eyes: Eyes, name: str) -> Resolved:
    """What a program on this host, or a validating authority, would hear."""
    host = dns.name.from_text(name)
    heard = {kind: eyes.resolve(host, kind, check=True) for kind in (dns.rdatatype.A, dns.rdatatype.AAAA)}
    usable = {kind: one for kind, one in heard.items() if not said(one)}
    addresses = {
        record.address
        for kind, one in usable.items()
        for found in records(one, host, kind)
        for record in found
    }
    first = next(iter(heard.values()))
    return Resolved(
        addresses=tuple(sorted(addresses)[:MAX_VALUES]),
        exists=not any(_denied(one) for one in usable.values()),
        trouble="" if usable else said(first),
    )


def _denied(answer: object) -> bool:
    return isinstance(answer, dns.message.Message) and answer.rcode() == dns.rcode.NXDOMAIN


def _proof(trails: Trails, name: str, label: str) -> tuple[Trail, str]:
    """Where the challenge's record belongs; and the alias of a name beside it that nobody made."""
    trail = trails.proof(f"{label}.{name}")
    if len(trail.hops) < 2:
        return trail, ""
    probe = trails.proof(f"{PROBE}.{name}")
    return trail, probe.hops[1].name if len(probe.hops) > 1 else ""


def _gather(name: str, label: str, found: Mapping[tuple[str, str], object]) -> NameSeen:
    parts = ("resolved", "host", "caa", *(("proof",) if label else ()))
    known: dict[str, Any] = {part: found[name, part] for part in parts if (name, part) in found}
    proof, alias = known.pop("proof", (None, ""))
    unfinished = tuple(part for part in parts if (name, part) not in found)
    return NameSeen(name=name, proof=proof, probe_alias=alias, unfinished=unfinished, **known)


def _with_signatures(eyes: Eyes, trails: Trails, seen: Mapping[str, NameSeen]) -> dict[str, NameSeen]:
    """Each zone that a name depends on is judged once."""
    needs = {name: _zones(one) for name, one in seen.items()}
    first: dict[str, str] = {}
    for name, zones in needs.items():
        for zone in zones:
            first.setdefault(zone, name if f".{name}".endswith(f".{zone}") else zone)
    work = {
        zone: partial(signed, eyes, trails.zones[zone], name)
        for zone, name in first.items()
        if zone in trails.zones
    }
    found = together(work, eyes.deadline)
    told = {}
    for name, one in seen.items():
        late = () if all(zone in found for zone in needs[name] if zone in work) else ("dnssec",)
        told[name] = msgspec.structs.replace(
            one,
            signed=tuple(found[zone] for zone in needs[name] if zone in found),
            unfinished=one.unfinished + late,
        )
    return told


def _zones(seen: NameSeen) -> list[str]:
    trails = [one for one in (seen.host, seen.proof) if one is not None]
    return list(dict.fromkeys(hop.zone for trail in trails for hop in trail.hops if hop.zone))
