"""What about a certificate a person should know, from its facts alone. Pure.

A healthy renewal is no danger: how long a certificate that we renew still has counts only once its renewal
is overdue.
"""

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta

from renewer.model.desired import Topic, Watch
from renewer.model.facts import (
    Deployment,
    DeploymentState,
    EndpointState,
    Failure,
    Leaf,
    Sighting,
    Situation,
    Version,
)
from renewer.model.told import Matter, Watched
from renewer.policy.authority import relevant
from renewer.policy.need import window_of
from renewer.policy.window import emergency_span, renewal_moment

DAY = timedelta(days=1)
USUAL_LIFETIME = timedelta(days=90)  # the stages are days of such a one; of a shorter one the same shares
STAGES = (1, 2, 3, 7, 15, 30)  # 2 because the last three days are told daily
IN_A_ROW = 3  # failures that may pass by themselves are told when so many came one after the other
AGAIN = timedelta(days=7)  # where no end is coming nearer, what still fails is told again so often
_WRONG = (EndpointState.STALE, EndpointState.FOREIGN, EndpointState.UNTRUSTED)


def stage(not_after: datetime, lifetime: timedelta, now: datetime) -> int | None:
    """How near the end is: 30, 15, 7, 3, 2, 1, 0 once it has passed, -1 a day later; None if it is far.

    In days, or for lifetimes under 90 days in the same shares of the lifetime; after the end in days always.
    """
    left = not_after - now
    if left <= timedelta(0):
        return -(-left // DAY)
    day = min(max(lifetime, timedelta(seconds=1)), USUAL_LIFETIME) / 90
    return next((days for days in STAGES if left <= days * day), None)


def overdue(situation: Situation, live: Version, now: datetime) -> bool:
    """Whether this version should have been replaced by now.

    The planned moment has passed by more than a day (or its share of a shorter lifetime) and by more than two
    wakes, but never by more than a third of what was left then.
    """
    leaf = live.leaf
    planned = renewal_moment(live, window_of(situation, live), situation.wish.renew_before).at
    planned = min(planned, leaf.not_after - emergency_span(leaf.lifetime))
    return now > planned + _grace(leaf, leaf.not_after - planned, situation.wake)


def _grace(leaf: Leaf, left: timedelta, wake: timedelta) -> timedelta:
    return min(max(min(leaf.lifetime / 90, DAY), 2 * wake), left / 3)


def of(situation: Situation, now: datetime) -> tuple[Matter, ...]:
    """All that is wrong with a certificate that we renew."""
    return (
        *_expiring(situation, now),
        *_orders(situation, now),
        *_hooks(situation),
        *_ports(situation),
        *_versions(situation),
    )


def of_watch(watch: Watch, fact: Watched | None, now: datetime) -> tuple[Matter, ...]:
    """All that is wrong with a certificate that is only watched: every stage counts."""
    if fact is None or fact.target != watch.target:
        return ()
    found: list[Matter] = []
    if fact.not_after and fact.not_before:
        near = stage(fact.not_after, fact.not_after - fact.not_before, now)
        if near is not None:
            found.append(_ending(watch.name, fact.fingerprint or "", fact.not_after, near))
    if fact.error and fact.failures >= IN_A_ROW:
        found.append(
            Matter(
                certificate=watch.name,
                topic=Topic.FAILED,
                subject="watch",
                not_after=fact.not_after,
                since=fact.since,
                text=fact.error,
                hint="whoever runs it must act: renewer only watches it",
            )
        )
    return tuple(found)


def _expiring(situation: Situation, now: datetime) -> Iterator[Matter]:
    """The live version's end, or the earlier one of what a port still serves instead."""
    live = situation.live_version
    if live is None or live.placeholder:
        return
    ends = [(live.leaf.not_after, live.leaf.fingerprint, "")] if overdue(situation, live, now) else []
    grace = _grace(live.leaf, live.leaf.lifetime, situation.wake)
    for seen in situation.sightings:
        old = seen.version == live.id and seen.state in _WRONG and seen.fingerprint != live.leaf.fingerprint
        if old and seen.not_after and now > (seen.since or seen.at) + grace:
            ends.append((seen.not_after, seen.fingerprint or "", f" at {seen.endpoint}"))
    if not ends:
        return
    not_after, mark, place = min(ends)
    near = stage(not_after, live.leaf.lifetime, now)
    if near is not None:
        yield _ending(situation.wish.name, mark, not_after, near, place)


def _ending(name: str, mark: str, not_after: datetime, near: int, place: str = "") -> Matter:
    verb = "expired" if near <= 0 else "expires"
    return Matter(
        certificate=name,
        topic=Topic.EXPIRING,
        subject="expiring",
        mark=mark,
        stage=near,
        not_after=not_after,
        text=f"what is served{place} {verb} at {not_after:%Y-%m-%d %H:%M:%SZ}",
    )


def _orders(situation: Situation, now: datetime) -> Iterator[Matter]:
    """Failures to get it: at once what only a person can mend, else the third in a row or when it is late."""
    failures = list(relevant(situation).values())
    if not failures:
        return
    live = situation.live_version
    real = live if live and not live.placeholder else None
    late = real is not None and overdue(situation, real, now)
    telling = [one for one in failures if one.final or one.count >= IN_A_ROW or late]
    if not telling:
        return
    newest = max(telling, key=lambda one: (one.final, one.at))
    since = min(failure.since for failure in failures)
    week = max(now - since, timedelta(0)) // AGAIN if real is None else 0
    yield Matter(
        certificate=situation.wish.name,
        topic=Topic.FAILED,
        subject="order",
        mark=f"{since:%Y-%m-%dT%H:%M:%SZ}" + (f" week {week}" if week else ""),
        stage=0 if newest.final else 1,  # one that has become final is told once more
        not_after=real.leaf.not_after if real else None,
        since=since,
        text=_sentence(newest),
        hint=newest.hint,
    )


def _sentence(failure: Failure) -> str:
    times = f" (failure {failure.count})" if failure.count > 1 else ""
    names = "; ".join(f"{name}: {why}" for name, why in failure.identifiers if name not in failure.text)
    return f"{failure.authority}: {failure.text}{times}" + (f"; {names}" if names else "")


def _hooks(situation: Situation) -> Iterator[Matter]:
    """Hooks that failed: at once, for a server now runs with something else than what was issued."""
    known = {name for name, _ in situation.hooks}
    for one in situation.deployments:
        if one.state is DeploymentState.FAILED and one.hook in known:
            yield Matter(
                certificate=situation.wish.name,
                topic=Topic.FAILED,
                subject=f"hook {one.hook}",
                mark=one.version,
                not_after=_end(situation),
                since=one.at,
                text=_deployment(one),
                hint="put right what the hook complains of; it is called again",
                output=one.output,
            )


def _deployment(one: Deployment) -> str:
    back = "; the version before it is live again" if one.turned_back else ""
    return f"{one.error or f'hook {one.hook} failed'}{back}"


def _ports(situation: Situation) -> Iterator[Matter]:
    """Ports that show something else twice, or nothing three times in a row; one matter an endpoint."""
    told: set[str] = set()
    for seen in situation.sightings:
        bad = seen.version == situation.live and _is_bad(seen)
        if bad and seen.endpoint not in told:
            told.add(seen.endpoint)
            yield Matter(
                certificate=situation.wish.name,
                topic=Topic.FAILED,
                subject=f"port {seen.endpoint}",
                mark=f"{seen.state} {seen.version}",
                not_after=_end(situation),
                since=seen.since,
                text=seen.error or f"{seen.endpoint} is {seen.state}",
                hint=_HINTS[seen.state],
            )


def _is_bad(seen: Sighting) -> bool:
    return (seen.state in _WRONG and seen.failures > 1) or (
        seen.state is EndpointState.UNREACHABLE and seen.failures >= IN_A_ROW
    )


_HINTS = {
    EndpointState.VERIFIED: "",
    EndpointState.STALE: "have that server load what is live, or name its hook in the configuration",
    EndpointState.FOREIGN: "another server or proxy answers there: correct `endpoints`, or that server",
    EndpointState.UNTRUSTED: "let the server send fullchain.pem; for a private authority set its `roots`",
    EndpointState.UNREACHABLE: "start the server, open the port, or correct `endpoints`",
    EndpointState.UNKNOWN: "",
}


def _versions(situation: Situation) -> Iterator[Matter]:
    """What is wrong with the live version itself, or with what lies on disk."""
    live, name = situation.live_version, situation.wish.name
    if live is not None and not live.placeholder and live.id in situation.revoked:
        yield Matter(
            certificate=name,
            topic=Topic.FAILED,
            subject="revoked",
            mark=live.id,
            not_after=live.leaf.not_after,
            text=f"the live certificate, serial {live.leaf.serial}, is revoked",
            hint="it is being replaced; until then clients may refuse it",
        )
    if live is not None and live.degraded:
        missing = ", ".join(str(one) for one in situation.wish.names if one not in live.leaf.names)
        yield Matter(
            certificate=name,
            topic=Topic.DEGRADED,
            subject="degraded",
            mark=live.id,
            not_after=live.leaf.not_after,
            since=live.made_at,
            text=f"it serves without {missing}, which could not be validated",
            hint="let these names validate again, or take them out of the configuration",
        )
    if situation.fault:
        yield Matter(
            certificate=name,
            topic=Topic.FAILED,
            subject="disk",
            mark=situation.fault,
            not_after=_end(situation),
            text=situation.fault,
            hint="a version that cannot be read is as good as absent: restore it, or let it be issued anew",
        )


def _end(situation: Situation) -> datetime | None:
    live = situation.live_version
    return live.leaf.not_after if live and not live.placeholder else None


def most_urgent_first(matters: Iterable[Matter]) -> list[Matter]:
    """By what it means, then by how long there is."""
    return sorted(
        matters,
        key=lambda one: (_RANKS.index(one.topic), one.not_after or _FAR, one.certificate, one.subject),
    )


_FAR = datetime.max.replace(tzinfo=UTC)
_RANKS = (Topic.EXPIRING, Topic.FAILED, Topic.DEGRADED, Topic.RECOVERED, Topic.RENEWED)
