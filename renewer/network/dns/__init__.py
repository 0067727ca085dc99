"""Everything that is asked of DNS: knows nothing of this host but its resolvers, and ends in time.

`NameServers` is the way to who asks, through the door (`network/door.py`); nothing else here is main's.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from renewer.model.inspection import NameSeen, Tlsa
from renewer.model.value import Warn
from renewer.network.dns import messages as said
from renewer.network.dns.messages import NAMES, ClaimSeen, RecordPlace
from renewer.network.protocol import Failed, breach, by_what, cleaned, shares

if TYPE_CHECKING:
    from renewer.model.challenges import Propagation, PropagationCheck
    from renewer.model.persist import Claim
    from renewer.network.door import Door

_NAME = re.compile(r"[!-~]{1,1009}")  # of 253 octets, each of which may be written as \DDD


class NameServers:
    """Asks `resolvers` ("ADDRESS:PORT"; none: the system's) and the servers of zones; safe for threads.

    What was found of a zone is remembered. `port` is where name servers listen, if
    not at their own. An answer about something that was not asked is a BreachError.
    """

    def __init__(self, resolvers: tuple[str, ...] = (), port: int = 0) -> None:
        self._at = said.Servers(resolvers=resolvers, port=port or said.PORT)
        self._made: Door[Any] | None = None

    def places(self, names: Iterable[str]) -> dict[str, RecordPlace | Failed]:
        """Where the record of each name has to lie: the end of its aliases, in that zone; or why not."""
        found: dict[str, RecordPlace | Failed] = {}
        for some in shares(list(dict.fromkeys(names)), NAMES):
            request = said.FindPlaces(names=tuple(some), at=self._at)
            answers = self._door.ask_all(request, said.Placed)
            for asked, answer in by_what(lambda one: one.asked, some, answers, each=True).items():
                found[asked] = _told(asked, answer.place, answer.why)
        return found

    def wait(
        self,
        wanted: "Mapping[RecordPlace, Iterable[str]]",
        rule: "Propagation",
        *,
        until: Callable[[], float],
        warn: Warn,
    ) -> None:
        """Return when all can be seen as the rule says. Raises RetryLater with what each server says."""
        for some in shares([(place, tuple(sorted(values))) for place, values in wanted.items()], NAMES):
            self._door.do(
                said.Propagated(wanted=tuple(some), rule=rule, at=self._at, grace=said.GRACE),
                until=until,
                note=warn,
            )

    def claims(
        self,
        sought: "Sequence[tuple[str, Claim]]",
        check: "PropagationCheck",
        *,
        until: Callable[[], float],
    ) -> list[ClaimSeen]:
        """What stands where each claim's record is asked for, in their order."""
        found: list[ClaimSeen] = []
        for some in shares(sought, NAMES):
            request = said.FindClaims(claims=tuple(some), check=check, at=self._at)
            answers = self._door.ask_all(request, ClaimSeen, until=until)
            seen = by_what(lambda one: one.number, range(len(some)), answers, each=True)
            for number, (asked, _) in enumerate(some):
                _told(asked, seen[number].place, seen[number].why)
                found.append(seen[number])
        return found

    def examine(self, labels: Mapping[str, str], *, within: float) -> dict[str, NameSeen]:
        """All that DNS says of each name in so many seconds, and of its challenge's record by its label.

        Raises GiveUp if this host names no resolver.
        """
        found: dict[str, NameSeen] = {}
        for some in shares(list(labels.items()), NAMES):
            request = said.Examine(names=tuple(some), at=self._at, within=within)
            answers = self._door.ask_all(request, said.Examined)
            seen = by_what(lambda one: one.seen.name, [name for name, _ in some], answers, each=True)
            found |= {name: cleaned(one.seen) for name, one in seen.items()}
        return found

    def tlsa(self, places: Iterable[str], *, within: float) -> dict[str, tuple[Tlsa, ...]]:
        """The TLSA records of places as `_25._tcp.mail.example.org`, of those that answer in that time.

        Raises GiveUp if this host names no resolver.
        """
        found: dict[str, tuple[Tlsa, ...]] = {}
        for some in shares(list(dict.fromkeys(places)), NAMES):
            request = said.LookUpTlsa(places=tuple(some), at=self._at, within=within)
            answers = self._door.ask_all(request, said.TlsaShown)
            shown = by_what(lambda one: one.place, some, answers)
            found |= {place: cleaned(one).records for place, one in shown.items()}
        return found

    def silent(self, within: float) -> tuple[str, ...]:
        """The resolvers, if none of them says anything within so many seconds; empty if one does.

        Raises GiveUp if this host has none.
        """
        request = said.FindSilence(within=within, at=self._at)
        found: said.SilenceFound = self._door.ask(request, said.SilenceFound)
        return cleaned(found).resolvers

    @property
    def _door(self) -> "Door[Any]":
        if self._made is None:
            from renewer.network.door import Door

            self._made = Door[Any]("names", shared=True)
        return self._made


def _told(asked: str, place: RecordPlace | None, why: Failed | None) -> RecordPlace | Failed:
    """The one or the other, and a place that can be one."""
    if place is None and why is not None:
        return why
    if place is None or why is not None or place.asked != asked:
        raise breach("a place that nobody asked for")
    within = place.name == place.zone or place.name.endswith(f".{place.zone}")
    if not within or not _NAME.fullmatch(place.name) or not place.zone:
        raise breach("a place that is none")
    return place
