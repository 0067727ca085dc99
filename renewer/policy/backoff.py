"""After a failure: wait until when. Pure; the ledger remembers the failures, this says what they mean."""

import zlib
from collections.abc import Mapping
from datetime import datetime, timedelta
from types import MappingProxyType

from renewer.errors import GiveUp, RenewerError
from renewer.model.facts import Deployment, Failure, Sighting, Situation, Version
from renewer.policy.wanted import ASSUMED_LIFETIME
from renewer.policy.window import in_emergency

# Let's Encrypt's advice: 1, 10, 100 minutes, then once a day
LADDER = (timedelta(minutes=1), timedelta(minutes=10), timedelta(minutes=100), timedelta(days=1))
DAILY = LADDER[-1]
EMERGENCY_STEP = timedelta(minutes=30)  # two an hour stay below five failed authorizations an hour
STALE_STEP = timedelta(hours=6)  # between deployments for a port that stays stale, in the last days
RETRY_AFTER_FLOOR = timedelta(minutes=1)
RETRY_AFTER_CAP_WHEN_ABSENT = timedelta(hours=6)
PAUSED = "paused"
MALFORMED = "malformed"  # what an authority cannot read once, it cannot read twice
CLOCKS_DIFFER = timedelta(minutes=5)  # a fact from further ahead was written while the clock was wrong
# While a degraded certificate serves, the full set is tried again after 1, 3, 6 hours, then daily
DEGRADED_LADDER = (
    (timedelta(hours=1), timedelta(hours=1)),
    (timedelta(hours=4), timedelta(hours=3)),
    (timedelta(hours=10), timedelta(hours=6)),
)


def ladder(count: int) -> timedelta:
    """How long after the `count`-th failure in a row (1 is the first)."""
    return LADDER[min(max(count, 1), len(LADDER)) - 1]


def _jitter(span: timedelta, *words: str) -> timedelta:
    """Up to a tenth of the span, always the same for the same words; taken off, so that a day stays a day."""
    return span / 10 * (zlib.crc32("\0".join(words).encode()) / 2**32)


def issue_again(  # noqa: PLR0913  each by its name
    failure: Failure,
    best: Version | None,
    now: datetime,
    part: Version | None = None,
    *,
    begun: bool = False,
    lifetime: timedelta = ASSUMED_LIFETIME,
) -> datetime:
    """The earliest moment to ask that authority again for the full set.

    `best` is what we have meanwhile (without, `lifetime` is what its certificates live), `part` a degraded
    version that stands in for it. What was found on this host, without disturbing anybody, is looked at again
    by the next run: it costs nobody anything. `begun` is whether it was this very run that found it.
    """
    if from_the_future(failure.at, now):
        return now
    if failure.local and not failure.disturbing:
        moment = failure.at + LADDER[0] if begun else now
        return max(moment, failure.not_before or moment)
    lifetime = best.leaf.lifetime if best else lifetime
    step = min(DAILY if failure.final and not failure.local else ladder(_rung(failure)), lifetime / 10)
    if part is not None:
        step = min(_degraded_step(failure.at - part.made_at), lifetime / 10)
    elif best and in_emergency(best.leaf, now):
        step = min(step, EMERGENCY_STEP)
    moment = failure.at + step - _jitter(step, failure.certificate, failure.authority, str(failure.count))
    if failure.not_before is None:
        return moment
    return max(moment, _asked_to_wait(failure, failure.not_before, best))


def _rung(failure: Failure) -> int:
    """How many failures in a row were of its kind: what is wrong here says nothing of an authority."""
    return failure.own if failure.local else failure.count - failure.own


def forced_again(failure: Failure, best: Version | None, now: datetime) -> datetime | None:
    """What even `--force` does not overrule: an authority's Retry-After, and a paused account."""
    if failure.problem == PAUSED:
        return issue_again(failure, best, now)
    return None if failure.not_before is None else _asked_to_wait(failure, failure.not_before, best)


def from_the_future(at: datetime, now: datetime) -> bool:
    """Whether a fact was written by a clock that was ahead: it must hold nothing back until that moment."""
    return at - now > CLOCKS_DIFFER


def _degraded_step(since: timedelta) -> timedelta:
    return next((step for until, step in DEGRADED_LADDER if since < until), DAILY)


