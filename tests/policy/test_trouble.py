"""What about a certificate a person should know, and what is nobody's business."""

from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from renewer.model.desired import Topic, Watch
from renewer.model.facts import DeploymentState, EndpointState, Situation
from renewer.model.told import Watched
from renewer.policy import progress, trouble
from renewer.policy.health import assess
from tests.builders import (
    DAY,
    HOUR,
    NOW,
    deployment,
    failure,
    sighting,
    situation,
    version,
)
from tests.policy.facts import MOMENTS, situations

MINUTE = timedelta(minutes=1)
WATCH = Watch(name="partner", file="/etc/ssl/partner.pem")


def left(span: timedelta, lifetime: timedelta = 90 * DAY, **changes: Any) -> Situation:
    """A certificate that lives for so long yet."""
    return situation(versions=[version(age=lifetime - span, lifetime=lifetime)], **changes)


def stages(of: Situation, now: datetime = NOW) -> list[int | None]:
    """The stages of what expires."""
    return [one.stage for one in trouble.of(of, now) if one.topic is Topic.EXPIRING]


@pytest.mark.parametrize(
    ("days", "lifetime", "stage"),
    [
        (31, 90, None),
        (30, 90, 30),
        (15.1, 90, 30),
        (15, 90, 15),
        (7, 90, 7),
        (3, 90, 3),
        (2, 90, 2),
        (1, 90, 1),
        (0.01, 90, 1),
        (0, 90, 0),
        (-0.5, 90, 0),
        (-1, 90, -1),
        (-9.5, 90, -9),
        (30, 365, 30),  # a longer life is told no sooner
        (2.1, 6, None),  # of a shorter one the same shares: 30/90 of six days are two
        (2, 6, 30),
        (1, 6, 15),
        (0.4, 6, 7),
        (0.05, 6, 1),
        (-1.5, 6, -1),
    ],
)
def test_stages_are_days_or_their_shares(days: float, lifetime: float, stage: int | None) -> None:
    """30, 15, 7, 3 and 1 days, daily in the last three, and daily after the end."""
    assert trouble.stage(NOW + days * DAY, lifetime * DAY, NOW) == stage


@given(days=st.floats(-100, 100), later=st.floats(0, 50), life=st.floats(0.001, 400))
def test_stages_only_fall(days: float, later: float, life: float) -> None:
    """As time passes nothing becomes less pressing."""
    end = NOW + days * DAY
    before, after = trouble.stage(end, life * DAY, NOW), trouble.stage(end, life * DAY, NOW + later * DAY)
    assert (after or 0) <= (before if before is not None else 99) or after is None
    assert not (before is not None and after is None)


def test_a_healthy_renewal_is_no_danger() -> None:
    """A certificate of 90 days is renewed with 30 left: at that moment nobody is alarmed."""
    assert stages(left(30 * DAY)) == []
    assert stages(left(29.5 * DAY)) == []


def test_an_overdue_renewal_counts() -> None:
    """A day after the planned moment the stage that was reached meanwhile is told."""
    assert stages(left(28.9 * DAY)) == [30]
    assert stages(left(14 * DAY)) == [15]


@pytest.mark.parametrize(
    ("wake", "overdue"), [(HOUR, True), (13 * HOUR, False)], ids=["hourly", "twice a day"]
)
def test_who_looks_seldom_gets_two_chances(wake: timedelta, overdue: bool) -> None:  # noqa: FBT001
    """Nothing is late before two wakes have passed."""
    of = left(30 * DAY - 25 * HOUR, wake=wake)
    (live,) = of.versions
    assert progress.overdue(of, live, NOW) is overdue


def test_long_wakes_never_silence_an_end() -> None:
    """At most a third of what was left at the planned moment is waited."""
    of = left(19 * DAY, wake=30 * DAY)
    assert progress.overdue(of, of.versions[0], NOW)


def test_a_placeholder_has_no_end() -> None:
    """It is none of our certificates."""
    assert trouble.of(situation(versions=[version(placeholder=True, age=100 * DAY)]), NOW) == ()


def test_what_a_port_still_serves_counts_by_its_own_end() -> None:
    """The renewal went well and the server has not loaded it: visitors meet the old one's end."""
    new, old = version(2, age=3 * DAY), version(1, age=86 * DAY)
    seen = sighting(
        new,
        EndpointState.STALE,
        fingerprint=old.leaf.fingerprint,
        not_after=old.leaf.not_after,
        since=NOW - 2 * DAY,
        failures=9,
    )
    of = situation(versions=[new, old], live=new, sightings=(seen,))
    ending, port = trouble.of(of, NOW)
    assert (ending.stage, ending.not_after, ending.mark) == (7, old.leaf.not_after, old.leaf.fingerprint)
    assert (port.topic, port.subject) == (Topic.FAILED, "port www.example.org:443")


@pytest.mark.parametrize(
    ("count", "final", "days", "told"),
    [
        (1, False, 29.5, False),  # it may pass
        (2, False, 29.5, False),
        (3, False, 29.5, True),
        (3, False, 60, False),  # nothing is needed: somebody asked for a new one, and has one that is good
        (1, True, 29.5, True),  # only a person can mend it
        (1, False, 20, True),  # it is late already
    ],
)
def test_failures_that_a_person_should_know(count: int, final: bool, days: int, told: bool) -> None:  # noqa: FBT001
    """At once what is final, else the third in a row, and any once the renewal is overdue."""
    of = left(days * DAY, failures=(failure(count, final=final),))
    found = [one.subject for one in trouble.of(of, NOW) if one.topic is Topic.FAILED]
    assert found == (["order"] if told else [])


