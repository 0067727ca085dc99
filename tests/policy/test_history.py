"""What the history of a certificate says: each thing once, from facts, whatever became of the run."""

from datetime import timedelta
from typing import Any

import msgspec
import pytest

from renewer.model.facts import DeploymentState, EndpointState, Situation, Standing
from renewer.policy.history import HistoryLine, untold
from tests.builders import (
    DAY,
    HOUR,
    MINUTE,
    NOW,
    absent,
    deployment,
    failure,
    hold,
    sighting,
    situation,
    version,
)

OLD = version(1, age=60 * DAY)
NEW = version(2, age=HOUR)


def _after(*steps: Situation) -> tuple[list[HistoryLine], Standing | None]:
    """What the last of these situations adds, and how things stand then; an hour between them."""
    standing: Standing | None = None
    events: tuple[HistoryLine, ...] = ()
    for number, step in enumerate(steps):
        events, standing = untold(step, standing, NOW + number * HOUR)
    return list(events), standing


def _names(events: list[HistoryLine]) -> list[str]:
    return [event.name.value for event in events]


def _renewed(**changes: Any) -> Situation:
    return situation(versions=(NEW, OLD), live=NEW, **changes)


def test_a_renewal_is_told_with_its_times() -> None:
    """When it was issued and seen, how long that took, and how long the old one would still have lived."""
    (event,), standing = _after(situation(versions=(OLD,)), _renewed())

    assert event.name == "renewed"
    assert event.details == {
        "version": NEW.id,
        "serial": NEW.leaf.serial,
        "not_after": NEW.leaf.not_after,
        "authority": "letsencrypt",
        "issued_at": NOW - HOUR,
        "seen_at": NOW - HOUR / 2,
        "seen": True,
        "took": 1800.0,
        "margin": (30 * DAY + HOUR / 2).total_seconds(),
    }
    assert standing is not None
    assert (standing.version, standing.renewed_at) == (NEW.id, NOW - HOUR / 2)


def test_nothing_is_told_twice() -> None:
    """Facts that were told are told no more; nothing needs to be written then."""
    events, standing = _after(situation(versions=(OLD,)), _renewed(), _renewed())
    _, before = _after(situation(versions=(OLD,)), _renewed())

    assert (events, standing) == ([], before)


def test_a_killed_run_is_made_up_for() -> None:
    """The run that renewed it never came to tell; the next one finds the same facts and tells."""
    _, standing = _after(situation(versions=(OLD,)))
    later, _ = untold(_renewed(), standing, NOW + 5 * DAY)

    assert _names(list(later)) == ["renewed"]


@pytest.mark.parametrize(
    ("age", "expected"),
    [
        pytest.param(HOUR, ["renewed"], id="the first certificate there is"),
        pytest.param(60 * DAY, [], id="one that lay there before there was a history"),
    ],
)
def test_without_a_history_only_what_is_young_is_news(age: timedelta, expected: list[str]) -> None:
    """After a lost ledger not every certificate counts as renewed."""
    events, standing = _after(situation(versions=(version(1, age=age),)))

    assert _names(events) == expected
    assert standing is not None
    assert standing.version is not None


def test_what_is_not_seen_yet_is_not_renewed() -> None:
    """Live and deployed, and the port still shows the old one: that is trouble, not a renewal."""
    stale = _renewed(sightings=(sighting(NEW, EndpointState.STALE, since=NOW),))
    events, _ = _after(situation(versions=(OLD,)), stale)

    assert _names(events) == ["failed"]


def test_a_series_of_failures_is_told_once_with_its_first() -> None:
    """The second failure in a row is no news; the recovery says how long it took."""
    first = situation(versions=(OLD,), failures=(failure(1, ago=2 * HOUR, text="no answer"),))
    third = situation(versions=(OLD,), failures=(failure(3, ago=2 * HOUR, text="still none"),))

    assert [(e.name.value, e.details) for e in _after(first)[0]] == [
        ("failed", {"since": NOW - 2 * HOUR, "error": "no answer"})
    ]
    assert _after(first, third)[0] == []
    events, standing = _after(first, third, _renewed())
    assert _names(events) == ["renewed", "recovered"]
    assert events[1].details == {
        "since": NOW - 2 * HOUR,
        "took": (4 * HOUR).total_seconds(),
        "error": "no answer",
    }
    assert standing is not None
    assert (standing.failing_since, standing.error) == (None, "")


