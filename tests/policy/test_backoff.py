"""After a failure: how long to wait, what an authority may ask for, and when all is forgotten."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from renewer.errors import GiveUp, OurFault, RetryLater
from renewer.model.facts import Asked, DeploymentState, EndpointState
from renewer.policy.authority import relevant
from renewer.policy.backoff import (
    DAILY,
    EMERGENCY_STEP,
    count,
    deploy_again,
    forced_again,
    issue_again,
    ladder,
    redeploy_stale,
)
from tests.builders import (
    DAY,
    HOUR,
    MINUTE,
    NOW,
    WISH,
    absent,
    deployment,
    failure,
    sighting,
    situation,
    version,
)

JITTER = 0.9
FRESH = version()
DEAD = version(age=91 * DAY)


@pytest.mark.parametrize(
    ("failures", "step"),
    [(0, MINUTE), (1, MINUTE), (2, 10 * MINUTE), (3, 100 * MINUTE), (4, DAY), (5, DAY), (1152, DAY)],
)
def test_the_ladder(failures: int, step: timedelta) -> None:
    """1, 10, 100 minutes, then daily."""
    assert ladder(failures) == step


@pytest.mark.parametrize("failures", [1, 2, 3, 4, 40])
def test_the_next_try_stands_on_the_ladder(failures: int) -> None:
    """The step and a tenth of it at most, counted from the failure."""
    wait = issue_again(failure(failures), FRESH, NOW) - NOW

    assert ladder(failures) * JITTER < wait <= ladder(failures)


def test_the_jitter_is_no_dice() -> None:
    """The same facts give the same moment; another certificate another one."""
    again = issue_again(failure(4), FRESH, NOW)

    assert again == issue_again(failure(4), FRESH, NOW + HOUR)
    assert again != issue_again(failure(4, certificate="mail"), FRESH, NOW)


@pytest.mark.parametrize("lifetime", [6 * DAY, 160 * HOUR, 3 * HOUR, timedelta(seconds=90)], ids=str)
def test_never_more_than_a_tenth_of_the_lifetime(lifetime: timedelta) -> None:
    """A day is an age for a certificate of six days (the jitter only shortens it)."""
    short = version(lifetime=lifetime, age=timedelta(0))

    assert issue_again(failure(9), short, NOW) - NOW <= lifetime / 10


def test_a_final_refusal_is_tried_daily() -> None:
    """What the operator must mend is not asked again every minute."""
    wait = issue_again(failure(1, final=True), FRESH, NOW) - NOW

    assert DAILY * JITTER < wait <= DAILY


def test_an_emergency_shortens_the_wait() -> None:
    """Two tries an hour, also after a final refusal: below five failed authorizations an hour."""
    urgent = version(age=87 * DAY)
    for record in (failure(9), failure(9, final=True)):
        wait = issue_again(record, urgent, NOW) - NOW
        assert EMERGENCY_STEP * JITTER < wait <= EMERGENCY_STEP


def test_the_authority_may_ask_for_more() -> None:
    """Retry-After beyond our own step is honoured to the second."""
    assert issue_again(failure(not_before=NOW + 5 * HOUR), FRESH, NOW) == NOW + 5 * HOUR


@pytest.mark.parametrize("asked", [timedelta(0), timedelta(seconds=1), -DAY], ids=str)
def test_the_authority_cannot_make_us_hot(asked: timedelta) -> None:
    """Floor: a minute at least, whatever stands in Retry-After."""
    assert issue_again(failure(not_before=NOW + asked), FRESH, NOW) >= NOW + MINUTE


def test_the_authority_cannot_let_a_certificate_expire() -> None:
    """Cap: half of what is left at the failure."""
    left = FRESH.leaf.not_after - NOW

    assert issue_again(failure(not_before=NOW + 365 * DAY), FRESH, NOW) == NOW + left / 2


@pytest.mark.parametrize("meanwhile", [None, DEAD], ids=["absent", "expired"])
def test_where_nothing_is_left_six_hours_are_the_cap(meanwhile: object) -> None:
    """An authority that says tomorrow is asked again today."""
    best = DEAD if meanwhile else None

    assert issue_again(failure(not_before=NOW + 3 * DAY), best, NOW) == NOW + 6 * HOUR


def test_a_paused_account_is_left_alone_in_full() -> None:
    """No cap: every try while it is paused makes it worse."""
    asked = NOW + 300 * DAY

    assert issue_again(failure(problem="paused", not_before=asked), None, NOW) == asked


def test_what_force_does_not_overrule() -> None:
    """Nothing of ours, and all that the authority asked."""
    asked = NOW + 3 * HOUR

    assert forced_again(failure(9), FRESH, NOW) is None
    assert forced_again(failure(not_before=asked), FRESH, NOW) == asked
    assert forced_again(failure(problem="paused", not_before=NOW + 300 * DAY), FRESH, NOW) == NOW + 300 * DAY


@given(
    failures=st.integers(0, 2000),
    ago=st.timedeltas(timedelta(0), 30 * DAY),
    asked=st.none() | st.timedeltas(-400 * DAY, 400 * DAY),
    lifetime=st.timedeltas(timedelta(seconds=90), 398 * DAY),
    used=st.floats(0, 1.5),
    final=st.booleans(),
)
def test_no_failure_lets_a_certificate_expire_untried(  # noqa: PLR0917  the facts
    failures: int,
    ago: timedelta,
    asked: timedelta | None,
    lifetime: timedelta,
    used: float,
    final: bool,  # noqa: FBT001  hypothesis hands it over
) -> None:
    """Whatever failed and whatever was asked, the next try comes before half of what was left is gone."""
    best = version(lifetime=lifetime, age=lifetime * used, at=NOW - ago)
    record = failure(failures, ago=ago, final=final, not_before=None if asked is None else NOW - ago + asked)
    wait = issue_again(record, best, NOW) - record.at
    left = best.leaf.not_after - record.at
    cap = left / 2 if left > timedelta(0) else 6 * HOUR

    assert timedelta(0) < wait <= max(min(DAILY, lifetime / 10), cap)


# --- counting -----------------------------------------------------------------------------------------------


def test_failures_are_counted_in_a_row() -> None:
    """The second of a row knows when the first was."""
    first = count(absent(), "letsencrypt", RetryLater("no route to host"), NOW)
    second = count(absent(failures=(first,)), "letsencrypt", RetryLater("refused"), NOW + HOUR)

    assert (first.count, first.since, first.at) == (1, NOW, NOW)
    assert (second.count, second.since, second.at) == (2, NOW, NOW + HOUR)
    assert second.text == "refused"


def test_another_authority_has_its_own_count() -> None:
    """What one authority refuses says nothing of another."""
    asked = (Asked(authority="letsencrypt", wish=WISH), Asked(authority="google", wish=WISH))
    facts = absent(asked=asked, failures=(failure(7),))

    assert count(facts, "google", RetryLater("down"), NOW).count == 1


def test_a_changed_wish_counts_from_one() -> None:
    """The count begins anew when the config of that certificate has changed."""
    facts = absent(failures=(failure(7, wish="wish-as-it-was"),))

    assert count(facts, "letsencrypt", RetryLater("down"), NOW).count == 1
    assert relevant(facts) == {}


@pytest.mark.parametrize(
    ("error", "final"),
    [
        (GiveUp("the name is refused", kind="rejectedIdentifier"), True),
        (RetryLater("down"), False),
        (OurFault("a defect"), False),
    ],
)
def test_what_is_final(error: GiveUp | RetryLater | OurFault, final: bool) -> None:  # noqa: FBT001
    """Only what nothing but the operator can change."""
    assert count(absent(), "letsencrypt", error, NOW).final is final


def test_a_failure_keeps_what_was_said() -> None:
    """Text, hint, kind, names and Retry-After are facts for the next run."""
    error = RetryLater(
        "too many requests",
        not_before=NOW + HOUR,
        hint="wait",
        kind="rateLimited",
        identifiers=(("www.example.org", "no such host"),),
    )
    record = count(absent(), "letsencrypt", error, NOW)

    assert (record.text, record.hint, record.problem) == ("too many requests", "wait", "rateLimited")
    assert record.not_before == NOW + HOUR
    assert record.identifiers == (("www.example.org", "no such host"),)


# --- deployments --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("failures", [0, 1, 2, 3, 4, 9])
def test_a_hook_is_tried_again_on_the_same_ladder(failures: int) -> None:
    """A stopped server (no failure counted) is asked again after the first step."""
    record = deployment(FRESH, DeploymentState.FAILED, failures=failures)
    wait = deploy_again(record, 90 * DAY, NOW) - record.at

    assert ladder(failures) * JITTER < wait <= ladder(failures)


def test_a_hook_waits_no_longer_than_a_tenth_of_the_lifetime() -> None:
    """A six-day certificate must reach its server within the day."""
    record = deployment(FRESH, DeploymentState.FAILED, failures=9)

    assert deploy_again(record, 6 * DAY, NOW) - record.at <= 6 * DAY / 10


@pytest.mark.parametrize(
    ("deployed", "again"),
    [
        (-HOUR, timedelta(0)),
        (timedelta(0), MINUTE),
        (MINUTE, 11 * MINUTE),
        (11 * MINUTE, 111 * MINUTE),
        (111 * MINUTE, 111 * MINUTE + 9 * DAY / 10),
        (111 * MINUTE + 9 * DAY, 111 * MINUTE + 99 * DAY / 10),
    ],
)
def test_a_stale_port_leads_to_deployment_at_once_then_seldom(deployed: timedelta, again: timedelta) -> None:
    """The first look that finds an old certificate acts; then each deployment climbs the ladder."""
    seen = sighting(FRESH, EndpointState.STALE, since=NOW - 30 * DAY)
    begun = NOW - 30 * DAY

    assert redeploy_stale(seen, begun + deployed, 9 * DAY, NOW) - begun == again


def test_looking_puts_off_no_deployment() -> None:
    """However often a stale port was looked at since: its next deployment is when it was."""
    often = [
        sighting(
            FRESH, EndpointState.STALE, since=NOW - 2 * DAY, at=NOW - number * HOUR, failures=48 - number
        )
        for number in range(48)
    ]

    assert {redeploy_stale(seen, NOW - 36 * HOUR, 90 * DAY, NOW) for seen in often} == {
        NOW - 2 * DAY + 111 * MINUTE + DAY
    }


def test_failures_at_other_authorities_are_relevant_while_they_are_named() -> None:
    """An authority that left the config takes its failures along."""
    facts = situation(failures=(failure(2), failure(3, authority="zerossl")))

    assert list(relevant(facts)) == ["letsencrypt"]


def test_a_stale_port_near_the_end() -> None:
    """Every six hours, not every run: a server that does not load it would be reloaded for nothing."""
    lifetime = 90 * DAY
    stale = sighting(version(), EndpointState.STALE, at=NOW, since=NOW - 10 * HOUR)
    deployed = NOW - HOUR
    calm = redeploy_stale(stale, deployed, lifetime, NOW)
    urgent = redeploy_stale(stale, deployed, lifetime, NOW, urgent=True)
    assert NOW < urgent <= deployed + 6 * HOUR < calm
