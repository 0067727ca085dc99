"""All that DNS says of names, everything at the same time and until one moment: what `doctor` judges."""

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any

import msgspec

from renewer.model.inspection import NameSeen, Resolved
from renewer.network.dns.caa import relevant
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
        work[name, "caa"] = partial(relevant, lookups, name)
        if label:
            work[name, "proof"] = partial(zones.record, f"{label}.{name}")
    found = together(work, lookups.deadline)
    seen: dict[str, NameSeen] = {}
    for name in labels:
        parts = [part for owner, part in work if owner == name]
        known: dict[str, Any] = {part: found[name, part] for part in parts if (name, part) in found}
        late = tuple(part for part in parts if part not in known)
        seen[name] = NameSeen(name=name, unfinished=late, **known)
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
