"""How far the live version came: to hooks, copies and ports; and what of it is needed, or late. Pure."""

from collections.abc import Iterator
from datetime import datetime, timedelta

from renewer.model.facts import COPIES, DeploymentState, EndpointState, Leaf, Situation, Version
from renewer.policy.checks import window_of
from renewer.policy.newer import order_by
from renewer.policy.publishing import put_off
from renewer.policy.wanted import to_serve, wanted
from renewer.policy.window import emergency_span, judge, renewal_moment

DAY = timedelta(days=1)


def pending_hooks(situation: Situation, version: Version) -> tuple[str, ...]:
    """The hooks that have not done this version, in the config's order, COPIES among them.

    Copies speak for themselves: a run killed right after it wrote them left no other record of them.
    """
    done = {d.hook for d in situation.deployments if d.version == version.id and _is_done(d.state)}
    copied = all(copy.version == version.id and copy.intact for copy in situation.copies)
    return tuple(name for name, _ in situation.hooks if not (copied if name == COPIES else name in done)) + (
        () if copied or COPIES in dict(situation.hooks) else (COPIES,)
    )


def _is_done(state: DeploymentState) -> bool:
    return state is DeploymentState.DONE


def all_deployed(situation: Situation, version: Version) -> bool:
    """Whether every copy, and every hook that is required, followed this version."""
    return not required_hooks(situation, version)


def required_hooks(situation: Situation, version: Version) -> tuple[str, ...]:
    """Of the pending hooks those that hold up completeness."""
    pending = pending_hooks(situation, version)
    return tuple(name for name in pending if name not in situation.optional)


def unseen(situation: Situation, version: Version) -> Iterator[str]:
    """The endpoints that were not looked at while this version was live."""
    seen = {sighting.endpoint for sighting in situation.sightings if sighting.version == version.id}
    return (str(one) for one in situation.wish.endpoints if str(one) not in seen)


def all_seen(situation: Situation, version: Version) -> bool:
    """Whether every address of every endpoint showed this version."""
    bad = any(
        one.version == version.id and one.state is not EndpointState.VERIFIED for one in situation.sightings
    )
    return not bad and next(unseen(situation, version), None) is None


def issue_is_needed(situation: Situation, now: datetime) -> bool:
    """Whether an order is needed at this moment: there is nothing that fits the wish, or it is due."""
    version = wanted(situation, now)
    return version is None or needed_since(situation, version, now) is not None


def needed_since(situation: Situation, version: Version, now: datetime) -> datetime | None:
    """Since when about the wanted version is to be replaced; None while it is not.

    A wake earlier than its moment, for a run may order ahead of it.
    """
    window, wish = window_of(situation, version), situation.wish
    if not judge(version, window, wish.renew_before, now, situation.wake).due:
        overtaken = order_by(situation)
        return overtaken if overtaken is not None and overtaken <= now else None
    moment = renewal_moment(version, window, wish.renew_before).at
    return min(moment, version.leaf.not_after - emergency_span(version.leaf.lifetime)) - 2 * situation.wake


def deployment_is_needed(situation: Situation, hook: str, now: datetime) -> bool:
    """Whether this hook is still to be run: the link must turn, or the hook has not done what is live."""
    serve, live = to_serve(situation, now), situation.live_version
    if serve is None:
        return False
    return live is None or serve.id != live.id or hook in pending_hooks(situation, live)


def in_warning_window(situation: Situation, live: Version, now: datetime) -> bool:
    """Less time left than half of what is left at the renewal's moment: the renewal is overdue."""
    moment = renewal_moment(live, window_of(situation, live), situation.wish.renew_before)
    allowed = live.leaf.not_after - moment.at
    return live.leaf.not_after - now < max(allowed, timedelta(0)) / 2


def overdue(situation: Situation, live: Version, now: datetime) -> bool:
    """Whether this version should have been replaced by now.

    The planned moment has passed by more than a day (or its share of a shorter lifetime) and by more than two
    wakes, but never by more than a third of what was left then.
    """
    leaf = live.leaf
    planned = renewal_moment(live, window_of(situation, live), situation.wish.renew_before).at
    planned = min(planned, leaf.not_after - emergency_span(leaf.lifetime))
    return now > planned + grace(leaf, leaf.not_after - planned, situation.wake)


def grace(leaf: Leaf, left: timedelta, wake: timedelta) -> timedelta:
    """How long a renewal may be late before anybody is told, if so much was `left` when it was planned."""
    return min(max(min(leaf.lifetime / 90, DAY), 2 * wake), left / 3)


def waits_for_its_window(situation: Situation, live: Version, now: datetime) -> bool:
    """Whether a newer version lies ready and is put off to the deploy window: no delay of anybody's."""
    serve = to_serve(situation, now)
    return serve is not None and serve.id != live.id and put_off(situation, serve, now)
