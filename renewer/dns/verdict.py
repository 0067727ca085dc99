"""What the servers said about the records, and what follows from it by the configured rule."""

from collections.abc import Mapping, Sequence

from renewer import clock
from renewer.dns.ask import Server
from renewer.errors import RetryLater
from renewer.model.desired import Propagation, PropagationCheck, Unreachable
from renewer.model.value import Value, Warn

_MOST = 12  # servers in one message
LONE = 10.0  # seconds that one of several values stands alone before the others count as replaced by it
ONE_VALUE = "one-value"  # the kind of such an error


class Group(Value):
    """One server and what it must show: values by name. `where` says for people why it is asked."""

    server: Server
    where: str
    recursive: bool
    wanted: Mapping[str, frozenset[str]]


class Verdict:
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


def replaced(verdicts: Sequence[Verdict]) -> bool:
    """Whether some record shows one of its values alone at every server that answers: the others are gone."""
    alive = [one for one in verdicts if one.answers]
    return any(
        all(one.shows_one_of_several(name) for one in alive if name in one.group.wanted)
        for name in {name for one in alive for name in one.missing}
    )


def judge(verdicts: Sequence[Verdict], rule: Propagation, warn: Warn) -> None:
    """Decide by the rule; what is left out is told. Raises RetryLater if it is too early to ask."""
    for where in dict.fromkeys(one.group.where for one in verdicts):
        _judge(where, [one for one in verdicts if one.group.where == where], rule, warn)


def _judge(where: str, verdicts: Sequence[Verdict], rule: Propagation, warn: Warn) -> None:
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


def _not_seen(where: str, verdicts: Sequence[Verdict], rule: Propagation, *, alive: bool) -> RetryLater:
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
