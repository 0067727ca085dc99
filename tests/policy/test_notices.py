"""Who must hear what, when: nothing twice, nothing lost, silence when all is well."""

from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from renewer.model.desired import Program, Topic
from renewer.model.told import ESCALATED, OUTAGE, RENEWED, Ack, Matter, Notice, Outage
from renewer.policy import notices, trouble
from renewer.policy.notices import Agenda, NoticeSubject, Renewals
from tests.builders import DAY, HOUR, NOW, failure, situation, version

ALL = frozenset(Topic)
OPS = Program(name="ops", on=ALL, run=("/bin/true",))
PAGER = replace(OPS, name="pager")
NOTHING = Renewals(began=NOW)
END = NOW + 30 * DAY


class Desk:
    """One channel's memory, run after run, as the ledger keeps it."""

    def __init__(self, channel: Program = OPS) -> None:
        self.channel = channel
        self.records: dict[tuple[str, str], Notice] = {}
        self.told: list[tuple[datetime, Matter]] = []

    def run(
        self,
        now: datetime,
        *standings: NoticeSubject,
        takes: bool = True,
        renewals: Renewals | None = None,
        acks: dict[str, Ack] | None = None,
        killed: bool = False,
    ) -> tuple[Matter, ...]:
        """One run: what is given to the channel; `killed` after it took it and before that is remembered."""
        due = self.agenda(now, *standings, renewals=renewals, acks=acks)
        self._write(due.before, due.quiet)
        if takes:
            self.told += [(now, one) for one in due.matters]
            if not killed:
                self._write(due.remember, due.forget)
        return due.matters

    def agenda(
        self,
        now: datetime,
        *standings: NoticeSubject,
        renewals: Renewals | None = None,
        acks: dict[str, Ack] | None = None,
    ) -> Agenda:
        """What this channel must be told."""
        told = list(self.records.values())
        return notices.agenda(
            self.channel, standings, renewals or Renewals(began=now), told, acks or {}, now=now
        )

    def _write(self, saved: tuple[Notice, ...], dropped: tuple[Notice, ...]) -> None:
        for one in dropped:
            self.records.pop((one.certificate, one.key), None)
        for one in saved:
            self.records[one.certificate, one.key] = one


def failing(now: datetime, *, end: datetime = END, name: str = "www", **changes: Any) -> NoticeSubject:
    """A certificate of 90 days that nobody can renew."""
    live = version(age=now - (end - 90 * DAY), at=now)
    of = situation(versions=[live], failures=(failure(5, at=END - 30 * DAY),))
    matters = tuple(replace(one, certificate=name) for one in trouble.of(of, now))
    return NoticeSubject(name=name, well=False, matters=matters, not_after=end, **changes)


def well(name: str = "www") -> NoticeSubject:
    """The same, renewed."""
    return NoticeSubject(name=name, well=True, not_after=END + 60 * DAY)


def stages(desk: Desk) -> list[int | None]:
    """The stages that were told."""
    return [one.stage for _, one in desk.told if one.topic is Topic.EXPIRING]


def test_thirty_days_of_failing_in_hourly_runs() -> None:
    """The failure once, each threshold once, daily at the end and after it, escalated from seven days on."""
    desk = Desk()
    for hour in range(32 * 24):
        desk.run(NOW + hour * HOUR, failing(NOW + hour * HOUR))

    assert stages(desk) == [30, 15, 7, 3, 2, 1, 0, -1]
    assert [one.subject for _, one in desk.told if one.topic is Topic.FAILED] == ["order"]
    assert [one.stage for _, one in desk.told if one.escalated] == [7, 3, 2, 1, 0, -1]
    moments = [(END - at) / DAY for at, one in desk.told if one.topic is Topic.EXPIRING]
    assert moments == pytest.approx([29 - 1 / 24, 15, 7, 3, 2, 1, 0, -1], abs=1 / 23)


def test_nothing_is_lost_while_a_channel_refuses() -> None:
    """From day 16 to 12 it takes nothing: what was due meanwhile is told by the first run that can."""
    desk = Desk()
    for hour in range(32 * 24):
        now = NOW + hour * HOUR
        desk.run(now, failing(now), takes=not 12 * DAY <= END - now <= 16 * DAY)

    assert stages(desk) == [30, 15, 7, 3, 2, 1, 0, -1]
    late = next(at for at, one in desk.told if one.stage == 15)
    assert timedelta(0) < END - 12 * DAY + HOUR - late + HOUR <= 2 * HOUR


def test_a_killed_run_repeats_once() -> None:
    """Between taking and remembering: the next run says it again, and then it is remembered."""
    desk = Desk()
    now = END - 15 * DAY
    first = desk.run(now, failing(now), killed=True)
    again = desk.run(now + HOUR, failing(now + HOUR))

    assert [one.subject for one in first] == [one.subject for one in again] == ["expiring", "order"]
    assert desk.run(now + 2 * HOUR, failing(now + 2 * HOUR)) == ()


