"""TLSA records (DANE, RFC 6698) at the ports of a certificate: who asks for them refuses any other key."""

from collections.abc import Sequence
from functools import partial

import dns.exception
import dns.name
import dns.rdatatype

from renewer.challenges.dns01.resolvers import Resolvers
from renewer.challenges.inspection.eyes import Eyes, records
from renewer.challenges.inspection.together import together
from renewer.model.desired import Certificate
from renewer.model.inspection import Finding, Tlsa
from renewer.model.names import Identifier, IdentifierType
from renewer.policy import dane

MAX_RECORDS = 20  # of one place
_RESOLVERS_TURN = 0.2  # seconds of the time limit in which nobody is waited for any more


def look(
    wishes: Sequence[Certificate], resolvers: tuple[str, ...], deadline: float
) -> dict[tuple[str, str], tuple[Finding, ...]]:
    """What was found, by certificate and name, by `deadline` (of clock.monotonic).

    Raises GiveUp if this host names no resolver.
    """
    eyes = Eyes(Resolvers(resolvers).servers, deadline=deadline)
    places = [(wish, name, place) for wish in wishes for name, place in _places(wish)]
    work = {place: partial(_ask, eyes, place) for _, _, place in places}
    seen = together(work, deadline - _RESOLVERS_TURN)
    found: dict[tuple[str, str], tuple[Finding, ...]] = {}
    for wish, name, place in places:
        told = dane.judge(wish.name, seen.get(place, ()), reuse_key=wish.reuse_key)
        found[wish.name, name] = found.get((wish.name, name), ()) + told
    return {key: told for key, told in found.items() if told}


def _places(wish: Certificate) -> list[tuple[str, str]]:
    """Where records of its endpoints would lie (RFC 6698 §3), each with the certificate's name for it."""
    found: dict[tuple[str, str], None] = {}
    for endpoint in wish.endpoints:
        try:
            asked = Identifier.parse(endpoint.server_name)
        except ValueError:
            continue
        if asked.type is IdentifierType.DNS:
            shown = next((one.base for one in wish.names if one == asked or one.covers(asked)), "")
            found[shown or wish.names[0].base, f"_{endpoint.port}._tcp.{asked.base}"] = None
    return list(found)


def _ask(eyes: Eyes, place: str) -> tuple[Tlsa, ...]:
    kind = dns.rdatatype.TLSA
    try:
        name = dns.name.from_text(place)
    except dns.exception.DNSException:
        return ()
    answer = eyes.resolve(name, kind)
    found = [
        Tlsa(place=place, usage=one.usage, selector=one.selector, matching=one.mtype)
        for several in records(answer, name, kind)
        for one in several
    ]
    return tuple(found[:MAX_RECORDS])
