"""Which version is wanted, and which stands in for it."""

from typing import Any

import pytest
from msgspec.structs import replace

from renewer.model.desired import KeyType
from renewer.model.facts import Asked, Situation, Version
from renewer.model.names import Identifier
from renewer.policy.wanted import best, fits, order_fits, to_serve, wanted
from tests.builders import DAY, HOUR, NAMES, NOW, WISH, absent, hold, order, situation, version, wish

FRESH = version(1)
OLDER = version(2, age=40 * DAY)
URGENT = version(3, age=87 * DAY)
DEAD = version(4, age=91 * DAY)
PLACEHOLDER = version(5, age=HOUR, lifetime=7 * DAY, placeholder=True, authority=None)
UNKNOWN = version(6, authority=None, account=None)


def _all(*versions: Version, **changes: Any) -> Situation:
    return situation(versions=versions, **changes)


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        pytest.param(_all(FRESH, OLDER), FRESH, id="The newest is wanted"),
        pytest.param(_all(FRESH, OLDER, live=OLDER), FRESH, id="The newest is wanted though another is live"),
        pytest.param(absent(), None, id="Where nothing is, nothing is wanted"),
        pytest.param(_all(DEAD), None, id="An expired one is not wanted"),
        pytest.param(_all(PLACEHOLDER), None, id="A placeholder is not wanted"),
        pytest.param(_all(PLACEHOLDER, OLDER), OLDER, id="A placeholder hides nothing"),
        pytest.param(
            _all(FRESH, OLDER, holds=(hold(FRESH),)), FRESH, id="A held one need not be ordered again"
        ),
        pytest.param(
            _all(UNKNOWN, wish=wish(profile="tlsserver")),
            UNKNOWN,
            id="Where nobody knows whence it came, that is not held against it",
        ),
        pytest.param(
            _all(FRESH, wish=wish(authorities=("google", "letsencrypt"))),
            FRESH,
            id="Any authority that is named will do",
        ),
        pytest.param(
            _all(FRESH, wish=wish(authorities=("google",))),
            None,
            id="An authority that is not named will not",
        ),
        pytest.param(
            _all(FRESH, wish=wish(names=tuple(reversed(NAMES)))), FRESH, id="The order of names is nothing"
        ),
        pytest.param(
            _all(FRESH, wish=wish(names=NAMES[:1])), None, id="A name too many is not what was asked for"
        ),
    ],
)
def test_which_version_is_wanted(facts: Situation, expected: Version | None) -> None:
    """The newest that fits and is not expired."""
    assert wanted(facts, NOW) == expected


OTHER = version(7, age=20 * DAY, profile="tlsserver")


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        pytest.param(_all(FRESH, OLDER, holds=(hold(FRESH),)), OLDER, id="A held one is passed over"),
        pytest.param(_all(FRESH, holds=(hold(FRESH),)), FRESH, id="A held one is better than none"),
        pytest.param(
            _all(FRESH, OTHER, OLDER, holds=(hold(OTHER), hold(OLDER))),
            FRESH,
            id="One that was issued after the rollback ends it",
        ),
        pytest.param(
            _all(FRESH, OLDER, holds=(hold(FRESH),), wish=wish(key=KeyType.ECDSA_P256, names=NAMES[:1])),
            OLDER,
            id="What was gone back to need not be what the config asks for now",
        ),
        pytest.param(
            _all(FRESH, OLDER, DEAD, holds=(hold(FRESH), hold(OLDER))),
            FRESH,
            id="Nothing goes back to an expired one",
        ),
        pytest.param(
            _all(FRESH, OLDER, holds=(hold(FRESH),), revoked=(FRESH.id,)),
            None,
            id="Nothing goes back behind a revoked one",
        ),
        pytest.param(
            _all(FRESH, URGENT, holds=(hold(FRESH),)), FRESH, id="In an emergency a hold counts no more"
        ),
        pytest.param(
            _all(FRESH, OLDER, URGENT, holds=(hold(FRESH), hold(OLDER))),
            FRESH,
            id="In an emergency the newest of all that are held is taken",
        ),
        pytest.param(
            _all(FRESH, PLACEHOLDER, holds=(hold(FRESH),)), FRESH, id="Nothing goes back to a placeholder"
        ),
    ],
)
def test_what_is_served_after_a_rollback(facts: Situation, expected: Version | None) -> None:
    """The newest behind the holds, until a newer one is issued or an emergency begins."""
    assert to_serve(facts, NOW) == expected


