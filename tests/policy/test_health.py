"""What a certificate is, whether it is well, and how a process exits that says so."""

from datetime import timedelta
from typing import NamedTuple

import pytest
from msgspec.structs import replace

from renewer.model.decision import State
from renewer.model.facts import COPIES, CopyState, DeploymentState, EndpointState, Owed, Situation
from renewer.policy.health import assess, complete, exit_code
from renewer.policy.progress import in_warning_window
from tests.builders import (
    DAY,
    ENDPOINT,
    HOOK_FINGERPRINT,
    HOUR,
    NAMES,
    NOW,
    absent,
    deployment,
    failure,
    sighting,
    situation,
    version,
    window,
    wish,
)

FRESH = version(1)
NEW = version(2, age=HOUR)
DUE = version(7, age=60 * DAY)
LATE = version(3, age=76 * DAY)
DEAD = version(4, age=91 * DAY)
FAKE = version(5, age=HOUR, lifetime=7 * DAY, placeholder=True)
PART = replace(version(6, degraded=True), leaf=replace(FRESH.leaf, names=NAMES[:1]))


class Case(NamedTuple):
    """Facts, and what is to be said of them."""

    facts: Situation
    state: State
    exit: int
    why: str = ""


TABLE: dict[str, Case] = {
    "Seen at every port": Case(situation(), State.VERIFIED, 0),
    "Deployed by every hook, and no port to look at": Case(
        situation(wish=wish(endpoints=())), State.DEPLOYED, 0
    ),
    "Installed, and nobody to tell": Case(situation(wish=wish(hooks=(), endpoints=())), State.INSTALLED, 0),
    "Seen, and no hook to run": Case(situation(wish=wish(hooks=())), State.VERIFIED, 0),
    "Seen, but what a pre hook stopped was not started again": Case(
        situation(
            owed=(Owed(certificate="www", host="web-1", hook="mine", error="hook mine failed at post"),)
        ),
        State.FAILED,
        1,
        "hook mine failed at post",
    ),
    "Nothing is there": Case(absent(), State.ABSENT, 1, "there is no certificate yet"),
    "A placeholder stands there": Case(
        situation(versions=(FAKE,)), State.ABSENT, 1, "there is no certificate yet"
    ),
    "Nothing is there, and the authority refuses for good": Case(
        absent(failures=(failure(final=True, text="the account is deactivated"),)),
        State.ABSENT,
        3,
        "the account is deactivated",
    ),
    "It has expired": Case(situation(versions=(DEAD,)), State.EXPIRED, 3, "it expired at"),
    "Its renewal is overdue": Case(situation(versions=(LATE,)), State.EXPIRING, 3, "renewal is overdue"),
    "Its renewal is a little late": Case(
        situation(versions=(version(3, age=62 * DAY),)), State.VERIFIED, 1, "renewal is overdue"
    ),
    "Its renewal fails, and there is time": Case(
        situation(versions=(DUE,), failures=(failure(2),)), State.FAILED, 1, "could not be reached"
    ),
    "Its renewal is refused for good": Case(
        situation(versions=(DUE,), failures=(failure(final=True),)), State.FAILED, 3, "could not be reached"
    ),
    "Somebody asked for a new one in vain, and none is needed": Case(
        situation(failures=(failure(2, final=True),)), State.VERIFIED, 0
    ),
    "A failure from before it was due is nothing": Case(
        situation(versions=(DUE,), failures=(failure(2, ago=20 * DAY),)), State.VERIFIED, 0
    ),
    "A failure of a clock that was ahead is nothing": Case(
        situation(versions=(DUE,), failures=(failure(final=True, at=NOW + 300 * DAY),)), State.VERIFIED, 0
    ),
    "A failure of an authority that is named no more is nothing": Case(
        situation(versions=(DUE,), failures=(failure(9, authority="zerossl"),)), State.VERIFIED, 0
    ),
    "A hook failed by a clock that was ahead": Case(
        situation(deployments=(deployment(FRESH, DeploymentState.FAILED, at=NOW + 300 * DAY),)),
        State.INSTALLED,
        1,
        "nginx has not followed",
    ),
    "A hook failed, and was changed since": Case(
        situation(deployments=(deployment(FRESH, DeploymentState.FAILED, fingerprint="as-it-was"),)),
        State.INSTALLED,
        1,
        "nginx has not followed",
    ),
    "Copies failed once, and lie there now": Case(
        situation(
            hooks=((COPIES, HOOK_FINGERPRINT),),
            copies=(CopyState(path="/etc/www.pem", version=FRESH.id, intact=True),),
            deployments=(deployment(NEW, DeploymentState.FAILED, hook=COPIES),),
        ),
        State.VERIFIED,
        0,
    ),
    "A port was seen by a clock that was ahead": Case(
        situation(sightings=(sighting(FRESH, EndpointState.FOREIGN, failures=9, at=NOW + 300 * DAY),)),
        State.DEPLOYED,
        1,
        "is to be looked at again",
    ),
    "A port still shows one that has expired": Case(
        situation(sightings=(sighting(FRESH, EndpointState.STALE, not_after=NOW - HOUR),)),
        State.DEPLOYED,
        3,
        "stale",
    ),
    "Others may read its key": Case(situation(modes=("privkey.pem is 0644",)), State.VERIFIED, 1, "0644"),
    "An authority for tests signed it": Case(
        situation(tests=("letsencrypt",)), State.VERIFIED, 1, "an authority for tests"
    ),
    "Something on disk is damaged": Case(
        situation(fault="versions/x is damaged"), State.VERIFIED, 1, "damaged"
    ),
    "An old version is damaged": Case(situation(broken=(("x", "x is damaged"),)), State.VERIFIED, 0),
    "Failures of a wish that has changed are nothing": Case(
        situation(failures=(failure(9, wish="wish-as-it-was"),)), State.VERIFIED, 0
    ),
    "A hook failed": Case(
        situation(deployments=(deployment(FRESH, DeploymentState.FAILED),)), State.FAILED, 1, "exit code 1"
    ),
    "A hook failed that is no longer in the config": Case(
        situation(deployments=(deployment(FRESH), deployment(FRESH, DeploymentState.FAILED, hook="old"))),
        State.VERIFIED,
        0,
    ),
    "A deployment was turned back": Case(
        situation(versions=(NEW, FRESH), live=FRESH, deployments=(deployment(NEW, DeploymentState.FAILED),)),
        State.FAILED,
        1,
        "exit code 1",
    ),
    "A newer one is on disk": Case(
        situation(versions=(NEW, FRESH), live=FRESH), State.ISSUED, 1, "not everywhere"
    ),
    "A hook was not run yet": Case(situation(deployments=()), State.INSTALLED, 1, "not everywhere"),
    "A server was not running": Case(
        situation(deployments=(deployment(FRESH, DeploymentState.LATER, error="nginx does not run"),)),
        State.INSTALLED,
        1,
        "nginx does not run",
    ),
    "A port was not looked at yet": Case(situation(sightings=()), State.DEPLOYED, 1, "not everywhere"),
    "A port does not answer": Case(
        situation(sightings=(sighting(FRESH, EndpointState.UNREACHABLE, failures=9),)),
        State.DEPLOYED,
        1,
        "unreachable",
    ),
    "A port serves an older one, seen once": Case(
        situation(sightings=(sighting(FRESH, EndpointState.STALE),)), State.DEPLOYED, 1, "stale"
    ),
    "A port serves an older one still after the first retry": Case(
        situation(sightings=(sighting(FRESH, EndpointState.STALE, failures=2),)), State.DEPLOYED, 3, "stale"
    ),
    "A port serves a foreign one for long": Case(
        situation(sightings=(sighting(FRESH, EndpointState.FOREIGN, failures=2),)),
        State.DEPLOYED,
        3,
        "foreign",
    ),
    "One address of two serves an older one": Case(
        situation(
            sightings=(
                sighting(FRESH, EndpointState.STALE, address="2001:db8::1"),
                sighting(FRESH),
            )
        ),
        State.DEPLOYED,
        1,
        "stale",
    ),
    "Some names are missing": Case(
        situation(versions=(PART,)), State.EXPIRING, 3, "degraded: it serves without www.example.org"
    ),
    "The state directory cannot be read": Case(
        absent(fault="/var/lib/renewer: permission denied"), State.ABSENT, 3, "permission denied"
    ),
}


