"""Facts that were written while the clock was ahead hold nothing back once it is right again."""

from renewer.model.decision import Step
from renewer.model.facts import DeploymentState, EndpointState
from renewer.policy.due import decide
from renewer.policy.freshness import to_ask, to_look
from tests.builders import (
    DAY,
    HOUR,
    MINUTE,
    NOW,
    absent,
    deployment,
    failure,
    sighting,
    situation,
    terms,
    version,
    window,
)

FRESH = version(1)


def test_failure_from_the_future() -> None:
    """The authority is asked at once, and what follows is counted from the right moment."""
    ahead = failure(4, at=NOW + 300 * DAY, not_before=NOW + 301 * DAY)

    assert decide(absent(failures=(ahead,)), terms()).step is Step.ISSUE
    assert decide(absent(failures=(failure(4, at=NOW + MINUTE),)), terms()).step is Step.WAIT


def test_deployment_from_the_future() -> None:
    """A hook that failed in a time to come is called at once."""
    failed = deployment(FRESH, DeploymentState.FAILED, at=NOW + 300 * DAY, failures=4)
    assert decide(situation(versions=(FRESH,), deployments=(failed,)), terms()).step is Step.DEPLOY


def test_stale_port_from_the_future() -> None:
    """So is one whose port was stale then."""
    stale = sighting(FRESH, EndpointState.STALE, at=NOW + 300 * DAY, failures=4)
    assert decide(situation(versions=(FRESH,), sightings=(stale,)), terms()).step is Step.DEPLOY


def test_questions_from_the_future() -> None:
    """The window is asked for and the port looked at as if nobody had."""
    asked = window(FRESH, None, None, asked_at=NOW + 300 * DAY, ask_again=NOW + 300 * DAY)
    seen = sighting(FRESH, at=NOW + 300 * DAY)
    facts = situation(versions=(FRESH,), windows=(asked,), sightings=(seen,))

    assert to_ask(facts, NOW) == FRESH
    assert to_look(facts, NOW, HOUR, HOUR)
