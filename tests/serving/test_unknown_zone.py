"""A deploy window whose time zone this host does not know: the trouble of its certificate alone."""

from datetime import timedelta

import pytest

from tests.serving.bed import Bed
from tests.serving.issuer import DAY

LOST = "Sat 02:00-04:00 Atlantis/Main"


@pytest.fixture
def two(bed: Bed) -> Bed:
    """Two certificates with new versions to deploy; the window of one of them is of a lost zone."""
    for name in ("www", "shop"):
        bed.certificate(name)
        bed.renewed(name)
    bed.tables["certificate.www"]["deploy_window"] = LOST
    return bed


def test_the_other_certificate_goes_on(two: Bed) -> None:
    """One is deployed, the other waits, and is told with what to do."""
    before = {name: two.situation(name).live for name in ("www", "shop")}
    ended = two.cli("run")
    assert ended.code == 3, ended.err
    assert two.situation("shop").live != before["shop"]
    assert two.situation("www").live == before["www"]
    assert two.status("shop")["healthy"]
    assert not two.status("www")["healthy"]
    assert "knows no time zone 'Atlantis/Main'" in two.status("www")["why"]
    assert "Atlantis/Main" in two.cli("status").out


def test_it_is_deployed_in_an_emergency(two: Bed) -> None:
    """No window lets a certificate expire, and one of an unknown zone less than any."""
    live = two.situation("www").live_version
    assert live is not None
    span = min(max(live.leaf.lifetime / 20, DAY), live.leaf.lifetime / 4, 5 * DAY)
    assert two.plan("www").not_before == live.leaf.not_after - span
    two.clock.reach(live.leaf.not_after - span + timedelta(minutes=1))
    two.run()
    assert two.situation("www").live != live.id


def test_another_window_beside_it_counts(two: Bed) -> None:
    """The one that can be told opens as usual; the lost one is told all the same."""
    two.tables["certificate.www"]["deploy_window"] = [LOST, "00:00-24:00 UTC"]
    before = two.situation("www").live
    two.run()
    assert two.situation("www").live != before
    assert "never opens" in two.status("www")["why"]


def test_the_check_of_the_configuration_tells(two: Bed) -> None:
    """Whoever asks before the timer does hears of it."""
    ended = two.cli("config", "check")
    assert ended.code == 2
    assert "certificate.www.deploy_window" in ended.err
    assert "Atlantis/Main" in ended.err
