"""`renewer run NAME`: a person wants it now, so no wait counts but what others have a right to."""

from datetime import timedelta

import pytest

from renewer.model.decision import Reason, Step
from renewer.policy.due import decide
from renewer.policy.terms import Terms
from tests.builders import DAY, HOUR, MINUTE, NOW, absent, failure, situation, version, wish
from tests.faults.host import Host
from tests.servers import faultproxy as faults
from tests.servers.faultproxy import FaultProxy


def test_a_wait_after_a_failure_is_overruled(host: Host, proxy: FaultProxy) -> None:
    """After two failures a run waits; one for the name asks at once, and a failing one is made once."""
    proxy.inject(faults.Answer(500), path=faults.NEW_ORDER, times=2)
    host.run()
    assert host.decision().step is Step.WAIT
    asked = len(proxy.requests(faults.NEW_ORDER))
    report = host.run(only=frozenset({"www"}), asked=True)
    assert (report.exit, len(proxy.requests(faults.NEW_ORDER))) == (1, asked + 1)
    report = host.run(only=frozenset({"www"}), asked=True)
    assert report.exit == 0
    assert host.live().leaf.names


def test_what_the_authority_asked_for_is_kept(host: Host, proxy: FaultProxy) -> None:
    """Retry-After is not overruled by anybody."""
    limited = faults.problem("rateLimited", 429, headers={"Retry-After": "7200"})
    proxy.inject(limited, path=faults.NEW_ORDER, times=None)
    host.run()
    asked = len(proxy.requests(faults.NEW_ORDER))
    report = host.run(only=frozenset({"www"}), asked=True)
    assert (report.exit, len(proxy.requests(faults.NEW_ORDER))) == (1, asked)
    host.clock.forward(timedelta(hours=3))
    proxy.clear()
    assert host.run(only=frozenset({"www"}), asked=True).exit == 0


@pytest.mark.parametrize(
    ("failures", "asked_at"),
    [
        ((failure(1, ago=MINUTE),), "letsencrypt"),
        ((failure(5, ago=MINUTE),), "letsencrypt"),
        ((failure(5, ago=MINUTE, not_before=NOW + DAY),), None),
        ((failure(1, ago=MINUTE, problem="paused", final=True, not_before=NOW + DAY),), None),
    ],
)
def test_which_waits_a_person_overrules(failures: tuple[object, ...], asked_at: str | None) -> None:
    """Backoff is ours to overrule; Retry-After and a paused account are not."""
    facts = absent(failures=failures)
    decision = decide(facts, Terms(now=NOW, wake=HOUR, asked=True))
    assert (decision.authority if decision.step is Step.ISSUE else None) == asked_at


def test_nothing_is_ordered_that_is_not_due() -> None:
    """Asking is no force: what is not due is kept."""
    facts = situation(wish=wish(), versions=(version(age=DAY),))
    decision = decide(facts, Terms(now=NOW, wake=HOUR, asked=True, urged=True))
    assert (decision.step, decision.reason) == (Step.KEEP, Reason.NOT_DUE)
