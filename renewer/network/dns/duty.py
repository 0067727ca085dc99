"""The duty of asking resolvers and name servers, on the worker's side of the door."""

import contextlib
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TypeVar

from renewer import clock
from renewer.errors import OurFault, RenewerError
from renewer.model import persist
from renewer.model.challenges import PropagationCheck
from renewer.model.inspection import NameSeen
from renewer.model.persist import Claim
from renewer.network.dns import examine, messages
from renewer.network.dns.messages import VALUE, VALUES, RecordPlace, Servers
from renewer.network.dns.propagation import PropagationWatch, shown
from renewer.network.dns.resolvers import Resolvers, silent
from renewer.network.dns.zones import Zones
from renewer.network.door import Asker
from renewer.network.protocol import DoorMessage, Failed, frame

K = TypeVar("K")
T = TypeVar("T")
PARALLEL = 8  # names looked up at a time
LOOK_LIMIT = 20.0  # seconds for the servers of one name to show their values


class NameAsker:
    """Asks them; remembers the zones that it met."""

    asks = messages.OfRecords | messages.OfNames

    def __init__(self) -> None:
        self._zones: dict[Servers, Zones] = {}
        self._guard = threading.Lock()

    def answer(self, request: messages.OfRecords | messages.OfNames, main: Asker) -> Iterator[DoorMessage]:
        """What they said."""
        if isinstance(request, messages.OfRecords):
            return self._of_records(request, main)
        return _of_names(request)

    def _of_records(self, request: messages.OfRecords, main: Asker) -> Iterator[DoorMessage]:
        match request:
            case messages.FindPlaces(names=names):
                for asked, at in _each(names, self._zones_by(request.at).place):
                    if isinstance(at, Failed):
                        yield messages.Placed(asked=asked, why=at)
                    else:
                        yield messages.Placed(asked=asked, place=at)
            case messages.Propagated(wanted=wanted, rule=rule):
                watch = PropagationWatch(
                    rule, self._zones_by(request.at), until=main.until, grace=request.grace
                )
                watch.wait({place: frozenset(values) for place, values in wanted}, main.note)
            case messages.FindClaims(claims=claims, check=check):
                look = partial(_claimed, self._zones_by(request.at), check, main.until)
                for number, (_, seen) in enumerate(_each(claims, look)):
                    if isinstance(seen, Failed):
                        yield messages.ClaimSeen(number=number, why=seen)
                    else:
                        yield messages.ClaimSeen(number=number, place=seen[0], values=seen[1])

    def _zones_by(self, at: Servers) -> Zones:
        with self._guard:
            if at not in self._zones:
                self._zones[at] = Zones(Resolvers(at.resolvers), port=at.port)
            return self._zones[at]


def _of_names(request: messages.OfNames) -> Iterator[DoorMessage]:
    match request:
        case messages.Examine():
            deadline = clock.monotonic() + request.within
            seen = examine.look(dict(request.names), request.at, deadline)
            yield from map(_fitting, seen)
        case messages.LookUpTlsa(places=places):
            deadline = clock.monotonic() + request.within
            found = examine.look_at_tlsa(places, resolvers=request.at.resolvers, deadline=deadline)
            for place, records in found.items():
                yield messages.TlsaShown(place=place, records=records)
        case messages.FindSilence(within=within):
            yield messages.SilenceFound(resolvers=silent(request.at.resolvers, within))


def _each(things: Iterable[K], look: Callable[[K], T]) -> list[tuple[K, T | Failed]]:
    """What came of each, all at the same time; what went wrong as it is told."""

    def tried(one: K) -> T | Failed:
        try:
            return look(one)
        except RenewerError as error:
            return Failed.of(error)

    several = list(things)
    if len(several) < 2:
        return [(one, tried(one)) for one in several]
    with ThreadPoolExecutor(min(PARALLEL, len(several))) as pool:
        return list(zip(several, pool.map(tried, several), strict=True))


def _claimed(
    zones: Zones, check: PropagationCheck, until: Callable[[], float], sought: tuple[str, Claim]
) -> tuple[RecordPlace, tuple[str, ...]]:
    """Where a claim's record belongs, and what stands there; one server after the other is asked."""
    asked, claim = sought
    place, seen = zones.place(asked), dict[str, None]()
    for values in shown(zones, place, check, min(clock.monotonic() + LOOK_LIMIT, until())):
        for value in sorted(values):
            if len(value) > VALUE:
                continue
            if persist.misfit(value, claim, clock.now()) is None:
                return place, (value, *seen)[:VALUES]
            seen[value] = None
    return place, tuple(seen)[:VALUES]


def _fitting(seen: NameSeen) -> DoorMessage:
    """What a frame holds of it: who fills it with texts, or with servers, is not looked at further."""
    told = messages.Examined(seen=seen)
    with contextlib.suppress(OurFault):
        frame(0, told)
        return told
    empty = ("resolved", "host", "caa", "proof")
    return messages.Examined(seen=NameSeen(name=seen.name, unfinished=empty))
