"""What a certificate is, whether it is well, and how a process should exit that says so. Pure."""

from collections.abc import Iterable
from datetime import datetime, timedelta

from renewer.model.facts import COPIES, Deployment, DeploymentState, EndpointState, Situation, Version
from renewer.model.outcome import Outcome, Result, State
from renewer.model.value import Value
from renewer.policy.authority import relevant
from renewer.policy.deploy_window import closed_until
from renewer.policy.need import window_of
from renewer.policy.wanted import to_serve
from renewer.policy.window import renewal_moment

WELL, RETRIED, PERSON = 0, 1, 3
NOTHING_YET = "there is no certificate yet"
_SERVED_WRONGLY = (EndpointState.STALE, EndpointState.FOREIGN, EndpointState.UNTRUSTED)


class Health(Value):
    """The verdict about one certificate. `exit`: 0 well, 1 it will be retried, 3 a person must act."""

    state: State
    healthy: bool
    exit: int
    why: str = ""


def assess(situation: Situation, now: datetime) -> Health:
    """State, first match from the top; healthy if the furthest possible is reached."""
    state = state_of(situation, now)
    healthy = state is _furthest_possible(situation)
    if healthy:
        return Health(state=state, healthy=True, exit=WELL)
    return Health(state=state, healthy=False, exit=_exit(situation, state), why=why(situation, now))


def exit_code(healths: Iterable[Health], outcomes: Iterable[Outcome] = ()) -> int:
    """Of all certificates: 3 over 1 over 0.

    At least 1 if what a run did last for one of them did not succeed: a full disk keeps a renewal from being
    installed, and leaves no other fact behind.
    """
    last = {outcome.certificate: outcome.result for outcome in outcomes}
    undone = any(result is not Result.DONE for result in last.values())
    return max((health.exit for health in healths), default=WELL) or (RETRIED if undone else WELL)


def state_of(situation: Situation, now: datetime) -> State:
    """What describes a certificate best."""
    live = situation.live_version
    if live is None or live.placeholder:
        return State.ABSENT
    if live.leaf.not_after <= now:
        return State.EXPIRED
    if live.degraded or live.id in situation.revoked or in_warning_window(situation, live, now):
        return State.EXPIRING
    if relevant(situation) or _failed(situation) or situation.owed:
        return State.FAILED
    return reached(situation, live, now)


def in_warning_window(situation: Situation, live: Version, now: datetime) -> bool:
    """Less time left than half of what is left at the renewal's moment: the renewal is overdue."""
    moment = renewal_moment(live, window_of(situation, live), situation.wish.renew_before)
    allowed = live.leaf.not_after - moment.at
    return live.leaf.not_after - now < max(allowed, timedelta(0)) / 2


def reached(situation: Situation, live: Version, now: datetime) -> State:
    """The furthest that the live version came: installed, deployed by every hook, verified at every port."""
    newest = to_serve(situation, now)
    if newest is not None and newest.id != live.id and closed_until(situation, now) is None:
        return State.ISSUED  # the one to be served is on disk and not live
    if not situation.hooks and not situation.wish.endpoints:
        return State.INSTALLED
    if not _all_deployed(situation, live):
        return State.INSTALLED
    if not situation.wish.endpoints:
        return State.DEPLOYED
    return State.VERIFIED if _all_seen(situation, live) else State.DEPLOYED


def complete(situation: Situation) -> str | None:
    """The live version's id if it is deployed and seen wherever it must be: then it counts as renewed."""
    live = situation.live_version
    if (
        live is None
        or live.placeholder
        or not _all_deployed(situation, live)
        or not _all_seen(situation, live)
    ):
        return None
    return live.id


def deploy_pending(situation: Situation, now: datetime) -> bool:
    """Whether a hook, a copy or the link itself has not followed the version that is to be served."""
    newest, live = to_serve(situation, now), situation.live_version
    if newest is None:
        return live is not None and not live.placeholder and not _all_deployed(situation, live)
    return live is None or live.id != newest.id or not _all_deployed(situation, live)


def why(situation: Situation, now: datetime) -> str:  # noqa: PLR0911  one return a reason
    """The most telling reason why a certificate is not well, as a sentence."""
    if situation.fault:
        return situation.fault
    texts = [failure.text for failure in relevant(situation).values()]
    texts += [d.error or f"hook {d.hook} failed" for d in _failed(situation)]
    texts += [d.error for d in situation.deployments if d.state is DeploymentState.LATER and d.error]
    texts += [owed.error for owed in situation.owed if owed.error]
    texts += [s.error for s in situation.sightings if s.state is not EndpointState.VERIFIED and s.error]
    if texts:
        return texts[0]
    live = situation.live_version
    if live is None or live.placeholder:
        return NOTHING_YET
    if live.id in situation.revoked:
        return f"the live certificate, serial {live.leaf.serial}, is revoked"
    if live.degraded:
        missing = ", ".join(str(name) for name in situation.wish.names if name not in live.leaf.names)
        return f"degraded: it serves without {missing}"
    if live.leaf.not_after <= now:
        return f"it expired at {live.leaf.not_after:%Y-%m-%d %H:%M:%SZ}"
    return "it is not everywhere yet"


def _furthest_possible(situation: Situation) -> State:
    if situation.wish.endpoints:
        return State.VERIFIED
    return State.DEPLOYED if situation.hooks else State.INSTALLED


def _all_deployed(situation: Situation, live: Version) -> bool:
    done = {d.hook for d in situation.deployments if d.version == live.id and d.state is DeploymentState.DONE}
    copied = all(copy.version == live.id and copy.intact for copy in situation.copies)
    # Copies speak for themselves: a run killed right after it wrote them left no other record of them
    return copied and all(
        name in done for name, _ in situation.hooks if name != COPIES and name not in situation.optional
    )


def _all_seen(situation: Situation, live: Version) -> bool:
    seen: dict[str, bool] = {}
    for sighting in situation.sightings:
        if sighting.version == live.id:
            well = sighting.state is EndpointState.VERIFIED
            seen[sighting.endpoint] = seen.get(sighting.endpoint, True) and well
    return all(seen.get(str(endpoint), False) for endpoint in situation.wish.endpoints)


def _failed(situation: Situation) -> list[Deployment]:
    """Hooks whose last call failed, of the version they failed with."""
    known = {name for name, _ in situation.hooks}
    return [d for d in situation.deployments if d.state is DeploymentState.FAILED and d.hook in known]


def _exit(situation: Situation, state: State) -> int:
    if state in (State.EXPIRED, State.EXPIRING) or (state is State.ABSENT and situation.fault):
        return PERSON
    if any(failure.final for failure in relevant(situation).values()):
        return PERSON
    wrong = [s for s in situation.sightings if s.state in _SERVED_WRONGLY and s.version == situation.live]
    return PERSON if any(sighting.failures > 1 for sighting in wrong) else RETRIED
