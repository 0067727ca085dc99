"""What of a certificate's troubles a person should hear, from its facts alone. Pure.

A healthy renewal is no danger: how long a certificate that we renew still has counts only once its renewal
is overdue.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta

from renewer.model.desired import Topic, Watch
from renewer.model.facts import Situation, Version
from renewer.model.told import Matter, Watched
from renewer.model.trouble import Kind, Trouble
from renewer.policy.backoff import LADDER
from renewer.policy.concerns import rivals
from renewer.policy.diagnosis import SERVED_WRONGLY, diagnose
from renewer.policy.progress import DAY, grace, overdue

USUAL_LIFETIME = timedelta(days=90)  # the stages are days of such a one; of a shorter one the same shares
STAGES = (1, 2, 3, 7, 15, 30)  # 2 because the last three days are told daily
HOUR = timedelta(hours=1)  # so long a port may be unwell before anybody is told
IN_A_ROW = 3  # failures that may pass by themselves are told when so many came one after the other
AGAIN = timedelta(days=7)  # where no end is coming nearer, what still fails is told again so often


def stage(not_after: datetime, lifetime: timedelta, now: datetime) -> int | None:
    """How near the end is: 30, 15, 7, 3, 2, 1, 0 once it has passed, -1 a day later; None if it is far.

    In days, or for lifetimes under 90 days in the same shares of the lifetime; after the end in days always.
    """
    left = not_after - now
    if left <= timedelta(0):
        return -(-left // DAY)
    day = min(max(lifetime, timedelta(seconds=1)), USUAL_LIFETIME) / 90
    return next((days for days in STAGES if left <= days * day), None)


def of(situation: Situation, now: datetime, troubles: Iterable[Trouble] | None = None) -> tuple[Matter, ...]:
    """What of all that is wrong with a certificate that we renew a person should hear, by topic.

    `troubles` is its diagnosis, if it was made already.
    """
    found = tuple(diagnose(situation, now) if troubles is None else troubles)
    live = situation.live_version
    real = None if live is None or live.placeholder else live
    return (
        *_expiring(situation, real, found, now),
        *_orders(situation, real, found, now),
        *(_matter(situation, real, one) for one in _each_once(found, now)),
    )


def of_rivals(
    name: str, shared: Mapping[str, tuple[str, Sequence[str]]], now: datetime
) -> tuple[Matter, ...]:
    """Other clients that would renew what is ours, too: told of the first that they share, weekly."""
    return tuple(
        Matter(
            certificate=name,
            topic=Topic.FAILED,
            subject=f"rival {client}",
            mark=f"{path} {int(now.timestamp() // AGAIN.total_seconds())}",
            text=concern.text,
            hint=concern.hint,
        )
        for client, (path, names) in shared.items()
        if names[0] == name
        for concern in rivals({client: (path, names)})
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


def _expiring(
    situation: Situation, live: Version | None, troubles: Iterable[Trouble], now: datetime
) -> Iterator[Matter]:
    """The live version's end, or the earlier one of what a port still serves instead."""
    if live is None:
        return
    ends: list[tuple[datetime, str, str]] = []
    allowed = grace(live.leaf, live.leaf.lifetime, situation.wake)
    for one in troubles:
        if one.kind in (Kind.EXPIRED, Kind.OVERDUE) and one.not_after:
            ends.append((one.not_after, one.mark, ""))
        old = one.kind is Kind.PORT and one.state in SERVED_WRONGLY and one.shown != live.leaf.fingerprint
        if old and one.not_after and one.since and now > one.since + allowed:
            ends.append((one.not_after, one.shown, f" at {one.where}"))
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