@given(
    takes=st.lists(st.booleans(), min_size=1, max_size=60),
    step=st.timedeltas(timedelta(minutes=1), 3 * DAY),
    heals=st.integers(0, 70),
)
def test_nothing_twice_and_nothing_lost(takes: list[bool], step: timedelta, heals: int) -> None:
    """For any channel: never one stage twice; whenever it takes, nothing remains untold; then silence."""
    desk = Desk()
    for number, willing in enumerate(takes):
        now = NOW + number * step
        standing = well() if number >= heals else failing(now)
        desk.run(now, standing, takes=willing)
        if willing:
            assert desk.agenda(now, standing).matters == ()

    said = [(one.subject, one.mark, one.stage) for _, one in desk.told]
    assert len(said) == len(set(said))
    if heals < len(takes) and takes[-1]:
        assert {one.certificate for one in desk.records.values()} <= {""}
        assert (not desk.told) or desk.told[-1][1].topic is Topic.RECOVERED


def test_silent_when_healthy() -> None:
    """A year of healthy runs tells nobody anything."""
    desk = Desk()
    for day in range(365):
        assert desk.run(NOW + day * DAY, well()) == ()


def test_recovered_goes_to_those_who_heard_of_the_trouble() -> None:
    """Once, and not to a channel that was refusing all the time."""
    heard, deaf = Desk(), Desk(PAGER)
    trouble_then = failing(END - 5 * DAY)
    heard.run(END - 5 * DAY, trouble_then)
    deaf.run(END - 5 * DAY, trouble_then, takes=False)
    now = END - 4 * DAY
    (one,) = heard.run(now, well(), takes=False)
    assert (one.topic, one.certificate, one.since) == (Topic.RECOVERED, "www", END - 5 * DAY)
    assert heard.run(now + HOUR, well()) == (one,)
    assert heard.run(now + 2 * HOUR, well()) == ()
    assert deaf.run(now, well()) == ()


def test_not_failing_any_more_is_not_yet_well() -> None:
    """Issued and not deployed yet: nobody is told that it is well, and the trouble is not forgotten."""
    desk = Desk()
    desk.run(END - 5 * DAY, failing(END - 5 * DAY))
    assert desk.run(END - 4 * DAY, NoticeSubject(name="www", well=False)) == ()
    assert [one.topic for one in desk.run(END - 4 * DAY, well())] == [Topic.RECOVERED]


def test_topics_that_a_channel_does_not_want() -> None:
    """It hears of none of them, and no recovery of what it never heard of."""
    desk = Desk(replace(OPS, on=frozenset({Topic.FAILED})))
    assert [one.topic for one in desk.run(END - DAY, failing(END - DAY))] == [Topic.FAILED]
    assert desk.run(END - DAY, well()) == ()
    assert [one for one in desk.records.values() if one.certificate] == []


def test_a_certificate_chooses_its_channels() -> None:
    """Those it names, or all; one that it names no more forgets what it was told."""
    ops, pager = Desk(), Desk(PAGER)
    only = failing(END - DAY, notify=("pager",))
    assert ops.run(END - DAY, only) == ()
    assert len(pager.run(END - DAY, only)) == 2
    assert pager.run(END - DAY, failing(END - DAY, notify=("ops",))) == ()
    assert [one for one in pager.records.values() if one.certificate] == []


@pytest.mark.parametrize(
    ("until", "silent_for"), [(None, 20), (END - 10 * DAY, 10), (END + 5 * DAY, 20)], ids=str
)
def test_an_ack_silences_until_its_end_and_never_past_expiry(until: datetime | None, silent_for: int) -> None:
    """Twenty days before the end somebody says that they know."""
    desk, start = Desk(), END - 20 * DAY
    desk.run(start - HOUR, failing(start - HOUR))
    acks = {"www": Ack(certificate="www", at=start, by="ops", until=until)}
    days = [day for day in range(22) if desk.run(start + day * DAY, failing(start + day * DAY), acks=acks)]
    assert days[0] == silent_for


def test_an_ack_where_nothing_expires_ends_by_itself() -> None:
    """There never was a certificate: thirty days of silence at most."""
    ack = Ack(certificate="www", at=NOW, by="ops")
    absent = NoticeSubject(name="www", well=False)
    assert notices.silenced(absent, ack, NOW + 29 * DAY)
    assert not notices.silenced(absent, ack, NOW + 30 * DAY)
    assert not notices.silenced(absent, replace(ack, at=NOW + DAY), NOW)  # from a clock that was wrong