def test_an_authority_that_is_elsewhere_now_is_another() -> None:
    """What staging issued is not what production would: a changed directory URL asks for a new one."""
    asked = (Asked(authority="letsencrypt", wish=WISH, directory="https://production.example/directory"),)
    staged = replace(FRESH, directory="https://staging.example/directory")
    produced = replace(FRESH, directory="https://production.example/directory")

    assert wanted(_all(staged, asked=asked), NOW) is None
    assert wanted(_all(produced, asked=asked), NOW) == produced
    assert wanted(_all(FRESH, asked=asked), NOW) == FRESH  # made before this was written down


def test_a_profile_counts_at_its_own_authority_only() -> None:
    """What is asked of one authority says nothing of another's certificates."""
    asked = (
        Asked(authority="letsencrypt", wish=WISH, profile="tlsserver"),
        Asked(authority="google", wish=WISH),
    )
    facts = situation(wish=wish(authorities=("letsencrypt", "google")), asked=asked)

    assert not fits(version(authority="letsencrypt", profile="classic"), facts)
    assert fits(version(authority="letsencrypt", profile="tlsserver"), facts)
    assert fits(version(authority="google", profile=None), facts)


def test_a_key_of_an_unknown_kind_is_not_held_against_it() -> None:
    """A key type that we cannot name cannot be told from the one that is asked for."""
    strange = replace(FRESH, leaf=replace(FRESH.leaf, key=None))

    assert fits(strange, situation())
    assert not fits(replace(FRESH, leaf=replace(FRESH.leaf, key=KeyType.RSA_2048)), situation())


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        pytest.param(_all(FRESH), FRESH, id="What is wanted"),
        pytest.param(
            _all(OLDER, wish=wish(key=KeyType.RSA_2048)), OLDER, id="What is live while nothing is wanted"
        ),
        pytest.param(_all(DEAD), DEAD, id="What is live though it has expired"),
        pytest.param(_all(PLACEHOLDER), None, id="Nothing when it is a placeholder"),
    ],
)
def test_what_visitors_see_meanwhile(facts: Situation, expected: Version | None) -> None:
    """A wish that changed does not make the served certificate worthless."""
    assert best(facts, NOW) == expected


def test_what_is_wanted_is_what_is_served() -> None:
    """Without a degraded certificate and without holds the two are the same."""
    for facts in (_all(FRESH, OLDER), absent(), _all(DEAD)):
        assert to_serve(facts, NOW) == wanted(facts, NOW)


def test_a_degraded_certificate_steps_in_at_the_very_end() -> None:
    """It is served once the full one has less than two wakes left, or is gone."""
    part = version(7, age=HOUR, degraded=True)
    part = replace(part, leaf=replace(part.leaf, names=NAMES[:1]))
    ending = version(8, age=90 * DAY - 3 * HOUR)
    facts = _all(part, ending, live=ending)

    assert wanted(facts, NOW) == ending
    assert to_serve(facts, NOW) == ending
    assert to_serve(facts, NOW + HOUR) == ending
    assert to_serve(facts, NOW + HOUR + HOUR / 2) == part
    assert to_serve(facts, NOW + 4 * HOUR) == part
    assert to_serve(_all(FRESH, part), NOW) == FRESH


def test_which_order_still_fits() -> None:
    """Names, key, authority and profile as they are asked for now."""
    facts = absent()

    assert order_fits(order(), facts)
    assert order_fits(order(identifiers=tuple(reversed(NAMES))), facts)
    assert not order_fits(order(identifiers=(*NAMES, Identifier.parse("more.example.org"))), facts)
    assert not order_fits(order(identifiers=NAMES[:1]), facts)
    assert not order_fits(order(key_type=KeyType.ECDSA_P384), facts)
    assert not order_fits(order(authority="google"), facts)
