"""Waiting until records can be seen: by everybody whom the authority may ask, asked by ourselves.

Called only after the records were published: whoever hears that a name does not exist remembers that
(RFC 2308 §5). Every server is asked in a thread of its own, soon and then at growing intervals.
"""

import threading
from collections.abc import Callable, Mapping, Sequence

import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdatatype

from renewer import clock
from renewer.dns.ask import Answer, Question, Server, Silence, ask, rcode
from renewer.dns.resolvers import Resolvers
from renewer.dns.verdict import Group, Verdict, judge, replaced
from renewer.dns.zones import Place, Zones
from renewer.errors import RenewerError
from renewer.model.desired import Propagation, PropagationCheck, Unreachable
from renewer.model.value import Warn

GRACE = 4.0  # seconds without a usable answer after which a server counts as unreachable
FIRST, GROWTH, LONGEST = 0.05, 1.6, 5.0  # seconds between two questions to a server: first, factor, most
_TIMEOUTS = (0.5, 1.0, 2.0)  # seconds for an answer: first time, second, later
_SLICE = 0.25  # seconds after which a wait looks whether the run was told to stop
_SHOWN = 3  # values of a record in a message

Wanted = Mapping[Place, frozenset[str]]
"""What must be seen: the values, by place."""


class Watch:
    """Waits as the config says. `until` gives the end of all waiting, on `clock.monotonic`."""

    def __init__(self, rule: Propagation, zones: Zones, *, until: Callable[[], float]) -> None:
        self._rule = rule
        self._zones = zones
        self._until = until

    def wait(self, wanted: Wanted, warn: Warn) -> None:
        """Return when every value can be seen. Raises RetryLater with what each server says."""
        if self._rule.check is PropagationCheck.NONE:
            self._rest(self._rule.wait.total_seconds())
            return
        deadline = clock.monotonic() + self._rule.timeout.total_seconds()
        if self._rule.check is PropagationCheck.AUTHORITATIVE:
            judge(self._look(self._at_the_zones(wanted), deadline), self._rule, warn)
            return
        # A resolver that asks a secondary too early remembers "no such name": so first the zone's own servers
        # are looked at, as far as they can be reached from here; what they say decides nothing.
        try:
            self._look(self._at_the_zones(wanted), deadline)
        except RenewerError as error:
            warn(f"the zone's own servers could not be looked at first: {error.text}")
        judge(self._look(self._at_resolvers(wanted), deadline), self._rule, warn)

    def _rest(self, seconds: float) -> None:
        end = clock.monotonic() + seconds
        while (left := min(end, self._until()) - clock.monotonic()) > 0:
            clock.sleep(min(left, _SLICE))

    def _at_the_zones(self, wanted: Wanted) -> list[Group]:
        by_zone: dict[str, dict[str, frozenset[str]]] = {}
        for place, values in wanted.items():  # aliases may lead to one record
            names = by_zone.setdefault(place.zone, {})
            names[place.name] = names.get(place.name, frozenset()) | values
        return [
            Group(server=server, where=f"zone {zone}", recursive=False, wanted=by_zone[zone])
            for zone in sorted(by_zone)
            for server in self._zones.servers(zone)
        ]

    def _at_resolvers(self, wanted: Wanted) -> list[Group]:
        names = {place.asked: values for place, values in wanted.items()}
        resolvers: Resolvers = self._zones.resolvers
        return [
            Group(server=server, where="resolvers", recursive=True, wanted=names)
            for server in resolvers.servers
        ]

    def _look(self, groups: Sequence[Group], deadline: float) -> list[Verdict]:
        """Ask until nothing more is to be expected, or the time is over."""
        stop = threading.Event()
        news = threading.Condition()
        # A server that must answer is asked to the end; else it counts as unreachable after a moment.
        must = self._rule.unreachable is Unreachable.REQUIRE
        verdicts = [Verdict(group, None if must else GRACE) for group in groups]
        for verdict in verdicts:
            threading.Thread(target=_follow, args=(verdict, stop, news), daemon=True).start()
        try:
            with news:
                while not all(one.settled for one in verdicts):
                    left = min(deadline, self._until()) - clock.monotonic()
                    if left <= 0 or replaced(verdicts):
                        break
                    news.wait(min(left, _SLICE))
        finally:
            stop.set()
        return verdicts


def _follow(verdict: Verdict, stop: threading.Event, news: threading.Condition) -> None:
    """Ask one server until it shows everything."""
    interval, turn = FIRST, 0
    while not stop.is_set():
        questions = {Question(dns.name.from_text(name), dns.rdatatype.TXT): name for name in verdict.missing}
        timeout = _TIMEOUTS[min(turn, len(_TIMEOUTS) - 1)]
        try:
            answers = ask(
                verdict.group.server, list(questions), recursive=verdict.group.recursive, timeout=timeout
            )
            for question, answer in answers.items():
                _note(verdict, questions[question], question, answer)
        finally:
            with news:
                verdict.turn_over()
                news.notify_all()
        if verdict.finished:
            return
        stop.wait(interval)
        interval, turn = min(interval * GROWTH, LONGEST), turn + 1


def _note(verdict: Verdict, name: str, question: Question, answer: Answer) -> None:
    if isinstance(answer, Silence):
        verdict.silent(name, answer.why, no_route=answer.no_route)
    elif answer.rcode() not in (dns.rcode.NOERROR, dns.rcode.NXDOMAIN):
        verdict.silent(name, f"says {rcode(answer)}")
    elif not verdict.group.recursive and not answer.flags & dns.flags.AA:
        verdict.silent(name, "does not serve this zone")
    else:
        values = txt_values(answer, question, follow=verdict.group.recursive)
        verdict.heard(name, values, _said(answer, values))


def txt_values(message: dns.message.Message, question: Question, *, follow: bool) -> frozenset[str]:
    """The TXT values of the name; through aliases only where a resolver follows them for us."""
    names = {question.name}
    if follow:
        for one in message.answer:  # they stand in the order of the chain (RFC 1034 §4.3.2)
            if one.rdtype == dns.rdatatype.CNAME and one.name in names:
                names.update(record.target for record in one)
    return frozenset(
        b"".join(record.strings).decode("ascii", "replace")  # RFC 7208 §3.3: joined without spaces
        for one in message.answer
        if one.rdtype == dns.rdatatype.TXT and one.name in names
        for record in one
    )


def _said(message: dns.message.Message, values: frozenset[str]) -> str:
    if message.rcode() == dns.rcode.NXDOMAIN:
        return "says that there is no such name"
    if not values:
        return "has no TXT record there"
    shown = sorted(f"“{value[:48]}”" for value in values if value.isprintable())[:_SHOWN]
    more = f" and {len(values) - len(shown)} more" if len(values) > len(shown) else ""
    return f"has other values there: {', '.join(shown)}{more}"


__all__ = ["Server", "Wanted", "Watch"]