def _orders(
    situation: Situation, live: Version | None, troubles: Iterable[Trouble], now: datetime
) -> Iterator[Matter]:
    """Failures to get it: at once what only a person can mend, else the third in a row or when it is late."""
    failing = [one for one in troubles if one.kind is Kind.ORDER]
    late = live is not None and overdue(situation, live, now)
    telling = [one for one in failing if one.final or one.count >= IN_A_ROW or late]
    if not telling:
        return
    newest = max(telling, key=lambda one: (one.final, one.at))
    since = min(one.since for one in failing if one.since)
    week = max(now - since, timedelta(0)) // AGAIN if live is None else 0
    yield Matter(
        certificate=situation.wish.name,
        topic=Topic.FAILED,
        subject="order",
        mark=f"{since:%Y-%m-%dT%H:%M:%SZ}" + (f" week {week}" if week else ""),
        stage=0 if newest.final else 1,  # one that has become final is told once more
        not_after=live.leaf.not_after if live else None,
        since=since,
        text=_sentence(newest),
        hint=newest.hint,
    )


def _sentence(order: Trouble) -> str:
    times = f" (failure {order.count})" if order.count > 1 else ""
    return f"{order.where}: {order.text}{times}" + (f"; {order.more}" if order.more else "")


def _each_once(troubles: Iterable[Trouble], now: datetime) -> Iterator[Trouble]:
    """What is told as it is: one matter a subject, though an endpoint may have several addresses."""
    told: set[str] = set()
    for one in sorted(troubles, key=lambda one: one.kind is Kind.DISK):  # what lies on disk comes last
        if (subject := _subject(one)) and subject not in told and _is_lasting(one, now):
            told.add(subject)
            yield one


def _subject(one: Trouble) -> str:
    """What it is about, if it is told as it is, at once or once it has lasted; else ""."""
    match one.kind:
        case Kind.DISK | Kind.ACCOUNT | Kind.HOOK | Kind.REFUSED | Kind.PORT | Kind.REVOKED | Kind.DEGRADED:
            about = one.kind.value
        case Kind.LATER:
            about = Kind.HOOK.value
        case Kind.POST:
            about = "post hook"
        case Kind.ORDER | Kind.EXPIRED | Kind.OVERDUE:
            return ""  # `_orders` and `_expiring` speak of them
        case Kind.ABSENT | Kind.WINDOW | Kind.MODES | Kind.TEST | Kind.PENDING:
            return ""  # shown in `status`, and no news
    return f"{about} {one.where}".rstrip()


def _is_lasting(one: Trouble, now: datetime) -> bool:
    """Whether it was given another look: a server that restarts just now is no news.

    A port is told of after two bad looks and an hour; a hook that puts it off again and again, once it is
    left alone for a day.
    """
    if one.kind is Kind.LATER:
        return one.count > len(LADDER)
    if one.kind is Kind.PORT:
        if one.since is None or one.since == one.at:  # of an earlier release: since when?
            return one.count > (1 if one.state in SERVED_WRONGLY else IN_A_ROW - 1)
        return one.count > 1 and now - one.since >= HOUR
    return True


def _matter(situation: Situation, live: Version | None, one: Trouble) -> Matter:
    degraded = one.kind is Kind.DEGRADED
    return Matter(
        certificate=situation.wish.name,
        topic=Topic.DEGRADED if degraded else Topic.FAILED,
        subject=_subject(one),
        mark=one.mark,
        not_after=live.leaf.not_after if live else None,
        since=one.since,
        text=one.text.removeprefix("degraded: ")
        + (", which could not be validated" if degraded else one.more),
        hint=one.hint,
        output=one.output,
    )


def most_urgent_first(matters: Iterable[Matter]) -> list[Matter]:
    """By what it means, then by how long there is."""
    return sorted(
        matters,
        key=lambda one: (_RANKS.index(one.topic), one.not_after or _FAR, one.certificate, one.subject),
    )


_FAR = datetime.max.replace(tzinfo=UTC)
_RANKS = (Topic.EXPIRING, Topic.FAILED, Topic.DEGRADED, Topic.RECOVERED, Topic.RENEWED)
