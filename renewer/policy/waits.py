"""What ends a wait: the command that does not wait, or why there is none. Pure."""

from renewer.model.decision import Reason, Step
from renewer.policy.authority import relevant
from renewer.policy.backoff import PAUSED, forced_again
from renewer.policy.checks import Facts, Need
from renewer.policy.wanted import best


def reason_of(facts: Facts, need: Need) -> Reason:
    """Why it is held back: what an authority asked for is nobody's to overrule."""
    asked = need.waits_for is not Reason.ORDER_BUDGET and _asked(facts, need)
    return Reason.AUTHORITY_ASKED_TO_WAIT if asked else need.waits_for


def way_out(facts: Facts, need: Need) -> str:
    """The end of a sentence that says until when something waits."""
    name = facts.situation.wish.name
    if need.step not in facts.terms.steps:
        return f"renewer run {name} takes every step"
    if need.waits_for in (Reason.DEPLOY_WINDOW, Reason.DEPLOY_AFTER):
        when = "before the window opens" if need.waits_for is Reason.DEPLOY_WINDOW else "at once"
        return f"{when}: renewer deploy {name}"
    if need.waits_for is Reason.ORDER_BUDGET and facts.terms.asked:
        return f"it was asked for too often by hand, too; in spite of that: renewer run --force {name}"
    if not _asked(facts, need):
        return f"without waiting: renewer run {name}"
    failure = relevant(facts.situation)[need.authority or ""]
    if failure.problem == PAUSED:
        return f"{need.authority} has paused the account for it, so no command helps: {failure.hint}"
    return f"{need.authority} asked to be left alone so long (Retry-After): no command shortens it"


def _asked(facts: Facts, need: Need) -> bool:
    if need.step not in (Step.ISSUE, Step.RESUME) or not facts.situation.failures:
        return False
    failure = relevant(facts.situation).get(need.authority or "")
    if failure is None:
        return False
    held = forced_again(failure, best(facts.situation, facts.terms.now), facts.terms.now)
    return held is not None and held > facts.terms.now
