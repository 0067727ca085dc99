"""Which facts are too old to decide upon: windows to ask for, ports to look at."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from renewer.model.facts import Situation, Version
from renewer.policy.freshness import ends_at, to_ask, to_look
from tests.builders import (
    DAY,
    HOUR,
    MINUTE,
    NOW,
    absent,
    sighting,
    situation,
    version,
    window,
    wish,
)

FRESH = version(1)

SOON = window(FRESH, NOW + 40 * DAY, NOW + 42 * DAY)


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        pytest.param(situation(), FRESH, id="A window that was never asked for is"),
        pytest.param(situation(windows=(SOON,)), None, id="Not before the authority's Retry-After"),
        pytest.param(situation(windows=(window(FRESH, None, None, ask_again=NOW),)), FRESH, id="Then again"),
        pytest.param(
            situation(versions=(version(age=91 * DAY),)), None, id="Never after expiry (RFC 9773 §4.3)"
        ),
        pytest.param(
            situation(versions=(version(2, age=HOUR), FRESH), windows=(window(version(2), None, None),)),
            None,
            id="Never for one that was replaced (RFC 9773 §4.3)",
        ),
        pytest.param(
            situation(versions=(version(authority=None),)), None, id="Not where nobody knows whom to ask"
        ),
        pytest.param(absent(), None, id="Nor where there is nothing to ask for"),
    ],
)
def test_whose_window_is_asked_for(facts: Situation, expected: Version | None) -> None:
    """The wanted version's, when its time has come."""
    assert to_ask(facts, NOW) == expected


def test_a_person_may_ask_before() -> None:
    """`--ask` does not wait for the authority's Retry-After."""
    assert to_ask(situation(windows=(SOON,)), NOW, anyway=True) == FRESH


def test_a_port_is_looked_at_once_a_period() -> None:
    """From one look to the next half a period passes at least and a period at most, by its own share."""
    seen = sighting(FRESH)
    assert [ends_at(seen, HOUR, share) - seen.at for share in (0.0, 0.5)] == [HOUR / 2, HOUR * 3 / 4]
    assert HOUR / 2 < ends_at(seen, HOUR, 0.999) - seen.at < HOUR


@given(share=st.floats(0, 1, exclude_max=True), minutes=st.integers(0, 10**6), period=st.integers(60, 86400))
def test_no_look_is_put_off_beyond_its_period(share: float, minutes: int, period: int) -> None:
    """Whatever the certificate's own point is."""
    seen, every = sighting(FRESH, at=NOW + minutes * MINUTE), timedelta(seconds=period)

    assert timedelta(0) < ends_at(seen, every, share) - seen.at <= every + timedelta(milliseconds=1)


def test_which_certificate_is_looked_at() -> None:
    """One that is live, has ports, and was seen too long ago."""
    recent, past = sighting(FRESH, at=NOW), sighting(FRESH, at=NOW - 2 * HOUR)

    assert to_look(situation(sightings=(past,)), NOW, HOUR, HOUR)
    assert not to_look(situation(sightings=(recent,)), NOW, 30 * DAY, HOUR)
    assert not to_look(situation(sightings=()), NOW, HOUR, HOUR)  # never seen: that is a step, LOOK
    assert not to_look(situation(wish=wish(endpoints=()), sightings=(past,)), NOW, HOUR, HOUR)
    assert not to_look(absent(sightings=(past,)), NOW, HOUR, HOUR)
