"""A certificate that is only watched: when to look at it, what it is, whether it is well. Pure."""

from datetime import datetime, timedelta

from renewer.model.desired import Watch
from renewer.model.outcome import WatchState
from renewer.model.told import ESCALATED, Watched
from renewer.model.value import Value
from renewer.policy.backoff import from_the_future
from renewer.policy.health import PERSON, RETRIED, WELL
from renewer.policy.trouble import stage
from renewer.policy.window import slack


class WatchHealth(Value):
    """The verdict about one: `exit` as for a certificate, `why` as a sentence."""

    state: WatchState
    healthy: bool
    exit: int
    why: str = ""


def is_due(watch: Watch, fact: Watched | None, now: datetime, every: timedelta, wake: timedelta) -> bool:
    """Whether to look at it in this run."""
    if fact is None or fact.target != watch.target or from_the_future(fact.at, now):
        return True
    return fact.at + every <= now + slack(wake)


def assess_watch(watch: Watch, fact: Watched | None, now: datetime) -> WatchHealth:
    """How it stands, by what was seen last."""
    if fact is None or fact.target != watch.target:
        return WatchHealth(state=WatchState.UNKNOWN, healthy=True, exit=WELL)
    if fact.not_after is not None:
        life = fact.not_after - (fact.not_before or fact.not_after)
        near = stage(fact.not_after, life, now)
        if near is not None and near <= ESCALATED:
            state = WatchState.EXPIRED if near <= 0 else WatchState.EXPIRING
            verb = "expired" if near <= 0 else "expires"
            why = f"it {verb} at {fact.not_after:%Y-%m-%d %H:%M:%SZ}"
            return WatchHealth(state=state, healthy=False, exit=PERSON, why=why)
    if fact.error:
        state = WatchState.UNTRUSTED if fact.seen else WatchState.UNREACHABLE
        return WatchHealth(state=state, healthy=False, exit=RETRIED, why=fact.error)
    return WatchHealth(state=WatchState.OK, healthy=True, exit=WELL)