def _asked_to_wait(failure: Failure, not_before: datetime, best: Version | None) -> datetime:
    """Retry-After within reason: what an authority asks must not let a certificate expire."""
    if failure.problem == PAUSED:
        return not_before  # in full: every try while paused makes it worse
    remaining = best.leaf.not_after - failure.at if best else timedelta(0)
    cap = remaining / 2 if remaining > timedelta(0) else RETRY_AFTER_CAP_WHEN_ABSENT
    return failure.at + min(max(not_before - failure.at, RETRY_AFTER_FLOOR), cap)


def deploy_again(
    deployment: Deployment, lifetime: timedelta, now: datetime, *, urgent: bool = False
) -> datetime:
    """The earliest moment to run a hook again that failed, or whose server was not running.

    `urgent` is whether what is served meanwhile is about to expire, or should not be served.
    """
    if from_the_future(deployment.at, now):
        return now
    step = min(ladder(max(deployment.failures, 1)), lifetime / 10)
    if urgent:
        step = min(step, EMERGENCY_STEP)
    return (
        deployment.at
        + step
        - _jitter(step, deployment.certificate, deployment.hook, str(deployment.failures))
    )


def redeploy_stale(
    sighting: Sighting,
    deployed: datetime | None,
    lifetime: timedelta,
    now: datetime,
    *,
    urgent: bool = False,
) -> datetime:
    """The earliest moment to deploy again because of a stale port: at once, then up the ladder.

    If it is `urgent` no step is longer than six hours, or a twentieth of the lifetime: not every run then
    reloads a server that will not load it, be it another node's.

    Counted from when it was first seen stale, against when this version was last `deployed`: how often
    anybody looked meanwhile does not matter.
    """
    moment = sighting.since or sighting.at
    if from_the_future(moment, now) or deployed is None or from_the_future(deployed, now):
        return now
    tries = 0
    while moment <= deployed:
        tries += 1
        step = min(ladder(tries), lifetime / 10)
        if urgent:
            step = min(step, STALE_STEP, lifetime / 20)
        # Beyond the ladder's end the steps are all alike
        skipped = (deployed - moment) // step if tries >= len(LADDER) else 0
        moment += step * max(skipped, 1)
    return moment


def count(  # noqa: PLR0913  what is known of the failure, each by its name
    situation: Situation,
    authority: str,
    error: RenewerError,
    now: datetime,
    *,
    in_part: bool = False,
    tried: Mapping[str, int] = MappingProxyType({}),
) -> Failure:
    """The record of one more failure there; the count begins anew when the wish has changed.

    `in_part` is whether only some names were ordered: what is known of the others stays known. `tried` has
    the challenges that failed now, as `Failure.tried`; those of other names stay known, too.
    """
    before = known(situation, authority)
    wish = _wish_at(situation, authority)
    return Failure(
        certificate=situation.wish.name,
        authority=authority,
        wish=wish,
        count=before.count + 1 if before else 1,
        own=(before.own if before else 0) + error.local,
        local=error.local,
        disturbing=error.disturbing,
        since=before.since if before else now,
        at=now,
        text=error.text,
        hint=error.hint,
        problem=error.kind,
        final=isinstance(error, GiveUp) or error.kind == MALFORMED,
        not_before=before.not_before if error.local and before else error.not_before,
        identifiers=_failing(error, before, in_part=in_part),
        named=bool(error.identifiers),
        tried=tuple(sorted({**dict(before.tried if before else ()), **tried}.items())),
    )


def known(situation: Situation, authority: str) -> Failure | None:
    """The record of the failures there so far; None if there is none, or none for the wish as it is now."""
    wish = _wish_at(situation, authority)
    return next((f for f in situation.failures if f.authority == authority and f.wish == wish), None)


def _wish_at(situation: Situation, authority: str) -> str:
    return next((asked.wish for asked in situation.asked if asked.authority == authority), "")


def _failing(error: RenewerError, before: Failure | None, *, in_part: bool) -> tuple[tuple[str, str], ...]:
    """The names that fail now; those known before are not forgotten because only the network failed since.

    Nor because only this host was looked at since; but what was missing here before was looked at again.
    """
    known = before.identifiers if before else ()
    if not error.identifiers:
        return known
    named = {name for name, _ in error.identifiers}
    kept = in_part or (error.local and before is not None and not before.local)
    return error.identifiers + tuple(pair for pair in known if kept and pair[0] not in named)
