"""When servers may be touched."""

from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from renewer.config.windows import deploy_window
from renewer.model.decision import Reason, State, Step
from renewer.model.desired import DeployWindow
from renewer.model.facts import COPIES, CopyState, DeploymentState, EndpointState, Situation, Version
from renewer.policy.deploy_window import closed_until, opening
from renewer.policy.deploying import hooks_to_run
from renewer.policy.due import decide
from renewer.policy.health import assess
from renewer.policy.watchdog import windows_missed
from tests.builders import DAY, HOUR, NOW, deployment, hold, sighting, situation, terms, version, wish

assert NOW.weekday() == 6, "these tests were written for a Sunday at noon"
SATURDAY = DeployWindow(text="Sat 02:00-04:00", days=(5,), start=120, end=240, zone="UTC")
NOON = DeployWindow(text="11:00-13:00", days=tuple(range(7)), start=660, end=780, zone="UTC")
NIGHT = DeployWindow(text="Sat 22:00-06:00", days=(5,), start=1320, end=360, zone="UTC")
NEXT = datetime(2026, 11, 28, 2, tzinfo=UTC)
NEW, OLD = version(1, age=HOUR), version(2, age=62 * DAY)
URGENT, EXPIRED = version(3, age=89 * DAY), version(4, age=91 * DAY)
PLACEHOLDER = version(5, age=HOUR, lifetime=7 * DAY, placeholder=True, authority=None)
DEGRADED = version(6, age=2 * DAY, degraded=True)


@pytest.mark.parametrize(
    ("windows", "at", "expected"),
    [
        pytest.param((SATURDAY,), NOW, NEXT, id="Closed until its next day"),
        pytest.param((NOON,), NOW, None, id="Open"),
        pytest.param((NOON,), NOW - HOUR, None, id="Open from its first moment"),
        pytest.param((NOON,), NOW + HOUR, NOW + 23 * HOUR, id="Closed at its last"),
        pytest.param((SATURDAY, NOON), NOW, None, id="One of several is open"),
        pytest.param((SATURDAY, NOON), NOW + 2 * HOUR, NOW + 23 * HOUR, id="The next of several"),
        pytest.param((NIGHT,), NOW - 7 * HOUR, None, id="A night belongs to the day on which it begins"),
        pytest.param((NIGHT,), NOW - 6 * HOUR, NOW + 6 * DAY + 10 * HOUR, id="And ends on the next"),
        pytest.param((), NOW, None, id="Without windows it is never closed"),
    ],
)
def test_when_a_window_opens(
    windows: tuple[DeployWindow, ...], at: datetime, expected: datetime | None
) -> None:
    """None while one is open, else the next opening."""
    assert opening(windows, at) == expected


def test_a_window_follows_the_clocks_of_its_zone() -> None:
    """At two in the morning of Berlin, in summer and in winter."""
    window = deploy_window("02:00-04:00 Europe/Berlin")

    assert opening((window,), datetime(2026, 7, 1, tzinfo=UTC)) is None
    assert opening((window,), datetime(2026, 7, 1, 2, tzinfo=UTC)) == datetime(2026, 7, 2, 0, tzinfo=UTC)
    assert opening((window,), datetime(2026, 12, 1, tzinfo=UTC)) == datetime(2026, 12, 1, 1, tzinfo=UTC)


def test_an_hour_that_clocks_leave_out_comes_after() -> None:
    """Sunday from two to three is not there when summer begins: the window is open from three to four."""
    window = deploy_window("Sun 02:00-03:00 Europe/Berlin")
    begins = datetime(2026, 3, 29, 1, tzinfo=UTC)

    assert opening((window,), begins - HOUR) == begins
    assert opening((window,), begins) is None
    assert opening((window,), begins + HOUR) == begins + 7 * DAY - HOUR


@given(
    st.integers(0, 4 * 365 * 24 * 60),
    st.sets(st.integers(0, 6), min_size=1),
    st.integers(0, 1439),
    st.integers(0, 1439),
    st.sampled_from(["UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu"]),
)
def test_the_next_opening_is_open(minute: int, days: set[int], start: int, end: int, zone: str) -> None:
    """Whatever the window: it opens within eight days, and is open when it does."""
    window = DeployWindow(text="any", days=tuple(sorted(days)), start=start, end=end, zone=zone)
    now = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(minutes=minute)
    opens = opening((window,), now)
    if opens is None:
        return
    assert now < opens <= now + timedelta(days=8)
    assert opening((window,), opens) is None
    assert opens.astimezone(ZoneInfo(zone)).weekday() in {*days, *((day + 1) % 7 for day in days)}


def waiting(*versions: Version, live: Version = OLD, **changes: Any) -> Situation:
    """A new version is there, an older one is live, and the window is closed."""
    given: dict[str, Any] = {
        "wish": wish(deploy_windows=(SATURDAY,)),
        "versions": versions or (NEW, OLD),
        "live": live,
    }
    return situation(**{**given, **changes})