@pytest.mark.parametrize("case", TABLE.values(), ids=TABLE.keys())
def test_how_a_certificate_is(case: Case) -> None:
    """State, health and exit code, with the most telling reason."""
    health = assess(case.facts, NOW)

    assert (health.state, health.exit) == (case.state, case.exit)
    assert health.healthy is (case.exit == 0)
    assert case.why in health.why


def test_every_state_is_met() -> None:
    """The states are an interface: each stands in the table."""
    assert {case.state for case in TABLE.values()} == set(State)


@pytest.mark.parametrize(
    ("names", "code"),
    [
        ((), 0),
        (("Seen at every port",), 0),
        (("Seen at every port", "A hook failed"), 1),
        (("It has expired", "A hook failed", "Seen at every port"), 3),
    ],
)
def test_the_worst_decides_how_to_exit(names: tuple[str, ...], code: int) -> None:
    """3 over 1 over 0."""
    assert exit_code(assess(TABLE[name].facts, NOW) for name in names) == code


@pytest.mark.parametrize(
    ("lifetime", "left"),
    [(90 * DAY, 15 * DAY), (6 * DAY, 1.5 * DAY), (timedelta(hours=2), HOUR / 2)],
    ids=str,
)
def test_the_warning_window_is_a_share(lifetime: timedelta, left: timedelta) -> None:
    """Half of what is left at the renewal's moment: a healthy renewal is never announced as a danger."""
    one = version(lifetime=lifetime, age=timedelta(0))
    facts, begins = situation(versions=(one,)), one.leaf.not_after - left

    assert not in_warning_window(facts, one, begins)
    assert in_warning_window(facts, one, begins + timedelta(seconds=1))


def test_the_warning_window_follows_the_authority() -> None:
    """Where its window is late, less time left is no danger yet."""
    late = window(LATE, NOW + 9 * DAY, NOW + 10 * DAY)

    assert not in_warning_window(situation(versions=(LATE,), windows=(late,)), LATE, NOW)


def test_when_a_certificate_counts_as_renewed() -> None:
    """Live, deployed by every hook and seen at every port: not before."""
    two = wish(endpoints=(ENDPOINT, replace(ENDPOINT, port=8443)))

    assert complete(situation()) == FRESH.id
    assert complete(absent()) is None
    assert complete(situation(versions=(FAKE,))) is None
    assert complete(situation(deployments=())) is None
    assert complete(situation(sightings=())) is None
    assert complete(situation(wish=two, sightings=(sighting(FRESH),))) is None
    assert complete(situation(wish=two)) == FRESH.id
