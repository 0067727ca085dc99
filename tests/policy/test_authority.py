"""Which authority is asked, and when: the configured order, failures, urgency."""

import pytest

from renewer.model.desired import Certificate
from renewer.model.facts import Failure, Situation, Version
from renewer.policy.authority import choose
from tests.builders import DAY, HOUR, MINUTE, NOW, absent, failure, situation, version, wish

BOTH = wish(authorities=("letsencrypt", "google"))
ALL = wish(authorities=("letsencrypt", "google", "zerossl"))
URGENT = version(age=87 * DAY)
DEAD = version(age=91 * DAY)


def _first(count: int = 1, **changes: object) -> Failure:
    return failure(count, **changes)  # type: ignore[arg-type]


def _second(count: int = 1, **changes: object) -> Failure:
    return failure(count, authority="google", **changes)  # type: ignore[arg-type]


def _with(of: Certificate, *failures: Failure, have: Version | None = None) -> Situation:
    if have is None:
        return absent(wish=of, failures=failures)
    return situation(wish=of, versions=(have,), failures=failures)


@pytest.mark.parametrize(
    ("facts", "asked"),
    [
        pytest.param(_with(BOTH), "letsencrypt", id="The first is asked first"),
        pytest.param(_with(BOTH, _first(1)), "letsencrypt", id="One failure is no reason to leave it"),
        pytest.param(_with(BOTH, _first(2)), "letsencrypt", id="Nor are two"),
        pytest.param(_with(BOTH, _first(3)), "google", id="After three the next gets its turn"),
        pytest.param(_with(BOTH, _first(final=True)), "google", id="After a final refusal at once"),
        pytest.param(_with(BOTH, _first(1), have=URGENT), "google", id="In an emergency after any failure"),
        pytest.param(_with(BOTH, _first(1), have=DEAD), "google", id="After the expiry after any failure"),
        pytest.param(
            _with(BOTH, _first(4, ago=2 * DAY), _second(1)),
            "letsencrypt",
            id="The first is asked again when its time has come",
        ),
        pytest.param(
            _with(BOTH, _first(4), _second(4, ago=2 * DAY)), "google", id="Or the second when its has"
        ),
        pytest.param(
            _with(BOTH, _first(4), _second(1)), "google", id="If all wait, the one that may be asked soonest"
        ),
        pytest.param(
            _with(ALL, _first(final=True), _second(2)),
            "google",
            id="The third waits until the second has failed enough",
        ),
        pytest.param(
            _with(ALL, _first(final=True), _second(3)), "zerossl", id="And gets its turn when it has"
        ),
        pytest.param(
            _with(BOTH, _first(9, wish="wish-as-it-was")), "letsencrypt", id="A changed wish begins anew"
        ),
        pytest.param(
            _with(BOTH, _first(problem="paused", final=True, not_before=NOW + 90 * DAY)),
            "google",
            id="A paused account does not stop the renewal",
        ),
    ],
)
def test_which_authority_is_asked(facts: Situation, asked: str) -> None:
    """In order; the next when those before failed finally or three times, or in an emergency."""
    assert choose(facts, NOW).authority == asked


def test_who_has_not_failed_may_be_asked_now() -> None:
    """A choice without a failure has no moment."""
    assert choose(_with(BOTH), NOW).not_before is None
    assert choose(_with(BOTH, _first(3)), NOW).not_before is None


def test_a_choice_tells_until_when_and_why() -> None:
    """While all wait, the soonest moment and the failure that it comes from."""
    choice = choose(_with(BOTH, _first(4), _second(2)), NOW)

    assert choice.failure == _second(2)
    assert choice.not_before is not None
    assert NOW + 9 * MINUTE <= choice.not_before <= NOW + 10 * MINUTE


def test_the_first_is_returned_to_at_the_next_renewal() -> None:
    """A certificate of the second authority is renewed at the first, once nothing is on record against it."""
    stand_in = version(age=61 * DAY, authority="google")

    assert choose(_with(BOTH, have=stand_in), NOW + HOUR).authority == "letsencrypt"
