"""Which authority to ask, and when: the configured order, failures and urgency. Pure."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import NamedTuple

from renewer.model.facts import Failure, Situation, Version
from renewer.policy.backoff import forced_again, issue_again
from renewer.policy.wanted import best, in_part
from renewer.policy.window import in_emergency

FAILURES_BEFORE_THE_NEXT = 3
_AT_ONCE = datetime.min.replace(tzinfo=UTC)


class Choice(NamedTuple):
    """The authority to ask; `not_before` is None if it may be asked now; `failure` is its last one."""

    authority: str
    not_before: datetime | None
    failure: Failure | None


def relevant(situation: Situation) -> dict[str, Failure]:
    """Failures by authority; those of a wish that has changed since are forgotten."""
    wishes = {asked.authority: asked.wish for asked in situation.asked}
    return {
        failure.authority: failure
        for failure in situation.failures
        if wishes.get(failure.authority) == failure.wish
    }


def choose(situation: Situation, now: datetime, *, asked: bool = False, begun: bool = False) -> Choice:
    """The first authority in order that may be asked now, else the one that may be asked soonest.

    The next in order gets its turn when all before it failed finally or three times, or in emergency. If none
    may be asked and a person `asked` for it, the first whose wait a person overrules.
    """
    failures = relevant(situation) if situation.failures else {}
    if not failures:
        return Choice(_askable(situation)[0], None, None)
    meanwhile = best(situation, now)
    live = situation.live_version
    urgent = (meanwhile is not None and in_emergency(meanwhile.leaf, now)) or (
        live is not None and not live.placeholder and live.leaf.not_after <= now
    )
    choices: list[Choice] = []
    for authority in _askable(situation):
        failure = failures.get(authority)
        if failure is None:
            return (
                Choice(authority, None, None)
                if not choices
                else _soonest([*choices, Choice(authority, None, None)])
            )
        moment = issue_again(failure, meanwhile, now, in_part(situation, now), begun=begun)
        if moment <= now:
            return Choice(authority, None, failure)
        choices.append(Choice(authority, moment, failure))
        if failure.local or not (urgent or failure.final or _theirs(failure) >= FAILURES_BEFORE_THE_NEXT):
            break
    if asked:
        free = [one for one in choices if one.failure and _is_free(one.failure, meanwhile, now)]
        return next(iter(free), _soonest(choices))
    return _soonest(choices)


def _theirs(failure: Failure) -> int:
    """The failures that say something of the authority."""
    return failure.count - failure.own


def _is_free(failure: Failure, meanwhile: Version | None, now: datetime) -> bool:
    held = forced_again(failure, meanwhile, now)
    return held is None or held <= now


def _askable(situation: Situation) -> Sequence[str]:
    """Those where our account was not ended, as long as there is one."""
    ended = {name for name, _ in situation.ended}
    return [name for name in situation.wish.authorities if name not in ended] or situation.wish.authorities


def _soonest(choices: list[Choice]) -> Choice:
    return min(choices, key=lambda choice: choice.not_before or _AT_ONCE)
