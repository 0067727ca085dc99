"""What a certificate is, whether it is well, and how a process should exit that says so. Pure."""

from collections.abc import Iterable, Sequence
from datetime import datetime

from renewer.model.facts import Situation, Version
from renewer.model.outcome import Outcome, Result, State
from renewer.model.trouble import PERSON, RETRIED, Kind, Trouble
from renewer.model.value import Value
from renewer.policy.diagnosis import diagnose
from renewer.policy.progress import all_deployed, all_seen, in_warning_window
from renewer.policy.publishing import put_off
from renewer.policy.wanted import to_serve, withheld

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
