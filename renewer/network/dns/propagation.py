"""Waiting until records can be seen: by everybody whom the authority may ask, asked by ourselves.

Called only after the records were published: whoever hears that a name does not exist remembers that
(RFC 2308 §5). Every server is asked in a thread of its own, soon and then at growing intervals; what follows
from their answers says the configured rule.
"""

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence

import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdatatype

from renewer import clock, words
from renewer.errors import RenewerError, RetryLater
from renewer.model.desired import Propagation, PropagationCheck, Unreachable
from renewer.model.value import Value, Warn
from renewer.network.dns import messages
from renewer.network.dns.ask import (
    AUTHORITY,
    RESOLVER,
    USUAL,
    Answer,
    NameServer,
    Question,
    Silence,
    ask,
    rcode,
)
from renewer.network.dns.messages import RecordPlace
from renewer.network.dns.resolvers import Resolvers
from renewer.network.dns.zones import Zones

FIRST, GROWTH, LONGEST = 0.05, 1.6, 5.0  # seconds between two questions to a server: first, factor, most
_TIMEOUTS = (0.5, 1.0, 2.0)  # seconds for an answer: first time, second, later
_SLICE = 0.25  # seconds after which a wait looks whether the run was told to stop
LONE = 10.0  # seconds that one of several values stands alone before the others count as replaced by it
ONE_VALUE = "one-value"  # the kind of such an error
_SHOWN = 3  # values of a record in a message
_MOST = 12  # servers in one message

Wanted = Mapping[RecordPlace, frozenset[str]]
"""What must be seen: the values, by place."""


class Group(Value):
    """One server and what it must show: values by name. `where` says for people why it is asked."""

    server: NameServer
    where: str
    recursive: bool
    wanted: Mapping[str, frozenset[str]]


class Visibility:
    """What one server said so far. `grace` is after how many silent seconds it is given up; None: never."""

    def __init__(self, group: Group, grace: float | None) -> None:
        self.group = group
        self.missing = dict(group.wanted)
        self.said: dict[str, str] = {}
        self.answers = False  # whether it gave a usable answer when it was last asked
        self.no_route = False
        self._grace = grace
        self._silent_since = clock.monotonic()
        self._heard = False
        self._asked = False
        self._lone: dict[str, tuple[frozenset[str], float]] = {}

    def heard(self, name: str, values: frozenset[str], text: str) -> None:
        """It answered for the zone; `text` says what it has instead of what is wanted."""
        self._heard = True
        self._note_lone(name, values)
        if self.group.wanted[name] <= values:
            self.missing.pop(name, None)
            self.said.pop(name, None)
        else:
            self.said[name] = text

    def shows_one_of_several(self, name: str) -> bool:
        """Whether it has shown one and the same of several values for a while, and no other of ours."""
        since = self._lone.get(name)
        return since is not None and clock.monotonic() - since[1] >= LONE

    def _note_lone(self, name: str, values: frozenset[str]) -> None:
        ours = self.group.wanted[name] & values
        if len(ours) != 1 or len(self.group.wanted[name]) == 1:
            self._lone.pop(name, None)
        elif name not in self._lone or self._lone[name][0] != ours:
            self._lone[name] = (ours, clock.monotonic())

    def silent(self, name: str, why: str, *, no_route: bool = False) -> None:
        """It gave no usable answer about a name."""
        self.said[name] = why
        self.no_route = no_route

    def turn_over(self) -> None:
        """Every question of a turn was answered or not."""
        self._asked = True
        self.answers = self._heard
        if self._heard:
            self._silent_since = clock.monotonic()
        self._heard = False

    @property
    def finished(self) -> bool:
        """Whether asking again would be in vain: it shows everything, or there is no way to it."""
        return not self.missing or self.no_route

    @property
    def settled(self) -> bool:
        """Whether nobody needs to wait for it any longer."""
        if self.finished or self.answers or self._grace is None or not self._asked:
            return self.finished
        return clock.monotonic() - self._silent_since >= self._grace

    @property
    def words(self) -> str:
        """What it says, for people: about the first name that it does not show."""
        if not self.missing:
            return f"{self.group.server} shows it"
        name = next(iter(self.missing))
        more = f", and {len(self.missing) - 1} more not" if len(self.missing) > 1 else ""
        return f"{self.group.server}: {name} {self.said.get(name, 'was not asked yet')}{more}"


class PropagationWatch:
    """Waits as the config says. `until` gives the end of all waiting, on `clock.monotonic`.

    After `grace` seconds without a usable answer a server counts as unreachable.
    """

    def __init__(
        self, rule: Propagation, zones: Zones, *, until: Callable[[], float], grace: float = 0.0
    ) -> None:
        self._rule = rule
        self._zones = zones
        self._until = until
        self._grace = grace or messages.GRACE

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

    def _look(self, groups: Sequence[Group], deadline: float) -> list[Visibility]:
        """Ask until nothing more is to be expected, or the time is over."""
        stop = threading.Event()
        news = threading.Condition()
        # A server that must answer is asked to the end; else it counts as unreachable after a moment.
        must = self._rule.unreachable is Unreachable.REQUIRE
        verdicts = [Visibility(group, None if must else self._grace) for group in groups]
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


