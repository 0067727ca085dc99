"""Which old versions may go."""

from renewer.model.facts import DeploymentState
from renewer.policy.health import KEPT, removable
from tests.builders import (
    DAY,
    NOW,
    deployment,
    hold,
    sighting,
    situation,
    version,
)

FRESH = version(1)

MANY = tuple(version(number, age=number * DAY) for number in range(1, 10))
FAKE = version(77, age=12 * DAY, lifetime=7 * DAY, placeholder=True)


def test_five_old_versions_are_kept() -> None:
    """The live one and the five before it."""
    assert removable(situation(versions=MANY), NOW) == tuple(one.id for one in MANY[KEPT + 1 :])


def test_the_placeholder_goes_with_the_first_real_version() -> None:
    """Once that is live and seen everywhere."""
    assert removable(situation(versions=(FRESH, FAKE)), NOW) == (FAKE.id,)
    assert removable(situation(versions=(FRESH, FAKE), live=FAKE), NOW) == ()


def test_what_a_port_serves_is_kept() -> None:
    """A server that still has it open may want to load it again."""
    served = sighting(MANY[8], address="192.0.2.9", endpoint="other.example.org:443")
    facts = situation(versions=MANY, sightings=(sighting(MANY[0]), served))

    assert MANY[8].id not in removable(facts, NOW)


def test_nothing_goes_while_the_new_one_is_not_everywhere() -> None:
    """Then an older one is the last good one."""
    failed = (deployment(MANY[0], DeploymentState.FAILED),)

    assert removable(situation(versions=MANY, deployments=failed), NOW) == ()
    assert removable(situation(versions=MANY, sightings=()), NOW) == ()


def test_the_live_version_is_kept_after_a_rollback() -> None:
    """However old it is."""
    facts = situation(versions=MANY, live=MANY[8], holds=tuple(hold(one) for one in MANY[:8]))

    assert MANY[8].id not in removable(facts, NOW)


def test_what_cannot_be_read_goes_too() -> None:
    """Nobody can serve it; but not before the live version is everywhere."""
    broken = (("20261101T000000Z-00000001", "it is damaged"),)
    assert removable(situation(versions=(FRESH,), broken=broken), NOW) == (broken[0][0],)
    assert removable(situation(versions=(FRESH,), broken=broken, sightings=()), NOW) == ()
