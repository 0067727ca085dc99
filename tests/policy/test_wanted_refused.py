"""What clients refuse does not replace a good one: the decision, for arbitrary facts."""

from datetime import datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from renewer.model.facts import Situation
from renewer.model.trouble import PERSON, Kind
from renewer.policy import trouble
from renewer.policy.diagnosis import diagnose
from renewer.policy.wanted import preferred, to_serve, wanted, withheld
from tests.builders import DAY, HOUR, NOW, acceptance, situation, version
from tests.policy.facts import MOMENTS, situations
from tests.policy.test_laws import LAWS

GOOD, BAD = version(1, age=30 * DAY), version(2, age=DAY)


def refused(**changes: object) -> Situation:
    """A good one is live, a refused one lies beside it."""
    judged = (acceptance(GOOD, accepted=True), acceptance(BAD, accepted=False))
    return situation(versions=(BAD, GOOD), live=GOOD, **({"acceptances": judged} | changes))


def test_the_good_one_stays() -> None:
    """The refused one is wanted, so that nothing is ordered, and not served."""
    assert to_serve(refused(), NOW) == GOOD
    assert wanted(refused(), NOW) == BAD
    assert withheld(refused(), NOW) == BAD


def test_unless_it_is_not_good() -> None:
    """Refused itself, not judged, revoked, degraded, expired or nearly so: then it is replaced."""
    both = (acceptance(GOOD, accepted=False), acceptance(BAD, accepted=False))
    nobody = (acceptance(GOOD, accepted=None), acceptance(BAD, accepted=False))
    degraded = replace(GOOD, degraded=True)
    for of in (
        refused(acceptances=both),
        refused(acceptances=nobody),
        refused(acceptances=()),
        refused(revoked=(GOOD.id,)),
        replace(refused(), versions=(BAD, degraded)),
    ):
        assert to_serve(of, NOW) == BAD
    assert to_serve(refused(), GOOD.leaf.not_after - 2 * HOUR + timedelta(seconds=1)) == BAD
    assert to_serve(refused(), GOOD.leaf.not_after - 2 * HOUR) == GOOD
    assert to_serve(refused(), NOW, anyway=True) == BAD


def test_it_is_told() -> None:
    """A person must act, and hears of it once for each version."""
    (found,) = [one for one in diagnose(refused(), NOW) if one.kind is Kind.REFUSED]
    assert found.exit == PERSON
    (matter,) = [one for one in trouble.of(refused(), NOW) if one.subject == "refused"]
    assert matter.mark == BAD.id


@LAWS
@given(facts=situations(), now=MOMENTS | st.just(NOW))
def test_never_later_than_the_last_two_wakes(facts: Situation, now: datetime) -> None:
    """Whatever is withheld, what is live meanwhile is valid for more than two wakes."""
    if withheld(facts, now) is None:
        assert to_serve(facts, now) == preferred(facts, now)
        return
    live = facts.live_version
    assert live is not None
    assert to_serve(facts, now) == live
    assert live.leaf.not_after - now >= 2 * facts.wake
