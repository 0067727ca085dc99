"""Which authority to ask, and when: the configured order, failures and urgency. Pure."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import NamedTuple

from renewer.model.facts import Failure, Situation, Version
from renewer.policy.backoff import forced_again, issue_again
from renewer.policy.budget import Withheld
from renewer.policy.wanted import best, in_part, lifetime
from renewer.policy.window import in_emergency

FAILURES_BEFORE_THE_NEXT = 3
_AT_ONCE = datetime.min.replace(tzinfo=UTC)


class Choice(NamedTuple):
    """The authority to ask; `not_before` is None if it may be asked now; `failure` is its last one.

    `hold` is set if it is the order budget that `not_before` comes from.
    """

    authority: str
    not_before: datetime | None
    failure: Failure | None
    hold: Withheld | None = None


def relevant(situation: Situation) -> dict[str, Failure]:
    """Failures by authority; those of a wish that has changed since are forgotten."""
    wishes = {asked.authority: asked.wish for asked in situation.asked}
    return {
        failure.authority: failure
        for failure in situation.failures
        if wishes.get(failure.authority) == failure.wish
    }


def _never(_: str) -> Withheld | None:
    return None


def choose(  # noqa: PLR0913  each by its name
    situation: Situation,
    now: datetime,
    held: Callable[[str], Withheld | None] = _never,
    *,
    asked: bool = False,
    begun: bool = False,
    passed_over: frozenset[str] = frozenset(),
) -> Choice:
    """The first authority in order that may be asked now, else the one that may be asked soonest.

    The next in order gets its turn when all before it failed finally or three times, or in emergency. If none
    may be asked and a person `asked` for it, the first whose wait a person overrules. `held` says until when
    the order budget of each is used up. Those `passed_over` are left out as long as there are others.
    """
    failures = relevant(situation) if situation.failures else {}
    meanwhile = best(situation, now)
    urgent = _is_urgent(situation, meanwhile, now)
    part, lives = in_part(situation, now), lifetime(situation, now)
    choices: list[Choice] = []
    known = candidates(situation)
    for authority in [one for one in known if one not in passed_over] or known:
        failure = failures.get(authority)
        again = failure and issue_again(failure, meanwhile, now, part, begun=begun, lifetime=lives)
        choice = _held(Choice(authority, again if again and again > now else None, failure), held(authority))
        choices.append(choice)
        if choice.not_before is None or (failure and failure.local):
            break
        turn = failure is not None and (failure.final or _theirs(failure) >= FAILURES_BEFORE_THE_NEXT)
        if not (urgent or turn):
            break
    if asked:
        free = [
            one for one in choices if one.failure and not one.hold and _is_free(one.failure, meanwhile, now)
        ]
        return next(iter(free), _soonest(choices))
    return _soonest(choices)


def _theirs(failure: Failure) -> int:
    """The failures that say something of the authority."""
    return failure.count - failure.own


def _held(choice: Choice, hold: Withheld | None) -> Choice:
    """The later of both: a wait after a failure, and the order budget."""
    if hold is None or (choice.not_before is not None and choice.not_before >= hold.until):
        return choice
    return choice._replace(not_before=hold.until, hold=hold)


def _is_urgent(situation: Situation, meanwhile: Version | None, now: datetime) -> bool:
    """Whether what visitors see is near its end, or beyond it."""
    live = situation.live_version
    expired = live is not None and not live.placeholder and live.leaf.not_after <= now
    return expired or (meanwhile is not None and in_emergency(meanwhile.leaf, now))


def _is_free(failure: Failure, meanwhile: Version | None, now: datetime) -> bool:
    held = forced_again(failure, meanwhile, now)
    return held is None or held <= now


def candidates(situation: Situation) -> Sequence[str]:
    """Those where our account was not ended, as long as there is one."""
    ended = {name for name, _ in situation.ended}
    return [name for name in situation.wish.authorities if name not in ended] or situation.wish.authorities


def _soonest(choices: list[Choice]) -> Choice:
    return min(choices, key=lambda choice: choice.not_before or _AT_ONCE)
