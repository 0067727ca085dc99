"""Many certificates at once: how many orders are in flight, and that none is held up by its number."""

import threading
from collections.abc import Callable
from typing import Any

import pytest

from renewer.issue import Issuer
from renewer.model.decision import Decision, Outcome
from renewer.model.facts import Situation
from tests.e2e.conftest import SiteFactory

SIX: dict[str, dict[str, Any]] = {f"c{number}": {"hooks": [], "endpoints": []} for number in range(6)}


@pytest.fixture
def in_flight(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many orders there were at each beginning of one; each of them takes a moment longer than usual."""
    guard, seen, now = threading.Lock(), [], [0]
    obtain: Callable[[Issuer, Situation, Decision], Outcome] = Issuer.obtain
    others = threading.Event()

    def counted(issuer: Issuer, situation: Situation, decision: Decision) -> Outcome:
        with guard:
            now[0] += 1
            seen.append(now[0])
        others.wait(0.05)
        try:
            return obtain(issuer, situation, decision)
        finally:
            with guard:
                now[0] -= 1

    monkeypatch.setattr(Issuer, "obtain", counted)
    return seen


def test_workers_are_orders_in_flight(make_site: SiteFactory, in_flight: list[int]) -> None:
    """`[agent] workers` is used, and not exceeded."""
    site = make_site(certificates=SIX, agent={"workers": 4})
    assert site.run().exit == 0
    assert len(in_flight) == 6
    assert max(in_flight) == 4


def test_authority_has_a_bound_of_its_own(make_site: SiteFactory, in_flight: list[int]) -> None:
    """`workers` of an authority's table holds for the orders there, whatever the agent would do."""
    site = make_site(certificates=SIX, agent={"workers": 6}, authority={"workers": 2})
    assert site.run().exit == 0
    assert len(in_flight) == 6
    assert max(in_flight) == 2
