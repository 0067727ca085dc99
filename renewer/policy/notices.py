"""Who must hear what now: what is wrong, less what a channel took already and what somebody knows. Pure.

At least once: what a channel took is remembered after it took it, so that a run which is killed in between
repeats one message and loses none. What a channel refuses is given to it again by every run.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta

from renewer.model.desired import Channel, Topic
from renewer.model.told import OUTAGE, RENEWED, Ack, Matter, Notice, Outage
from renewer.model.value import Value
from renewer.policy.trouble import most_urgent_first

DAILY = timedelta(days=1)
EARLY = timedelta(minutes=5)  # runs are not on the second: a day less that much is a day
LONGEST_SILENCE = timedelta(days=30)  # an ack without an end, where no expiry ends it


class NoticeSubject(Value):
    """A certificate, renewed or watched, as telling needs it.

    `matters` is all that is wrong with it; `well` whether it is as well as can be; `notify` the channels that
    it names (all if none); `not_after` when what is served ends.
    """

    name: str
    well: bool
    matters: tuple[Matter, ...] = ()
    notify: tuple[str, ...] = ()
    not_after: datetime | None = None


class Agenda(Value):
    """For one channel: what it must be told now, and what to write down.

    `remember` and `forget` once it took all of it; `before` and `quiet` (to be written, to be dropped)
    whatever it says: what they are about is no news to it.
    """

    channel: str
    matters: tuple[Matter, ...] = ()
    remember: tuple[Notice, ...] = ()
    forget: tuple[Notice, ...] = ()
    before: tuple[Notice, ...] = ()
    quiet: tuple[Notice, ...] = ()


class Renewals(Value):
    """What history says of renewals, oldest first, each with its moment; `began` is when this run did."""

    began: datetime
    told: tuple[tuple[datetime, Matter], ...] = ()


def agenda(  # noqa: PLR0913  the facts of the page
    channel: Channel,
    standings: Iterable[NoticeSubject],
    renewals: Renewals,
    told: Sequence[Notice],
    acks: Mapping[str, Ack],
    *,
    now: datetime,
    run: str = "",
) -> Agenda:
    """What this channel must be told; `told` is what this very channel took so far."""
    taken = _by_certificate(told)
    due, forget, quiet = _troubles(channel, standings, taken, acks, now)
    remember = [_notice(channel, one, now, run) for one in due if one.topic is not Topic.RECOVERED]
    last = taken.get("", {}).get(RENEWED)
    fresh, before = _renewed(channel, renewals, last, now)
    if fresh:
        remember.append(_watermark(channel, fresh[-1][0], run))
        # What is told to be well again need not be told to be renewed
        well = {one.certificate for one in due if one.topic is Topic.RECOVERED}
        due += [one for _, one in fresh if one.certificate not in well]
    return Agenda(
        channel=channel.name,
        matters=tuple(most_urgent_first(due)),
        remember=tuple(remember),
        forget=tuple(forget),
        before=before,
        quiet=tuple(quiet),
    )


def hears(channel: Channel, notify: Sequence[str]) -> bool:
    """Whether a certificate's `notify` means this channel: if none is named, all are meant."""
    return not notify or channel.name in notify


def heard_until(channels: Iterable[Channel], told: Iterable[Notice], began: datetime) -> datetime | None:
    """From when on renewals must be looked up in the history; None if no channel wants to hear of them."""
    last = {one.channel: one.at for one in told if one.subject == RENEWED}
    moments = [last.get(one.name, began) for one in channels if Topic.RENEWED in one.on]
    return min(moments, default=None)


def silenced(standing: NoticeSubject, ack: Ack | None, now: datetime) -> bool:
    """Whether somebody said that they know: until then, and never once it has expired."""
    if ack is None or ack.at > now + EARLY:
        return False
    if standing.not_after is not None:
        if standing.not_after <= now:
            return False
        return ack.until is None or now < ack.until
    return now < (ack.until or ack.at + LONGEST_SILENCE)


