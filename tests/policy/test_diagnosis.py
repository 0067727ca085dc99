"""One answer to what is wrong: whoever tells of a certificate's health says the same, whatever the facts."""

from datetime import datetime

from hypothesis import example, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from renewer.model.facts import DeploymentState, RunRecord, Situation, Standing
from renewer.model.status import Status
from renewer.model.trouble import Kind
from renewer.policy import trouble
from renewer.policy.backoff import from_the_future
from renewer.policy.diagnosis import diagnose
from renewer.policy.due import arrange, decide
from renewer.policy.health import PERSON, RETRIED, WELL, assess, complete, exit_code
from renewer.policy.history import untold
from renewer.report import metrics, view
from renewer.report.documents import status_document
from tests.builders import DAY, HOUR, NOW, deployment, failure, situation, terms, version
from tests.marks import examples
from tests.policy.facts import MOMENTS, situations

EVERY = settings(deadline=None, max_examples=examples(200), derandomize=True)
FORCED = situation(failures=(failure(3, final=True),))


def _document(facts: Situation, now: datetime) -> Status:
    plan = arrange([decide(facts, terms(now=now))], now)
    return status_document(
        {facts.wish.name: facts}, plan, now=now, host=facts.host, orphans=(), last_run=None
    )


def _metric(text: str, name: str) -> float:
    line = next(one for one in text.splitlines() if one.startswith(f"renewer_certificate_{name}{{"))
    return float(line.rpartition(" ")[2])


@EVERY
@given(facts=situations(), now=MOMENTS | st.just(NOW))
@example(facts=FORCED, now=NOW)
def test_all_who_tell_of_it_agree(facts: Situation, now: datetime) -> None:
    """Healthy means no trouble, in status, its exit code, metrics, the page, notices and history."""
    troubles, health, document = diagnose(facts, now), assess(facts, now), _document(facts, now)
    (row,) = document.certificates
    run = RunRecord(certificate="", run="r", host=facts.host, at=now, ended_at=now, exit=health.exit)
    text = metrics.render(document, {}, run, HOUR)
    page = view.of(document, (), ran=now, patience=HOUR)
    standing = Standing(certificate="www", host=facts.host, failing_since=now - HOUR, error="no answer")
    told, after = untold(facts, standing, now)

    well = not troubles
    assert health.healthy is row.healthy is document.healthy is well
    assert health.exit == row.exit == document.exit == exit_code([health])
    assert (health.exit == WELL) is well
    assert health.exit in (WELL, RETRIED, PERSON)
    assert bool(_metric(text, "healthy")) is well
    assert _metric(text, "consecutive_failures") == row.failures == page.certificates[0].failures
    assert (page.certificates[0].tone == "ok") is well
    assert well is ("recovered" in [event.name.value for event in told])
    assert after is not None
    assert (after.failing_since is None) is well
    if well:
        assert (row.failures, row.last_error, row.why, row.hint) == (0, None, "", "")
        assert trouble.of(facts, now) == ()
        assert complete(facts) is not None


@EVERY
@given(facts=situations(), now=MOMENTS | st.just(NOW))
def test_what_is_named_no_more_or_lies_ahead_says_nothing(facts: Situation, now: datetime) -> None:
    """Without those records the diagnosis is the same."""
    hooks, authorities = dict(facts.hooks), set(facts.wish.authorities)
    relevant = replace(
        facts,
        deployments=tuple(
            one
            for one in facts.deployments
            if one.hook in hooks and (one.state is DeploymentState.DONE or not from_the_future(one.at, now))
        ),
        failures=tuple(
            one for one in facts.failures if one.authority in authorities and not from_the_future(one.at, now)
        ),
    )
    more = replace(
        facts,
        deployments=(*facts.deployments, deployment(version(), DeploymentState.FAILED, hook="gone", at=now)),
        failures=(*facts.failures, failure(9, authority="gone", at=now)),
    )

    assert diagnose(facts, now) == diagnose(relevant, now) == diagnose(more, now)


def test_a_failure_ends_with_the_need() -> None:
    """The same failure is trouble while the renewal is due, and none once what is there will do."""
    due = version(1, age=61 * DAY)
    failing = situation(versions=(due,), failures=(failure(2, ago=HOUR),))

    assert [one.kind for one in diagnose(failing, NOW)] == [Kind.ORDER]
    assert diagnose(FORCED, NOW) == ()
    renewed = version(2, age=HOUR)
    assert diagnose(situation(versions=(renewed, due), failures=failing.failures), NOW) == ()
