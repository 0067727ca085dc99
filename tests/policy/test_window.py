"""When a certificate is to be renewed: by share of its lifetime, or inside the authority's window."""

from datetime import datetime, timedelta

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from renewer.model.decision import Reason
from renewer.policy.window import (
    emergency_span,
    fraction,
    in_emergency,
    judge,
    renewal_moment,
    slack,
    usable,
)
from tests.builders import DAY, HOUR, MINUTE, NOW, leaf, version, window


@pytest.mark.parametrize(
    ("lifetime", "left"),
    [
        (398 * DAY, 398 * DAY / 3),
        (90 * DAY, 30 * DAY),
        (47 * DAY, 47 * DAY / 3),
        (10 * DAY, 10 * DAY / 3),
        (10 * DAY - timedelta(seconds=1), (10 * DAY - timedelta(seconds=1)) / 2),
        (160 * HOUR, 80 * HOUR),
        (timedelta(seconds=90), timedelta(seconds=45)),
    ],
    ids=str,
)
def test_a_share_of_the_lifetime_is_left(lifetime: timedelta, left: timedelta) -> None:
    """A third is left at the renewal, a half for lifetimes below ten days."""
    one = version(lifetime=lifetime)
    moment = renewal_moment(one, None, None)

    assert (Reason.LIFETIME_SHARE, left) == (moment.reason, one.leaf.not_after - moment.at)


def test_renew_before_counts_without_a_window_only() -> None:
    """RFC 9773 knows better than a number in a config."""
    one = version()
    start, end = NOW + DAY, NOW + 3 * DAY

    assert renewal_moment(one, None, 20 * DAY).at == one.leaf.not_after - 20 * DAY
    assert start <= renewal_moment(one, window(one, start, end), 20 * DAY).at < end


def test_renew_before_beyond_the_lifetime_is_ignored() -> None:
    """Thirty days before the end of a six-day certificate would be a renewal at every run."""
    one = version(lifetime=6 * DAY, age=HOUR)

    assert renewal_moment(one, None, 30 * DAY).reason is Reason.LIFETIME_SHARE
    assert not judge(one, None, 30 * DAY, NOW, HOUR).due


@pytest.mark.parametrize(
    ("start", "end"),
    [
        (None, None),
        (NOW, None),
        (None, NOW),
        (NOW, NOW),
        (NOW + DAY, NOW),
        (NOW - 17 * DAY, NOW - 10 * DAY - 2 * HOUR),
        (NOW + 80 * DAY, NOW + 90 * DAY),
    ],
    ids=["none", "no end", "no start", "empty", "backwards", "over before it was made", "after its end"],
)
def test_what_is_no_window(start: datetime | None, end: datetime | None) -> None:
    """RFC 9773 §4.2: an end that is not after the start counts as no answer; so does what means nothing."""
    one = version()
    answer = window(one, start, end)

    assert not usable(one, answer)
    assert renewal_moment(one, answer, None).reason is Reason.LIFETIME_SHARE


@given(number=st.integers(0, 10**9), hours=st.floats(0.001, 10_000), offset=st.floats(-10_000, 10_000))
def test_the_instant_lies_in_the_window(number: int, hours: float, offset: float) -> None:
    """RFC 9773 §4.2: a moment within the window, the same at every run, whatever the window."""
    one = version(number)
    start = NOW + offset * HOUR
    told = window(one, start, start + hours * HOUR)
    assume(usable(one, told))

    assert start <= renewal_moment(one, told, None).at < start + hours * HOUR
    assert renewal_moment(one, told, None) == renewal_moment(one, told, None)


def test_the_instants_are_spread_over_the_window() -> None:
    """RFC 9773 §4.2 recommends a uniform choice: a fleet does not come all at once."""
    tenths = [0] * 10
    for number in range(2000):
        tenths[int(fraction(leaf(number).fingerprint) * 10)] += 1

    assert all(150 < count < 250 for count in tenths), tenths