def _follow(verdict: Visibility, stop: threading.Event, news: threading.Condition) -> None:
    """Ask one server until it shows everything."""
    interval, turn = FIRST, 0
    flags = RESOLVER if verdict.group.recursive else AUTHORITY
    while not stop.is_set():
        questions = {Question(dns.name.from_text(name), dns.rdatatype.TXT): name for name in verdict.missing}
        timeout = _TIMEOUTS[min(turn, len(_TIMEOUTS) - 1)]
        try:
            answers = ask(verdict.group.server, list(questions), flags=flags, timeout=timeout)
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


def _note(verdict: Visibility, name: str, question: Question, answer: Answer) -> None:
    if isinstance(answer, Silence):
        verdict.silent(name, answer.why, no_route=answer.no_route)
    elif answer.rcode() not in USUAL:
        verdict.silent(name, f"says {rcode(answer)}")
    elif not verdict.group.recursive and not answer.flags & dns.flags.AA:
        verdict.silent(name, "does not serve this zone")
    else:
        values = _values(answer, question, follow=verdict.group.recursive)
        verdict.heard(name, values, _said(answer, values))


def shown(zones: Zones, place: RecordPlace, check: PropagationCheck, end: float) -> Iterator[frozenset[str]]:
    """The values that are there already, as one server after the other shows them until `end`.

    `end` is of clock.monotonic. Raises RetryLater or GiveUp if the servers cannot be found.
    """
    question = Question(dns.name.from_text(place.name), dns.rdatatype.TXT)
    if check is PropagationCheck.RESOLVERS:
        yield _values(zones.resolvers.ask([question])[question], question, follow=True)
        return
    for server in zones.servers(place.zone):
        left = end - clock.monotonic()
        if left <= 0:
            return
        answer = ask(server, [question], flags=AUTHORITY, timeout=min(left, _TIMEOUTS[-1]))[question]
        if not isinstance(answer, Silence):
            yield _values(answer, question, follow=False)


def _values(message: dns.message.Message, question: Question, *, follow: bool) -> frozenset[str]:
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
    shown = sorted(f"“{words.clean(value[:48])}”" for value in values)[:_SHOWN]
    more = f" and {len(values) - len(shown)} more" if len(values) > len(shown) else ""
    return f"has other values there: {', '.join(shown)}{more}"


# --- the rule -----------------------------------------------------------------------------------------------


def replaced(verdicts: Sequence[Visibility]) -> bool:
    """Whether some record shows one of its values alone at every server that answers: the others are gone."""
    alive = [one for one in verdicts if one.answers]
    return any(
        all(one.shows_one_of_several(name) for one in alive if name in one.group.wanted)
        for name in {name for one in alive for name in one.missing}
    )


def judge(verdicts: Sequence[Visibility], rule: Propagation, warn: Warn) -> None:
    """Decide by the rule; what is left out is told. Raises RetryLater if it is too early to ask."""
    for where in dict.fromkeys(one.group.where for one in verdicts):
        _judge(where, [one for one in verdicts if one.group.where == where], rule, warn)


def _judge(where: str, verdicts: Sequence[Visibility], rule: Propagation, warn: Warn) -> None:
    no_way = [one for one in verdicts if one.missing and one.no_route]
    silent = [one for one in verdicts if one.missing and not one.no_route and not one.answers]
    lagging = [one for one in verdicts if one.missing and not one.no_route and one.answers]
    nobody = all(one.missing for one in verdicts)
    if lagging or nobody or (silent and rule.unreachable is Unreachable.REQUIRE):
        raise _not_seen(where, verdicts, rule, alive=bool(lagging))
    for one in silent:
        warn(f'left out, as unreachable = "ignore" says ({where}): {one.words}')
    if no_way:
        servers = ", ".join(str(one.group.server) for one in no_way)
        warn(f"not asked, since this host has no way there ({where}): {servers}")


def _not_seen(where: str, verdicts: Sequence[Visibility], rule: Propagation, *, alive: bool) -> RetryLater:
    missing = dict.fromkeys(name for one in verdicts for name in one.missing)
    said = [one.words for one in sorted(verdicts, key=lambda one: not one.missing)]
    more = f"; and {len(said) - _MOST} more" if len(said) > _MOST else ""
    hint = "the next run publishes it anew; a slow secondary needs a longer propagation.timeout"
    if not alive:
        hint = (
            'nobody answers from here: if a firewall is between, use check = "resolvers" or "none"'
            if rule.check is PropagationCheck.AUTHORITATIVE
            else "are these resolvers right?"
        )
    if replaced(verdicts):
        name = next(name for one in verdicts for name in one.missing if one.shows_one_of_several(name))
        return RetryLater(
            f"of several values of the TXT record {name} one is left: the provider keeps one value only",
            hint="the names are proved one after the other from now on; one_at_a_time = true says so at once",
            kind=ONE_VALUE,
            identifiers=tuple((one, "its value was replaced") for one in missing),
        )
    return RetryLater(
        f"the TXT record {next(iter(missing))} cannot be seen everywhere after "
        f"{rule.timeout.total_seconds():g} s ({where}): {'; '.join(said[:_MOST])}{more}",
        hint=hint,
        kind="propagation",
        identifiers=tuple((name, "not seen") for name in missing),
    )
