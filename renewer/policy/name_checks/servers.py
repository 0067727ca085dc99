"""The name servers of the zones on the way: silent, lame, or of different minds."""

from collections.abc import Iterator
from functools import partial

from renewer.model.inspection import Finding, Hop, NameSeen, Said
from renewer.policy.name_checks.words import error, info, listed, warning


def judge(seen: NameSeen) -> Iterator[Finding]:
    """Each zone once, whether it was met for the name or for its challenge."""
    told: set[str] = set()
    for trail in (seen.host, seen.proof):
        for hop in trail.hops if trail else ():
            if hop.zone and hop.zone not in told:
                told.add(hop.zone)
                yield from _zone(hop)
            if hop.zone:
                yield from _differing(hop)
                yield from _refusing(hop)


def _zone(hop: Hop) -> Iterator[Finding]:
    silent = [one for one in hop.said if one.trouble and not one.no_route]
    no_way = [one for one in hop.said if one.no_route]
    if hop.without_address:
        yield warning(
            "server-without-address",
            f"the zone {hop.zone} names {listed(hop.without_address)} as name server, which has no address",
            "give it an A or AAAA record, or take it out of the zone's NS records here and at the parent",
        )
    if any(not one.trouble for one in hop.said):
        yield from map(partial(_ill, hop.zone), silent)
        if no_way:
            yield info(
                "server-out-of-reach",
                f"not asked, since this host has no way there: {_who(no_way)}",
                "nothing, if this host has no IPv6",
            )
    elif no_way and not silent:
        yield info(
            "servers-out-of-reach",
            f"this host has no way to the name servers of {hop.zone} ({_who(no_way)}): not looked at",
            "nothing, if a firewall is meant to forbid DNS to the outside",
        )
    else:
        said = listed(f"{one.server} {one.trouble}" for one in hop.said) or "it has none with an address"
        yield error(
            "zone-dead",
            f"no name server of the zone {hop.zone} gives an answer: {said}; nothing in it can be validated",
            "mend the servers, or the NS records at the parent; if only this host cannot reach them, "
            "check its firewall",
        )


def _ill(zone: str, said: Said) -> Finding:
    """One server among others that do answer."""
    text = f"{said.server}, a name server of {zone}, {said.trouble}; an authority that asks it may fail"
    if "does not serve" in said.trouble:
        hint = "have it serve the zone, or take it out of the NS records here and at the parent"
        return warning("server-lame", text, hint)
    return warning("server-silent", text, "mend it, or take it out of the NS records here and at the parent")


def _differing(hop: Hop) -> Iterator[Finding]:
    """Servers that do not say the same: a secondary that lags, or an answer by place."""
    well = [one for one in hop.said if not one.trouble]
    minds: dict[tuple[bool, str, tuple[str, ...], tuple[str, ...]], list[Said]] = {}
    for one in well:
        minds.setdefault((one.exists, one.alias, one.addresses, one.texts), []).append(one)
    if len(minds) < 2:
        return
    said = "; ".join(
        f"{_who(servers)} (serial {servers[0].serial}): {_mind(servers[0])}" for servers in minds.values()
    )
    yield warning(
        "answers-differ",
        f"the name servers of {hop.zone} do not agree about {hop.name}: {said}; authorities look from "
        "several "
        "places and may ask any of them",
        "if the serials differ a secondary lags: see why it does not transfer; else it may be meant",
    )


def _mind(said: Said) -> str:
    if said.alias:
        return f"an alias of {said.alias}"
    if not said.exists:
        return "no such name"
    return listed((*said.addresses, *(f"“{text[:48]}”" for text in said.texts))) or "no record"


def _refusing(hop: Hop) -> Iterator[Finding]:
    """RFC 8659 §6.3: servers that fail for CAA alone make authorities refuse."""
    bad = [one for one in hop.said if not one.trouble and "CAA" in one.refused]
    if bad:
        yield warning(
            "caa-unanswered",
            f"{_who(bad)} answers for {hop.name}, but not when asked for CAA; authorities must refuse then",
            "bring that server up to date, or mend the firewall that swallows such questions",
        )


def _who(said: list[Said]) -> str:
    return listed(one.server for one in said)