@given(st.text("0123456789abcdef", min_size=64, max_size=64))
def test_a_fraction_is_below_one(fingerprint: str) -> None:
    """No fingerprint falls out of the window."""
    assert 0 <= fraction(fingerprint) < 1


def test_the_moment_before_the_next_wake_is_now() -> None:
    """RFC 9773 §4.2: if the moment falls before the client wakes again, renew now."""
    one = version()
    moment = renewal_moment(one, window(one, NOW - HOUR, NOW + 2 * HOUR), None)
    told = window(one, NOW - HOUR, NOW + 2 * HOUR)
    before = moment.at - 2 * HOUR

    assert not judge(one, told, None, before, HOUR).due
    assert judge(one, told, None, max(before + HOUR, NOW - HOUR), 2 * HOUR).due


def test_never_before_the_window_opens() -> None:
    """An order before the window opens loses the exemption from the rate limits."""
    one = version()
    told = window(one, NOW + 10 * MINUTE, NOW + 30 * HOUR)

    assert not judge(one, told, None, NOW, 29 * HOUR).due
    assert judge(one, told, None, NOW, 31 * HOUR).reason is Reason.WINDOW_WOULD_BE_MISSED


def test_a_window_in_the_past_is_due_now() -> None:
    """A revoked certificate is announced by a window in the past (RFC 9773 §4.2)."""
    one = version(age=3 * DAY)
    verdict = judge(one, window(one, NOW - 2 * DAY, NOW - DAY), None, NOW, HOUR)

    assert (verdict.due, verdict.reason) == (True, Reason.WINDOW_REACHED)


@pytest.mark.parametrize(
    ("lifetime", "span"),
    [
        (398 * DAY, 5 * DAY),
        (90 * DAY, 4.5 * DAY),
        (47 * DAY, 47 * DAY / 20),
        (20 * DAY, DAY),
        (6 * DAY, DAY),
        (3 * DAY, 0.75 * DAY),
        (timedelta(seconds=90), timedelta(seconds=22.5)),
    ],
    ids=str,
)
def test_when_an_emergency_begins(lifetime: timedelta, span: timedelta) -> None:
    """A twentieth or a day, the longer; at most a quarter and at most five days."""
    about = leaf(lifetime=lifetime, age=timedelta(0))

    assert emergency_span(lifetime) == span
    assert not in_emergency(about, about.not_after - span)
    assert in_emergency(about, about.not_after - span + timedelta(seconds=1))


def test_an_emergency_overrules_the_window() -> None:
    """A window that the authority moved behind the expiry does not let a certificate expire."""
    one = version(age=86 * DAY)
    told = window(one, NOW + 3 * DAY, NOW + 400 * DAY)

    assert judge(one, told, None, NOW, HOUR).reason is Reason.EMERGENCY


def test_a_window_behind_the_expiry_is_not_waited_for() -> None:
    """Where the next wake comes after the expiry, this one renews, whatever the window says."""
    one = version(age=75 * DAY)
    told = window(one, NOW + 30 * DAY, NOW + 40 * DAY)

    assert judge(one, told, None, NOW, 16 * DAY).due


@pytest.mark.parametrize(
    ("wake", "ahead"),
    [(HOUR, 5 * MINUTE), (DAY, 5 * MINUTE), (10 * MINUTE, MINUTE), (MINUTE, timedelta(seconds=6))],
    ids=str,
)
def test_how_far_ahead_a_moment_counts_as_reached(wake: timedelta, ahead: timedelta) -> None:
    """A tenth of a wake, at most five minutes: a timer's jitter does not cost a whole wake."""
    assert slack(wake) == ahead


def test_due_a_moment_ahead() -> None:
    """Four minutes before its moment an hourly run renews; six minutes before it does not."""
    one = version()
    moment = renewal_moment(one, None, None).at

    assert judge(one, None, None, moment - 4 * MINUTE, HOUR).due
    assert not judge(one, None, None, moment - 6 * MINUTE, HOUR).due
