import os
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from renewer.network.acme import retry_after

NOW = datetime(2026, 11, 22, 12, 0, 0, tzinfo=UTC)


@pytest.fixture(params=["Asia/Tokyo", "America/Los_Angeles", "UTC"])
def zone(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """This process, in another time zone."""
    monkeypatch.setenv("TZ", request.param)
    time.tzset()
    yield request.param
    os.environ.pop("TZ", None)
    monkeypatch.undo()
    time.tzset()


def test_seconds_are_counted_from_now() -> None:
    """RFC 9110, section 10.2.3: "delay-seconds ... after the response is received"."""
    assert retry_after.parse("120", NOW) == NOW + timedelta(seconds=120)


@pytest.mark.usefixtures("zone")
@pytest.mark.parametrize(
    "text",
    ["Sun, 22 Nov 2026 12:01:00 GMT", "Sunday, 22-Nov-26 12:01:00 GMT", "Sun Nov 22 12:01:00 2026"],
)
def test_a_date_means_the_same_in_every_zone(text: str) -> None:
    """All three forms of RFC 9110, section 5.6.7, give a minute from now in Tokyo and Los Angeles too."""
    assert retry_after.parse(text, NOW) == NOW + timedelta(minutes=1)


def test_a_date_is_measured_from_the_senders_own_clock() -> None:
    """With our clock an hour slow the authority's "in one minute" is still one minute."""
    wanted = retry_after.parse("Sun, 22 Nov 2026 13:01:00 GMT", NOW, date="Sun, 22 Nov 2026 13:00:00 GMT")
    assert wanted == NOW + timedelta(minutes=1)


def test_a_moment_in_the_past_is_now() -> None:
    """A date that has gone by means that we may ask at once, not that we should have asked before."""
    assert retry_after.parse("Wed, 01 Jan 2020 00:00:00 GMT", NOW) == NOW


@pytest.mark.parametrize(
    "text", ["", "soon", "-5", "1.5", "1e9", "٣", "Sun, 99 Nov 2026 12:01:00 GMT", "0" * 500, "Sun,", "\x00"]
)
def test_nonsense_is_as_if_nothing_was_said(text: str) -> None:
    """What cannot be understood is None, never an error."""
    assert retry_after.parse(text, NOW) is None


@pytest.mark.parametrize("text", ["999999999999", "Fri, 31 Dec 9999 23:59:59 GMT"])
def test_for_ever_is_a_year(text: str) -> None:
    """A value that would leave the calendar is bounded."""
    assert retry_after.parse(text, NOW) == NOW + retry_after.LONGEST


@given(st.text(max_size=80), st.text(max_size=80))
def test_no_header_does_harm(text: str, date: str) -> None:
    """Whatever is sent, the result is nothing or between now and a year."""
    wanted = retry_after.parse(text, NOW, date)
    assert wanted is None or NOW <= wanted <= NOW + retry_after.LONGEST


@given(st.datetimes(timezones=st.just(UTC), min_value=datetime(2000, 1, 1), max_value=datetime(2090, 1, 1)))  # noqa: DTZ001
def test_a_clamped_moment_is_within_a_minute_and_a_day(moment: datetime) -> None:
    """RFC 9773, section 4.3.2: "clients SHOULD set reasonable limits on their checking interval"."""
    clamped = retry_after.clamp(moment, NOW)
    assert NOW + retry_after.MINUTE <= clamped <= NOW + retry_after.DAY
