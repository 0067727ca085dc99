"""TLSA records (RFC 6698), as a resolver of this host sees them."""

from collections.abc import Iterable
from functools import partial

import dns.exception
import dns.name
import dns.rdatatype

from renewer.model.inspection import Tlsa
from renewer.network.dns.ask import records
from renewer.network.dns.resolvers import Lookups, Resolvers
from renewer.threads import together

MAX_RECORDS = 20  # of one place
_TO_SAY = 0.2  # seconds of the time limit in which nobody is waited for any more


def look(
    places: Iterable[str], *, resolvers: tuple[str, ...], deadline: float
) -> dict[str, tuple[Tlsa, ...]]:
    """The records of places as `_25._tcp.mail.example.org`, by `deadline` (of clock.monotonic).

    Raises GiveUp if this host names no resolver.
    """
    work = list(dict.fromkeys(places))
    if not work:
        return {}
    lookups = Lookups(Resolvers(resolvers).servers, deadline=deadline)
    return together({place: partial(_ask, lookups, place) for place in work}, deadline - _TO_SAY)


def _ask(lookups: Lookups, place: str) -> tuple[Tlsa, ...]:
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
    return tuple(found[:MAX_RECORDS])
