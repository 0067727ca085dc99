"""All that DNS says of names, everything at the same time and until one moment: what `doctor` judges."""

from collections.abc import Callable, Iterable, Mapping
from functools import partial

import dns.exception
import dns.name
import dns.rdatatype
import msgspec

from renewer import words
from renewer.model.inspection import Caa, CaaRecord, NameSeen, Resolved, Tlsa
from renewer.network.dns.ask import records, said, text
from renewer.network.dns.dnssec import signed
from renewer.network.dns.messages import Servers
from renewer.network.dns.resolvers import Lookups, Resolvers, addresses, silent
from renewer.network.dns.zones import Zones
from renewer.threads import together

_RESOLVER = 1.5  # seconds for the resolvers to show that there is one


def look(labels: Mapping[str, str], at: Servers, deadline: float) -> Iterable[NameSeen]:
    """What DNS says of each name by the deadline (of clock.monotonic).

    The label is that of its challenge's record, "" if it needs none. Raises GiveUp if this host names no
    resolver.
    """
    if nobody_says := silent(at.resolvers, _RESOLVER):
        nobody = Resolved(trouble=f"does not answer ({', '.join(nobody_says)})")
        return [NameSeen(name=name, resolved=nobody) for name in labels]
    asked = Resolvers(at.resolvers)
    lookups = Lookups(asked.servers, deadline=deadline, port=at.port)
    return _seen(lookups, Zones(asked, lookups), labels).values()


def _seen(lookups: Lookups, zones: Zones, labels: Mapping[str, str]) -> dict[str, NameSeen]:
    work: dict[tuple[str, str], Callable[[], object]] = {}
    for name, label in labels.items():
        work[name, "resolved"] = partial(addresses, lookups, name)
        work[name, "host"] = partial(zones.host, name)
        work[name, "caa"] = partial(relevant_caa, lookups, name)
        if label:
            work[name, "proof"] = partial(zones.record, f"{label}.{name}")
    found = together(work, lookups.deadline)
    seen: dict[str, NameSeen] = {}
    for name in labels:
        parts = [part for owner, part in work if owner == name]
        known = {part: found[name, part] for part in parts if (name, part) in found}
        late = tuple(part for part in parts if part not in known)
        seen[name] = msgspec.structs.replace(NameSeen(name=name), unfinished=late, **known)
    return _with_signatures(lookups, zones, seen)


def _with_signatures(lookups: Lookups, zones: Zones, seen: Mapping[str, NameSeen]) -> dict[str, NameSeen]:
    """Each zone that a name depends on is judged once."""
    needs = {name: _zones(one) for name, one in seen.items()}
    first: dict[str, str] = {}
    for name, several in needs.items():
        for zone in several:
            first.setdefault(zone, name if f".{name}".endswith(f".{zone}") else zone)
    work = {
        zone: partial(signed, lookups, zones.met[zone], name)
        for zone, name in first.items()
        if zone in zones.met
    }
    found = together(work, lookups.deadline)
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


MAX_CAA = 100


def relevant_caa(lookups: Lookups, name: str) -> Caa:
    """The records of the name, or of the nearest name above that has some.

    RFC 8659 §3: aliases are followed at each name, but never climbed: from an alias the way leads to its own
    parent, not to that of its target. The root is not asked.
    """
    current = dns.name.from_text(name)
    while current != dns.name.root:
        answer = lookups.resolve(current, dns.rdatatype.CAA)
        if trouble := said(answer):
            return Caa(owner=text(current), trouble=f"the resolver {trouble}")
        found = [
            CaaRecord(
                flags=record.flags,
                tag=words.output(record.tag).lower(),
                value=words.output(record.value),
            )
            for one in records(answer, current, dns.rdatatype.CAA)
            for record in one
        ]
        if found:
            return Caa(owner=text(current), records=tuple(found[:MAX_CAA]))
        current = current.parent()
    return Caa()


MAX_TLSA = 20  # of one place
_TO_SAY = 0.2  # seconds of the time limit in which nobody is waited for any more


def look_at_tlsa(
    places: Iterable[str], *, resolvers: tuple[str, ...], deadline: float
) -> dict[str, tuple[Tlsa, ...]]:
    """The records of places as `_25._tcp.mail.example.org`, by `deadline` (of clock.monotonic).

    Raises GiveUp if this host names no resolver.
    """
    work = list(dict.fromkeys(places))
    if not work:
        return {}
    lookups = Lookups(Resolvers(resolvers).servers, deadline=deadline)
    return together({place: partial(_ask_tlsa, lookups, place) for place in work}, deadline - _TO_SAY)


def _ask_tlsa(lookups: Lookups, place: str) -> tuple[Tlsa, ...]:
    kind = dns.rdatatype.TLSA
    try:
        name = dns.name.from_text(place)
    except dns.exception.DNSException:
        return ()
    answer = lookups.resolve(name, kind)
    found = [
        Tlsa(place=place, usage=one.usage, selector=one.selector, matching=one.mtype, data=one.cert.hex())
        for several in records(answer, name, kind)
        for one in several
    ]
    return tuple(found[:MAX_TLSA])