def test_a_failure_of_an_earlier_wish_is_forgotten() -> None:
    """Whoever changed the configuration has acted."""
    assert trouble.of(situation(failures=(failure(9, wish="before"),)), NOW) == ()


def test_without_any_certificate_failures_are_told_weekly() -> None:
    """No end comes nearer that would remind anybody."""
    marks = set()
    for days in range(22):
        of = situation(versions=(), failures=(failure(5, ago=days * DAY),))
        (one,) = trouble.of(of, NOW)
        marks.add(one.mark.partition(" week ")[2])
    assert marks == {"", "1", "2", "3"}


def test_a_turned_back_deployment_is_told_at_once() -> None:
    """With what the hook said."""
    live = version()
    of = situation(
        versions=[live],
        deployments=(deployment(live, DeploymentState.FAILED, output="nginx: [emerg]", turned_back=True),),
    )
    (one,) = trouble.of(of, NOW)
    assert (one.topic, one.subject, one.output) == (Topic.FAILED, "hook nginx", "nginx: [emerg]")
    assert one.text.endswith("; the version before it is live again")


@pytest.mark.parametrize(
    ("state", "failures", "told"),
    [
        (EndpointState.STALE, 1, False),
        (EndpointState.STALE, 2, True),
        (EndpointState.FOREIGN, 2, True),
        (EndpointState.UNTRUSTED, 2, True),
        (EndpointState.UNREACHABLE, 2, False),
        (EndpointState.UNREACHABLE, 3, True),
        (EndpointState.VERIFIED, 5, False),
    ],
)
def test_ports_are_given_another_look_first(state: EndpointState, failures: int, told: bool) -> None:  # noqa: FBT001
    """A server that restarts just now is no news."""
    live = version()
    seen = sighting(live, state, failures=failures)
    twice = (seen, sighting(live, state, failures=failures, address="[2001:db8::1]:443"))
    found = [one.subject for one in trouble.of(situation(versions=[live], sightings=twice), NOW)]
    assert found == (["port www.example.org:443"] if told else [])


@pytest.mark.parametrize(("minutes", "failures", "told"), [(59, 9, False), (60, 1, False), (60, 2, True)])
def test_ports_are_told_of_after_two_bad_looks_and_an_hour(minutes: int, failures: int, told: bool) -> None:  # noqa: FBT001
    """Looking every five minutes is no reason to wake anybody after ten."""
    live = version()
    since = NOW - timedelta(minutes=minutes)
    seen = sighting(live, EndpointState.UNREACHABLE, failures=failures, since=since, at=NOW)
    assert bool(trouble.of(situation(versions=[live], sightings=(seen,)), NOW)) is told


def test_degraded_revoked_and_unreadable_are_told() -> None:
    """Each with its own subject."""
    live = version(degraded=True)
    of = situation(versions=[live], revoked=(live.id,), fault="versions/x is damaged")
    assert [(one.topic, one.subject) for one in trouble.of(of, NOW)] == [
        (Topic.FAILED, "revoked"),
        (Topic.DEGRADED, "degraded"),
        (Topic.FAILED, "disk"),
    ]


def test_a_watched_certificate_gets_every_stage() -> None:
    """Nobody plans its renewal here, so nothing is waited for."""
    fact = Watched(
        certificate="partner",
        target=WATCH.target,
        at=NOW,
        not_before=NOW - 60 * DAY,
        not_after=NOW + 30 * DAY,
    )
    assert [one.stage for one in trouble.of_watch(WATCH, fact, NOW)] == [30]
    assert [one.stage for one in trouble.of_watch(WATCH, fact, NOW - MINUTE)] == []
    assert [one.stage for one in trouble.of_watch(WATCH, fact, NOW + 31 * DAY)] == [-1]


def test_a_watched_certificate_that_cannot_be_seen_is_told_the_third_time() -> None:
    """What is not looked at yet, or was looked at elsewhere, is nothing to tell."""
    fact = Watched(certificate="partner", target=WATCH.target, at=NOW, error="refused", failures=3, since=NOW)
    (one,) = trouble.of_watch(WATCH, fact, NOW)
    assert (one.topic, one.text) == (Topic.FAILED, "refused")
    for changed in ({"failures": 2}, {"target": "/elsewhere"}):
        other = Watched(**{**{k: getattr(fact, k) for k in fact.__struct_fields__}, **changed})
        assert trouble.of_watch(WATCH, other, NOW) == ()
    assert trouble.of_watch(WATCH, None, NOW) == ()


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(situations(), MOMENTS | st.just(NOW))
def test_total_and_silent_when_healthy(of: Situation, now: datetime) -> None:
    """Whatever the facts: no error; and of what is as well as can be there is nothing to tell."""
    matters = trouble.of(of, now)
    subjects = [one.subject for one in matters]
    assert len(subjects) == len(set(subjects))
    if assess(of, now).healthy:
        assert subjects == []
    assert trouble.most_urgent_first(matters) == trouble.most_urgent_first(reversed(matters))


def test_accounts_that_were_ended_are_told_at_once() -> None:
    """Not in sixty days: what is wrong is that nothing can be renewed, and the command mends it."""
    healthy = left(80 * DAY)
    ended = [(name, "was deactivated at noon") for name in healthy.wish.authorities]
    told = [one for one in trouble.of(replace(healthy, ended=tuple(ended)), NOW) if "account" in one.subject]
    assert [one.topic for one in told] == [Topic.FAILED]
    assert "nothing can be renewed there" in told[0].text
    assert f"renewer account register {ended[0][0]}" in told[0].hint
    assert assess(replace(healthy, ended=tuple(ended)), NOW).exit == 3
    assert not [one for one in trouble.of(healthy, NOW) if "account" in one.subject]
