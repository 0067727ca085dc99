"""What a certificate is, whether it is well, and how a process should exit that says so. Pure."""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

from renewer.model.decision import Outcome, Result, State, WatchState
from renewer.model.desired import Watch
from renewer.model.facts import Hold, Situation, Version
from renewer.model.told import ESCALATED, Watched
from renewer.model.trouble import PERSON, RETRIED, Kind, Trouble
from renewer.model.value import Value
from renewer.policy.backoff import from_the_future
from renewer.policy.diagnosis import diagnose
from renewer.policy.progress import all_deployed, all_seen, in_warning_window
from renewer.policy.publishing import put_off
from renewer.policy.trouble import stage
from renewer.policy.wanted import in_part, to_serve, wanted, withheld
from renewer.policy.window import slack

__all__ = ["PERSON", "RETRIED", "WELL", "Health", "assess", "complete", "deploy_pending", "exit_code"]

WELL = 0


class Health(Value):
    """The verdict about one certificate. `exit`: 0 well, 1 it will be retried, 3 a person must act."""

    state: State
    healthy: bool
    exit: int
    why: str = ""


def assess(situation: Situation, now: datetime) -> Health:
    """State, first match from the top; healthy if, and only if, nothing is wrong."""
    return health_of(situation, diagnose(situation, now), now)


def health_of(situation: Situation, troubles: Sequence[Trouble], now: datetime) -> Health:
    """The same, of one that was diagnosed already."""
    return Health(
        state=state_of(situation, troubles, now),
        healthy=not troubles,
        exit=max((one.exit for one in troubles), default=WELL),
        why=troubles[0].text if troubles else "",
    )


def exit_code(healths: Iterable[Health], outcomes: Iterable[Outcome] = ()) -> int:
    """Of all certificates: 3 over 1 over 0.

    At least 1 if what a run did last for one of them did not succeed: a full disk keeps a renewal from being
    installed, and leaves no other fact behind.
    """
    last = {outcome.certificate: outcome.result for outcome in outcomes}
    undone = any(result is not Result.DONE for result in last.values())
    return max((health.exit for health in healths), default=WELL) or (RETRIED if undone else WELL)


def state_of(situation: Situation, troubles: Iterable[Trouble], now: datetime) -> State:
    """What describes a certificate best."""
    live, kinds = situation.live_version, {one.kind for one in troubles}
    if live is None or live.placeholder:
        return State.ABSENT
    if Kind.EXPIRED in kinds:
        return State.EXPIRED
    if kinds & {Kind.REVOKED, Kind.DEGRADED} or in_warning_window(situation, live, now):
        return State.EXPIRING
    if kinds & {Kind.ORDER, Kind.HOOK, Kind.POST}:
        return State.FAILED
    return reached(situation, live, now)


def reached(situation: Situation, live: Version, now: datetime) -> State:
    """The furthest that the live version came: installed, deployed by every hook, verified at every port."""
    newest = to_serve(situation, now)
    if newest is not None and newest.id != live.id and not put_off(situation, newest, now):
        return State.ISSUED  # the one to be served is on disk and not live
    if withheld(situation, now) is not None:
        return State.ISSUED  # so is this one, and clients would refuse it
    if not situation.hooks and not situation.wish.endpoints:
        return State.INSTALLED
    if not all_deployed(situation, live):
        return State.INSTALLED
    if not situation.wish.endpoints:
        return State.DEPLOYED
    return State.VERIFIED if all_seen(situation, live) else State.DEPLOYED


def complete(situation: Situation) -> str | None:
    """The live version's id if it is deployed and seen wherever it must be: then it counts as renewed."""
    live = situation.live_version
    if live is None or live.placeholder or not all_deployed(situation, live) or not all_seen(situation, live):
        return None
    return live.id


def deploy_pending(situation: Situation, now: datetime) -> bool:
    """Whether a hook, a copy or the link itself has not followed the version that is to be served."""
    newest, live = to_serve(situation, now), situation.live_version
    if newest is None:
        return live is not None and not live.placeholder and not all_deployed(situation, live)
    return live is None or live.id != newest.id or not all_deployed(situation, live)


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


KEPT = 5


def removable(situation: Situation, now: datetime) -> tuple[str, ...]:
    """Versions that nobody needs: beyond the newest five old ones, what cannot be read, and placeholders.

    Never the wanted or live one, never one that a port still serves, and nothing while the live version is
    not yet seen everywhere: then an older one is the last good one.
    """
    if complete(situation) is None:
        return ()
    served = {sighting.fingerprint for sighting in situation.sightings}
    needed = (wanted(situation, now), to_serve(situation, now), in_part(situation, now))
    kept = {situation.live, *(version.id for version in needed if version)}
    old = [v for v in situation.versions if v.id not in kept and v.leaf.fingerprint not in served]
    real = [version for version in old if not version.placeholder]
    broken = tuple(version for version, _ in situation.broken)
    return broken + tuple(v.id for v in old if v.placeholder) + tuple(version.id for version in real[KEPT:])


def ended_holds(situation: Situation) -> tuple[Hold, ...]:
    """Holds that say nothing any more: a version newer than what they hold is live and seen everywhere."""
    live = situation.live_version
    if not situation.holds or live is None or complete(situation) is None:
        return ()
    newer = {version.id for version in situation.versions if version.made_at >= live.made_at}
    return tuple(hold for hold in situation.holds if hold.version not in newer)