def test_an_ack_ends_with_its_trouble() -> None:
    """What comes later is told again."""
    acks = {name: Ack(certificate=name, at=NOW, by="ops", until=END) for name in ("a", "b", "c")}
    standings = [well("a"), failing(NOW + DAY, name="b"), replace(well("d"), name="d")]
    assert notices.over(standings, acks, NOW + DAY) == [acks["a"]]
    assert notices.over(standings, acks, END) == [acks["a"], acks["b"]]


def renewal(name: str = "www") -> Matter:
    """As history tells of it."""
    return Matter(certificate=name, topic=Topic.RENEWED, subject="renewed", not_after=END)


def test_renewals_are_told_once() -> None:
    """From the run on that first knew of the channel, and by the first run in which it takes them."""
    desk = Desk()
    old, new = (NOW - DAY, renewal("old")), (NOW + HOUR, renewal("new"))
    assert desk.run(NOW, well(), renewals=Renewals(began=NOW, told=())) == ()
    history = Renewals(began=NOW + HOUR, told=(old, new))
    assert desk.run(NOW + HOUR, well(), renewals=history, takes=False) == (new[1],)
    later = replace(history, began=NOW + 5 * DAY)
    assert desk.run(NOW + 5 * DAY, well(), renewals=later) == (new[1],)
    assert desk.run(NOW + 6 * DAY, well(), renewals=later) == ()


def test_the_first_renewal_of_all_is_told() -> None:
    """A run that begins with a new channel and renews something tells of it, killed or not."""
    desk = Desk()
    history = Renewals(began=NOW, told=((NOW + timedelta(seconds=9), renewal()),))
    assert desk.run(NOW, well(), renewals=history, takes=False) == (renewal(),)
    assert desk.run(NOW + HOUR, well(), renewals=replace(history, began=NOW + HOUR)) == (renewal(),)


def test_well_again_says_that_it_is_renewed() -> None:
    """One entry, not two."""
    desk = Desk()
    desk.run(END - 5 * DAY, failing(END - 5 * DAY))
    now = END - 4 * DAY
    history = Renewals(began=now, told=((now, renewal()),))
    assert [one.topic for one in desk.run(now, well(), renewals=history)] == [Topic.RECOVERED]
    assert desk.run(now + HOUR, well(), renewals=history) == ()


def test_the_watermark_moves_on_daily() -> None:
    """So that the history is not read from its beginning for ever; and back when it lies in the future."""
    desk = Desk()
    for now, expected in ((NOW, NOW), (NOW + HOUR, NOW), (NOW + 2 * DAY, NOW + 2 * DAY), (NOW, NOW)):
        desk.run(now, well(), renewals=Renewals(began=now))
        assert desk.records["", f"ops {RENEWED}"].at == expected


def test_history_is_read_from_where_the_slowest_channel_is() -> None:
    """And not at all if nobody asks for renewals."""
    told = [Notice(certificate="", channel="ops", subject=RENEWED, at=NOW - DAY)]
    assert notices.heard_until([OPS, PAGER], told, NOW) == NOW - DAY
    assert notices.heard_until([PAGER], told, NOW) == NOW
    assert notices.heard_until([replace(OPS, on=frozenset())], told, NOW) is None


def test_a_failing_channel_is_told_to_others_once_a_day() -> None:
    """Never to itself."""
    outage = Outage(certificate="", channel="ops", since=NOW, at=NOW, error="refused")
    assert notices.outages(OPS, [outage], [], NOW) == []
    assert notices.outages(PAGER, [outage], [], NOW) == [outage]
    told = [notices.outage_notice(PAGER, outage, NOW, "run")]
    assert told[0].key == f"pager {OUTAGE} ops"
    assert notices.outages(PAGER, [outage], told, NOW + 23 * HOUR) == []
    assert notices.outages(PAGER, [outage], told, NOW + DAY) == [outage]


def test_most_urgent_first() -> None:
    """What expires sooner comes first, whatever the order of the facts."""
    now = END - 2 * DAY
    standings = [failing(now, end=END + days * DAY, name=f"c{days}") for days in (5, 0, 9)]
    due = Desk().run(now, *standings, well("b"))
    assert [one.certificate for one in due if one.topic is Topic.EXPIRING] == ["c0", "c5", "c9"]
    assert due == Desk().run(now, *reversed(standings))
    assert [one.escalated for one in due] == [True, True, *[False] * (len(due) - 2)]
    assert ESCALATED == 7


def test_a_clock_that_was_set_back_makes_nobody_well() -> None:
    """By it the end is far away again: that is no recovery, and nothing is forgotten."""
    desk = Desk()
    desk.run(END - 5 * DAY, failing(END - 5 * DAY))
    assert desk.run(END - 50 * DAY, well()) == ()
    assert [one.topic for one in desk.run(END - 4 * DAY, well())] == [Topic.RECOVERED]
