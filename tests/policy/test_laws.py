"""The laws of the policy, for any facts: total, monotone, alive, idempotent, fair."""

from datetime import datetime, timedelta

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from renewer.model.decision import Step
from renewer.model.facts import DeploymentState, OrderState, Situation
from renewer.policy.deploying import hooks_to_run
from renewer.policy.due import arrange, decide
from renewer.policy.freshness import to_ask, to_look
from renewer.policy.health import PERSON, RETRIED, WELL, assess, complete, removable
from renewer.policy.terms import Terms
from renewer.policy.wanted import to_serve, wanted
from renewer.report.documents import plan_document, status_document
from tests.builders import DAY, HOUR, NOW, deployment, failure, sighting, situation, terms, version, wish
from tests.marks import examples
from tests.policy.facts import LIFETIMES, WAKES, any_terms, situations, windows

LAWS = settings(
    phases=(Phase.explicit, Phase.generate, Phase.shrink),
    deadline=None,
    max_examples=examples(120),
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow],
)


# --- total --------------------------------------------------------------------------------------------------


@LAWS
@given(facts=situations(), under=any_terms())
def test_total(facts: Situation, under: Terms) -> None:
    """`decide` never raises, takes only steps that it may, and gives its reason."""
    decision = decide(facts, under)

    assert decision.step in under.steps | {Step.WAIT, Step.KEEP}
    assert decision.because
    assert decision == decide(facts, under)


@LAWS
@given(facts=situations(), under=any_terms())
def test_the_rest_of_the_policy_is_total_too(facts: Situation, under: Terms) -> None:
    """Health, freshness, pruning and the documents stand any facts."""
    health = assess(facts, under.now)
    plan = arrange([decide(facts, under)], under.now)
    to_ask(facts, under.now)
    to_look(facts, under.now, HOUR, under.wake)
    gone = removable(facts, under.now)
    document = status_document(
        {facts.wish.name: facts}, plan, now=under.now, host=facts.host, orphans=(), last_run=None
    )

    assert health.exit in (WELL, RETRIED, PERSON)
    assert health.healthy == (health.exit == WELL)
    assert document.exit == health.exit
    assert plan_document(plan).steps[0].step == plan.decisions[0].step
    assert not {facts.live, getattr(wanted(facts, under.now), "id", None)} & set(gone)


@LAWS
@given(facts=situations(), under=any_terms())
def test_a_deployment_has_something_to_do(facts: Situation, under: Terms) -> None:
    """DEPLOY is decided only if the link must turn or a hook is to be run."""
    if decide(facts, under).step is not Step.DEPLOY:
        return
    version_to_serve = to_serve(facts, under.now, anyway=under.redeploy) or facts.live_version

    assert version_to_serve is not None
    asked = under.redeploy  # by a person, who sees that no hook is named
    assert version_to_serve.id != facts.live or asked or hooks_to_run(facts, version_to_serve, under)


# --- monotone -----------------------------------------------------------------------------------------------


def _applies(facts: Situation, under: Terms) -> bool:
    """Whether it is to be issued, now or as soon as the backoff is over."""
    decision = decide(facts, under)
    return Step.ISSUE in (decision.step, decision.held)


@LAWS
@given(data=st.data(), lifetime=LIFETIMES, wake=WAKES, renew_before=st.none() | LIFETIMES)
def test_monotone(
    data: st.DataObject, lifetime: timedelta, wake: timedelta, renew_before: timedelta | None
) -> None:
    """For a fixed wake, once due by time alone, it stays due until a fact changes."""
    one = version(lifetime=lifetime, age=timedelta(0))
    facts = situation(
        versions=(one,),
        wish=wish(renew_before=renew_before),
        windows=data.draw(st.just(()) | st.tuples(windows(one))),
    )
    moments = sorted(data.draw(st.lists(st.floats(0, 1.3), min_size=2, max_size=8)))
    due = [_applies(facts, terms(now=NOW + lifetime * share, wake=wake)) for share in moments]

    assert due == sorted(due)


@LAWS
@given(
    lifetime=LIFETIMES,
    count=st.integers(1, 20),
    failed_at=st.floats(0, 1.2),
    moments=st.lists(st.floats(0, 0.4), min_size=2, max_size=6),
    final=st.booleans(),
)
def test_monotone_after_failures(
    lifetime: timedelta,
    count: int,
    failed_at: float,
    moments: list[float],
    final: bool,  # noqa: FBT001  hypothesis hands it over
) -> None:
    """A backoff that is over does not begin again by time alone, not even by the expiry."""
    one, at = version(lifetime=lifetime, age=timedelta(0)), NOW + lifetime * failed_at
    facts = situation(versions=(one,), failures=(failure(count, at=at, final=final),))
    steps = [decide(facts, terms(now=at + lifetime * share)).step for share in sorted(moments)]
    issuing = [step is Step.ISSUE for step in steps]

    assert issuing == sorted(issuing)