def over(standings: Iterable[NoticeSubject], acks: Mapping[str, Ack], now: datetime) -> list[Ack]:
    """Acknowledgements that have served their time: the trouble is over, or their end has come."""
    return [
        ack
        for standing in standings
        if (ack := acks.get(standing.name)) is not None
        and ((standing.well and not standing.matters) or (ack.until is not None and ack.until <= now))
    ]


def outages(
    channel: Channel, others: Iterable[Outage], told: Sequence[Notice], now: datetime
) -> list[Outage]:
    """The failing channels that this one is to be told of: each once a day."""
    last = {one.mark: one.at for one in told if one.subject == OUTAGE}
    return [
        one
        for one in others
        if one.channel != channel.name
        and (one.channel not in last or not now - DAILY + EARLY < last[one.channel] <= now)
    ]


def outage_notice(channel: Channel, outage: Outage, now: datetime, run: str) -> Notice:
    """That this channel took word of another one's failing."""
    return Notice(certificate="", channel=channel.name, subject=OUTAGE, mark=outage.channel, at=now, run=run)


def _by_certificate(told: Iterable[Notice]) -> dict[str, dict[str, Notice]]:
    found: dict[str, dict[str, Notice]] = {}
    for one in told:
        found.setdefault(one.certificate, {})[one.subject] = one
    return found


def _is_news(matter: Matter, taken: Mapping[str, Notice]) -> bool:
    """Whether a channel has not taken it yet: this very one, at this stage or a later one."""
    before = taken.get(matter.subject)
    if before is None or before.mark != matter.mark:
        return True
    return matter.stage is not None and (before.stage is None or matter.stage < before.stage)


def _recovered(standing: NoticeSubject, told: Iterable[Notice]) -> Matter:
    return Matter(
        certificate=standing.name,
        topic=Topic.RECOVERED,
        subject="recovered",
        not_after=standing.not_after,
        since=min(one.at for one in told),
        text="it is well again",
    )


def _troubles(
    channel: Channel,
    standings: Iterable[NoticeSubject],
    taken: Mapping[str, Mapping[str, Notice]],
    acks: Mapping[str, Ack],
    now: datetime,
) -> tuple[list[Matter], list[Notice], list[Notice]]:
    """What is wrong or well again and must be told; what to forget once it is, and what anyway."""
    due: list[Matter] = []
    forget: list[Notice] = []
    quiet: list[Notice] = []
    for standing in standings:
        mine = taken.get(standing.name, {})
        if not hears(channel, standing.notify):
            quiet += mine.values()
            continue
        if not silenced(standing, acks.get(standing.name), now):
            due += [one for one in standing.matters if one.topic in channel.on and _is_news(one, mine)]
        back = any(one.at > now + EARLY for one in mine.values())  # the clock was set back: who knows
        if standing.well and not standing.matters and mine and not back:
            if Topic.RECOVERED in channel.on:
                due.append(_recovered(standing, mine.values()))
                forget += mine.values()
            else:
                quiet += mine.values()
    return due, forget, quiet


def _renewed(
    channel: Channel, renewals: Renewals, last: Notice | None, now: datetime
) -> tuple[list[tuple[datetime, Matter]], tuple[Notice, ...]]:
    """The renewals that a channel has not heard of; and from when on it hears of them, to be written down.

    One that is new hears of what this run renews, not of the past. Moved on daily where nothing is owed.
    """
    if Topic.RENEWED not in channel.on:
        return [], ()
    fresh = [(moment, one) for moment, one in renewals.told if last is None or moment > last.at]
    if last is None or (not fresh and not now - DAILY < last.at <= now):
        return fresh, (_watermark(channel, renewals.began, ""),)
    return fresh, ()


def _notice(channel: Channel, matter: Matter, now: datetime, run: str) -> Notice:
    return Notice(
        certificate=matter.certificate,
        channel=channel.name,
        subject=matter.subject,
        mark=matter.mark,
        stage=matter.stage,
        at=now,
        run=run,
    )


def _watermark(channel: Channel, at: datetime, run: str) -> Notice:
    return Notice(certificate="", channel=channel.name, subject=RENEWED, at=at, run=run)
