"""What must be known to others before a version goes live, and how long it waits then. Pure.

Resolvers keep records as long as their TTL says: whoever pins a key there (DANE, RFC 7671 section 8.1)
publishes the new one first. It never makes things worse: nothing waits where nothing good is live, nor into
the last two wakes of what is.
"""

from datetime import datetime

from renewer.model.facts import DeploymentState, Published, Situation, Version
from renewer.policy.backoff import from_the_future
from renewer.policy.deploy_window import closed_until, serves_well, urgent_from
from renewer.policy.window import in_last_wakes


def may_wait(situation: Situation, version: Version, now: datetime) -> bool:
    """Whether a version can wait for anything before it goes live, because a good one is."""
    live = situation.live_version
    if live is None or live.id == version.id or not serves_well(situation, live, now):
        return False
    return not in_last_wakes(live.leaf, now, situation.wake)


def done(situation: Situation, version: Version, now: datetime) -> dict[str, Published]:
    """The hooks that have published a version."""
    return {
        record.hook: record
        for record in situation.published
        if record.version == version.id
        and record.state is DeploymentState.DONE
        and not from_the_future(record.at, now)
    }


def unpublished(situation: Situation, version: Version, now: datetime) -> tuple[str, ...]:
    """The hooks that are to publish a version and have not, in the config's order."""
    finished = done(situation, version, now)
    return tuple(name for name, _ in situation.publishers if name not in finished)


def to_come_first(situation: Situation, version: Version, now: datetime) -> tuple[str, ...]:
    """Those of them that a deployment waits for: required ones, and others until they were called once."""
    called = {record.hook for record in situation.published if record.version == version.id}
    return tuple(
        name
        for name in unpublished(situation, version, now)
        if name not in situation.optional or name not in called
    )


def goes_live_at(situation: Situation, version: Version, now: datetime) -> datetime | None:
    """Until when a published version waits by `deploy_after`; None if it need not wait.

    Where no hook publishes, somebody else does: from when it was made on.
    """
    wait, live = situation.wish.deploy_after, situation.live_version
    if wait is None or live is None or not may_wait(situation, version, now):
        return None
    since = max((one.at for one in done(situation, version, now).values()), default=version.made_at)
    if from_the_future(since, now):
        return None
    moment = min(since + wait, live.leaf.not_after - 2 * situation.wake, urgent_from(live))
    return moment if moment > now else None


def put_off(situation: Situation, version: Version, now: datetime) -> bool:
    """Whether a version that is to be served waits on purpose: for its window, or until it is known."""
    if closed_until(situation, now) is not None:
        return True
    if not may_wait(situation, version, now):
        return False
    return bool(to_come_first(situation, version, now)) or goes_live_at(situation, version, now) is not None
