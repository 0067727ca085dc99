"""What force, redeploy and the like mean after a step: the laws of `policy/terms.py`."""

from hypothesis import given
from hypothesis import strategies as st

from renewer.model.decision import Outcome, Result, Step
from renewer.policy.due import decide
from renewer.policy.terms import ALL_STEPS, Acted, Terms, after, for_batch, for_the_next_run
from tests.builders import absent, terms
from tests.policy.facts import any_terms
from tests.policy.test_laws import LAWS

_STEPS = st.sampled_from(sorted(ALL_STEPS))


def _outcome(step: Step, result: Result) -> Outcome:
    return Outcome(certificate="www", step=step, result=result, detail="so it went")


@st.composite
def acts(draw: st.DrawFn) -> Acted:
    """What a run may have done for a certificate."""
    acted = Acted()
    for step, result in draw(st.lists(st.tuples(_STEPS, st.sampled_from(Result)), max_size=6)):
        acted = acted.begins(step).ended(_outcome(step, result))
    return acted


@LAWS
@given(under=any_terms(), acted=acts(), more=acts(), orders=st.booleans())
def test_what_was_done_only_takes_away(under: Terms, acted: Acted, more: Acted, *, orders: bool) -> None:
    """The more a run has done, the less overrules a wait, and no step comes back that it may not take."""
    longer = Acted(
        taken=acted.taken + more.taken, failed=acted.failed | more.failed, issued=acted.issued or more.issued
    )
    before, now = after(under, acted, orders=orders), after(under, longer, orders=orders)

    assert now.steps <= before.steps <= under.steps
    for flag in ("force", "new_key", "redeploy", "asked", "urged"):
        assert getattr(now, flag) <= getattr(before, flag) <= getattr(under, flag)
    assert under.begun <= before.begun <= now.begun


@LAWS
@given(under=any_terms(), acted=acts())
def test_each_wish_counts_until_its_own_step(under: Terms, acted: Acted) -> None:
    """What asks for an order is used up by one, what asks for a deployment by one of these."""
    now = after(under, acted)
    ordered = bool({Step.ISSUE, Step.RESUME} & set(acted.taken))
    deployed = Step.DEPLOY in acted.taken

    assert (now.force, now.new_key, now.asked) == (
        under.force and not ordered,
        under.new_key and not ordered,
        under.asked and not ordered,
    )
    assert (now.redeploy, now.urged) == (under.redeploy and not deployed, under.urged and not deployed)
    assert now.begun == (under.begun or bool(acted.taken))


@LAWS
@given(under=any_terms(), acted=acts())
def test_a_certificate_is_issued_once_a_run(under: Terms, acted: Acted) -> None:
    """Once it was issued, no second order follows in the run; what cannot be installed is not tried again."""
    issued = acted.begins(Step.ISSUE).ended(_outcome(Step.ISSUE, Result.DONE))
    refused = acted.begins(Step.INSTALL).ended(_outcome(Step.INSTALL, Result.FAILED))

    assert Step.ISSUE not in after(under, issued).steps
    assert Step.INSTALL not in after(under, refused).steps
    assert not {Step.ISSUE, Step.RESUME} & after(under, acted, orders=False).steps


@LAWS
@given(acted=acts(), step=_STEPS)
def test_who_asked_nobody_has_not_begun(acted: Acted, step: Step) -> None:
    """A step that asked nothing of an authority counts as not taken."""
    assert acted.begins(step).asked_nobody(step) == acted


@LAWS
@given(under=any_terms(), batch=st.lists(acts(), min_size=1, max_size=4))
def test_a_batch_is_asked_for_once(under: Terms, batch: list[Acted]) -> None:
    """One batch shares its terms: a deployment is asked for only while none of them had one."""
    together = for_batch(under, batch)
    alone = [after(under, one) for one in batch]

    assert together.redeploy == all(one.redeploy for one in alone)
    assert together.urged == any(one.urged for one in alone)
    assert together.begun == all(Step.DEPLOY in one.taken for one in batch)


@LAWS
@given(under=any_terms())
def test_the_next_run_is_asked_for_nothing(under: Terms) -> None:
    """It may take every step, and nobody overrules anything."""
    following = for_the_next_run(under)

    assert following.steps == ALL_STEPS
    assert (following.force, following.new_key, following.redeploy) == (False, False, False)


def test_force_orders_once() -> None:
    """A forced order is decided, and after it no other."""
    facts, under = absent(), terms(force=True)
    issued = Acted().begins(Step.ISSUE).ended(_outcome(Step.ISSUE, Result.DONE))

    assert decide(facts, under).step is Step.ISSUE
    assert decide(facts, after(under, issued)).step is not Step.ISSUE