def test_issued_ahead_and_deployed_inside() -> None:
    """Outside the window the old one is served on and all is well; when it opens, the new one is deployed."""
    decision = decide(waiting(), terms())
    assert (decision.step, decision.held, decision.reason) == (
        Step.WAIT,
        Step.DEPLOY,
        Reason.DEPLOY_WINDOW,
    )
    assert decision.not_before == NEXT
    assert "the deploy window (Sat 02:00-04:00) opens at 2026-11-28 02:00:00Z" in decision.because
    health = assess(waiting(), NOW)
    assert (health.state, health.healthy, health.exit) == (State.VERIFIED, True, 0)

    a_minute_early = decide(waiting(), terms(now=NEXT - timedelta(minutes=1)))
    assert (a_minute_early.step, a_minute_early.not_before) == (Step.WAIT, NEXT)
    assert decide(waiting(), terms(now=NEXT)).step is Step.DEPLOY
    assert assess(waiting(), NEXT).state is State.ISSUED


@pytest.mark.parametrize(
    "facts",
    [
        pytest.param(waiting(NEW, URGENT, live=URGENT), id="What is live is about to expire"),
        pytest.param(waiting(NEW, EXPIRED, live=EXPIRED), id="What is live has expired"),
        pytest.param(waiting(NEW, PLACEHOLDER, live=PLACEHOLDER), id="A placeholder is live"),
        pytest.param(waiting(NEW, DEGRADED, live=DEGRADED), id="A degraded one is live"),
        pytest.param(waiting(NEW, OLD, revoked=(OLD.id,)), id="A revoked one is live"),
        pytest.param(waiting(NEW, live_id=None), id="Nothing is live"),
    ],
)
def test_an_emergency_does_not_wait(facts: Situation) -> None:
    """Where visitors are not served well, no window keeps the new one back."""
    assert closed_until(facts, NOW) is None
    assert decide(facts, terms()).step is Step.DEPLOY


def test_a_person_does_not_wait() -> None:
    """`renewer deploy` is obeyed at any time."""
    assert decide(waiting(), terms(redeploy=True)).step is Step.DEPLOY


def test_a_rollback_is_a_deployment_too() -> None:
    """A run brings it about inside the window, the person who types it at once."""
    facts = waiting(NEW, OLD, live=NEW, holds=(hold(NEW),))
    assert decide(facts, terms()).reason is Reason.DEPLOY_WINDOW
    assert decide(facts, terms(redeploy=True)).step is Step.DEPLOY


def test_a_hook_or_a_port_waits_as_well() -> None:
    """What failed inside the window is tried again in the next, unless a port shows what is about to end."""
    failed = (deployment(NEW, DeploymentState.FAILED, at=NOW - 2 * DAY),)
    assert decide(waiting(NEW, live=NEW, deployments=failed), terms()).reason is Reason.DEPLOY_WINDOW
    stale = (sighting(NEW, EndpointState.STALE, not_after=NOW + 30 * DAY, at=NOW - 2 * DAY),)
    done = (deployment(NEW, at=NOW - 3 * DAY),)
    assert (
        decide(waiting(NEW, live=NEW, deployments=done, sightings=stale), terms()).reason
        is Reason.DEPLOY_WINDOW
    )
    ending = (replace(stale[0], not_after=NOW + DAY),)
    assert decide(waiting(NEW, live=NEW, deployments=done, sightings=ending), terms()).step is Step.DEPLOY


def test_a_copy_does_not_wait_and_takes_no_hook_along() -> None:
    """A file that somebody removed is put back at once; the servers are left alone until the window opens."""
    gone = CopyState(path="/etc/x.pem", version=NEW.id, intact=False)
    stale = (sighting(NEW, EndpointState.STALE, not_after=NOW + 30 * DAY, at=NOW - 2 * DAY),)
    hooks = ((COPIES, "0"), ("nginx", "0"))
    facts = waiting(NEW, live=NEW, hooks=hooks, copies=(gone,), deployments=(), sightings=stale)

    assert decide(facts, terms()).reason is Reason.COPY_PENDING
    assert hooks_to_run(facts, NEW, terms()) == (COPIES,)
    assert hooks_to_run(facts, NEW, terms(now=NEXT)) == (COPIES, "nginx")
    assert hooks_to_run(facts, NEW, terms(redeploy=True)) == (COPIES, "nginx")


def test_a_window_that_runs_may_miss_is_told() -> None:
    """One that is shorter than the time between runs."""
    facts = [waiting()]
    assert windows_missed(facts, timedelta(hours=2)) == []
    (said,) = windows_missed(facts, timedelta(hours=3))
    assert "www: its deploy window (Sat 02:00-04:00) is shorter than the 3 h between runs" in said