def test_a_failure_that_hands_over_to_another_is_one_series() -> None:
    """The order works at last and the hook fails: nobody has recovered yet."""
    failing = situation(versions=(OLD,), failures=(failure(2),))
    hook = _renewed(deployments=(deployment(NEW, DeploymentState.FAILED),))

    assert _after(failing, hook)[0] == []
    assert _names(_after(failing, hook, _renewed())[0]) == ["renewed", "recovered"]


def test_a_first_issuance_that_fails_has_a_history_too() -> None:
    """Nothing is there yet, and that it fails is told; when it works at last, that is a renewal."""
    failing = absent(failures=(failure(1),))

    assert _names(_after(failing)[0]) == ["failed"]
    assert _names(_after(failing, situation(versions=(NEW,)))[0]) == ["renewed", "recovered"]
    assert _after(absent()) == ([], None)


def _turned_back() -> Situation:
    failed = deployment(NEW, DeploymentState.FAILED, turned_back=True, error="nginx: bad key")
    return situation(versions=(NEW, OLD), live=OLD, deployments=(failed,), sightings=(sighting(OLD, at=NOW),))


def test_a_deployment_that_was_turned_back_is_told_once() -> None:
    """Which version came back and why; the retry that fails alike is the same story."""
    events, _ = _after(situation(versions=(OLD,)), _turned_back())

    assert _names(events) == ["failed", "rolled-back"]
    assert events[1].details == {"from": NEW.id, "to": OLD.id, "error": "nginx: bad key"}
    assert _after(situation(versions=(OLD,)), _turned_back(), _turned_back())[0] == []


def test_a_version_that_was_never_live_was_not_turned_back() -> None:
    """Our own checks refuse it before the link turns: a failure, and nothing came back."""
    refused = msgspec.structs.replace(
        _turned_back(), deployments=(deployment(NEW, DeploymentState.FAILED, error="the chain is torn"),)
    )

    assert _names(_after(situation(versions=(OLD,)), refused)[0]) == ["failed"]


def test_a_person_who_goes_back_does_not_renew() -> None:
    """An older version everywhere is a rollback, with the reason that was given."""
    back = situation(versions=(NEW, OLD), live=OLD, holds=(hold(NEW),))
    events, standing = _after(_renewed(), back)

    assert _names(events) == ["rolled-back"]
    assert events[0].details == {"from": NEW.id, "to": OLD.id, "error": "the new one broke a client"}
    assert standing is not None
    assert standing.version == OLD.id


def test_without_an_older_version_there_is_no_margin() -> None:
    """The first certificate had nothing to be early for."""
    (event,), _ = _after(situation(versions=(NEW,)))

    assert event.details["margin"] is None


def test_the_older_version_on_disk_gives_the_margin_where_no_history_does() -> None:
    """A lost ledger does not lose how early a renewal was."""
    (event,), _ = _after(_renewed())

    assert event.details["margin"] == (30 * DAY + HOUR / 2).total_seconds()


def test_failures_of_another_wish_are_nobodys() -> None:
    """The config was mended: what failed before counts no more, and the series has ended."""
    failing = situation(versions=(OLD,), failures=(failure(3),))
    mended = situation(versions=(OLD,), failures=(failure(3, wish="another"),))

    assert _names(_after(failing, mended)[0]) == ["recovered"]


def test_what_cannot_be_read_is_trouble() -> None:
    """A damaged version fails the certificate, from now on."""
    events, _ = _after(situation(versions=(OLD,), fault="versions/x: the key does not belong to it"))

    assert [(e.name.value, e.details["since"]) for e in events] == [("failed", NOW)]


def test_a_moment_of_a_port_counts() -> None:
    """Seen at is when the last port showed it, not when the run began."""
    (event,), _ = _after(_renewed(sightings=(sighting(NEW, at=NOW - 3 * MINUTE),)))

    assert event.details["seen_at"] == NOW - 3 * MINUTE
