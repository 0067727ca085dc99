"""A revoked version is never wanted again, and nothing goes back behind it."""

from datetime import timedelta

import msgspec
import pytest

from renewer.model.decision import Reason, Step
from renewer.model.facts import Situation
from renewer.policy.due import decide
from renewer.policy.health import PERSON, assess
from renewer.policy.wanted import to_serve, usable, wanted
from tests.builders import NOW, situation, terms, version

NEW = version(3, age=timedelta(days=1))
LIVE = version(2, age=timedelta(days=5))
OLD = version(1, age=timedelta(days=9))


def facts(live: str, *revoked: str) -> Situation:
    """Three good versions, one of them live, some revoked."""
    return msgspec.structs.replace(situation(), versions=(NEW, LIVE, OLD), live=live, revoked=revoked)


@pytest.mark.parametrize(
    ("revoked", "left"),
    [
        ((), [NEW, LIVE, OLD]),
        ((OLD.id,), [NEW, LIVE]),
        ((LIVE.id,), [NEW]),
        ((NEW.id,), []),
        ((OLD.id, NEW.id), []),
        (("20200101T000000Z-00000000",), [NEW, LIVE, OLD]),
    ],
)
def test_only_what_is_newer_may_be_used(revoked: tuple[str, ...], left: list[object]) -> None:
    """What was made before a revoked version counts as gone with it."""
    assert usable(facts(NEW.id, *revoked), NOW) == left


def test_a_revoked_live_one_is_replaced_and_stays_served_meanwhile() -> None:
    """Nothing is wanted, so one is ordered; no older one is deployed in between."""
    given = facts(NEW.id, NEW.id)
    assert (wanted(given, NOW), to_serve(given, NOW)) == (None, None)
    decision = decide(given, terms())
    assert (decision.step, decision.reason) == (Step.ISSUE, Reason.REVOKED)


def test_a_revoked_old_one_changes_nothing() -> None:
    """The newest is wanted as before."""
    assert wanted(facts(NEW.id, OLD.id), NOW) == NEW


def test_serving_a_revoked_one_is_a_persons_business() -> None:
    """It is said, and the exit code says it as well."""
    health = assess(facts(NEW.id, NEW.id), NOW)
    assert (health.healthy, health.exit) == (False, PERSON)
    assert "is revoked" in health.why