# --- alive --------------------------------------------------------------------------------------------------


@LAWS
@given(data=st.data(), lifetime=LIFETIMES, wakes=st.floats(4, 300), offset=st.floats(0, 1))
def test_alive(data: st.DataObject, lifetime: timedelta, wakes: float, offset: float) -> None:
    """For a wake of at most a quarter of the lifetime some wake renews before expiry, whatever the window."""
    one, wake = version(lifetime=lifetime, age=timedelta(0)), lifetime / wakes
    facts = situation(versions=(one,), windows=data.draw(st.just(()) | st.tuples(windows(one))))
    now = NOW + wake * offset
    while decide(facts, terms(now=now, wake=wake)).step is not Step.ISSUE:
        now += wake
        assert now < one.leaf.not_after


@LAWS
@given(
    lifetime=LIFETIMES,
    wakes=st.floats(4, 300),
    outage=st.floats(0, 0.2),
    retry_after=st.none() | st.timedeltas(timedelta(0), 400 * DAY),
)
def test_alive_through_an_outage(
    lifetime: timedelta, wakes: float, outage: float, retry_after: timedelta | None
) -> None:
    """An authority that is down for a fifth of the lifetime when asked first does not let it expire.

    Whatever Retry-After it sends: at most half of what is left is waited for, again and again.
    """
    wakes = max(wakes, 20.0)
    one, wake = version(lifetime=lifetime, age=timedelta(0)), lifetime / wakes
    facts, now, back = situation(versions=(one,)), NOW, None
    while True:
        decision = decide(facts, terms(now=now, wake=wake))
        if decision.step is Step.ISSUE:
            back = back or now + lifetime * outage
            if now >= back:
                return
            before = facts.failures[0].count if facts.failures else 0
            asked = None if retry_after is None else now + retry_after
            facts = replace(facts, failures=(failure(before + 1, at=now, not_before=asked),))
        now += wake
        assert now < one.leaf.not_after


# --- idempotent ---------------------------------------------------------------------------------------------


def _done(facts: Situation, step: Step, now: datetime, number: int) -> Situation:
    """The facts after a step that went well."""
    fresh = version(number, at=now, age=timedelta(0), authority=facts.wish.authorities[0])
    fresh = replace(
        fresh,
        profile=facts.wish.profile,
        leaf=replace(fresh.leaf, names=facts.wish.names, key=facts.wish.key),
    )
    match step:
        case Step.RESUME:
            assert facts.order is not None
            return replace(facts, order=replace(facts.order, state=OrderState.ISSUED))
        case Step.ISSUE | Step.INSTALL:
            return replace(facts, order=None, failures=(), versions=(fresh, *facts.versions))
        case Step.DEPLOY:
            live = to_serve(facts, now) or facts.live_version
            assert live is not None
            ran = hooks_to_run(facts, live, terms(now=now))
            kept = tuple(one for one in facts.deployments if one.hook not in ran)
            return replace(
                facts,
                live=live.id,
                deployments=kept
                + tuple(deployment(live, DeploymentState.DONE, hook=name, at=now) for name in ran),
                copies=tuple(replace(copy, version=live.id, intact=True) for copy in facts.copies),
                sightings=_seen(facts, live.id, now),
            )
        case _:
            return replace(facts, sightings=_seen(facts, facts.live or "", now))


def _seen(facts: Situation, live: str, now: datetime) -> tuple:  # type: ignore[type-arg]
    of = next(one for one in facts.versions if one.id == live)
    return tuple(sighting(of, endpoint=str(one), at=now) for one in facts.wish.endpoints)


@LAWS
@given(facts=situations())
def test_idempotent(facts: Situation) -> None:
    """Whatever was found, if every step goes well a few of them lead to KEEP, and there it stays."""
    now = NOW
    for number in range(100, 116):
        decision = decide(facts, terms(now=now))
        if decision.step is Step.KEEP:
            break
        if decision.step is Step.WAIT:
            assert decision.not_before is not None
            now = max(now, decision.not_before)
        else:
            facts = _done(facts, decision.step, now, number)
    else:
        raise AssertionError(f"no end: {decision}")

    assert decide(facts, terms(now=now)) == decision
    assert complete(facts) is not None or not facts.wish.endpoints


# --- fair ---------------------------------------------------------------------------------------------------


@LAWS
@given(data=st.data(), several=st.lists(situations(), min_size=2, max_size=3), under=any_terms())
def test_fair(data: st.DataObject, several: list[Situation], under: Terms) -> None:
    """The plan ignores the order of its input."""
    named = [replace(one, wish=replace(one.wish, name=f"c{number}")) for number, one in enumerate(several)]
    decisions = [decide(facts, under) for facts in named]

    assert arrange(data.draw(st.permutations(decisions)), NOW) == arrange(decisions, NOW)
