"""What a certificate needs next: an ordered tuple of named checks, the first that may act now wins.

The tracks are independent: a deployment that waits never delays the next issue, nor one hook another.
"""

from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime

import msgspec

from renewer.model.decision import Decision, Outcome, Plan, Reason, Result, Step, about
from renewer.model.facts import Situation
from renewer.policy import deploying, issuing
from renewer.policy.authority import choose, relevant
from renewer.policy.backoff import PAUSED, forced_again
from renewer.policy.budget import Withheld, next_order
from renewer.policy.checks import Facts, Need, window_of
from renewer.policy.terms import Terms, for_the_next_run
from renewer.policy.wanted import best, to_serve, wanted
from renewer.policy.window import renewal_moment
from renewer.words import stamp

Check = Callable[[Facts], Need | None]

CHECKS: tuple[Check, ...] = (
    issuing.an_order_is_open,
    issuing.it_is_issued_and_not_installed,
    deploying.the_wanted_version_is_not_live,
    deploying.a_hook_is_pending,
    deploying.a_copy_is_pending,
    deploying.a_port_serves_an_older_one,
    deploying.somebody_asks_for_deployment,
    issuing.a_new_key_is_asked_for,
    issuing.nothing_is_wanted,
    issuing.the_wanted_version_is_due,
    issuing.the_state_is_older,
    issuing.clients_refuse_the_newest,
    issuing.it_ends_soon_and_some_names_fail,
    deploying.an_endpoint_was_not_seen,
)


def decide(situation: Situation, terms: Terms) -> Decision:
    """What to do next for one certificate, and why. Total: never raises."""
    if situation.unread:  # ordering for want of knowledge would never end
        return Decision(
            certificate=situation.wish.name,
            step=Step.WAIT,
            reason=Reason.UNREADABLE,
            because=situation.fault or "what is known of it cannot be read",
        )
    facts = Facts(
        situation=situation,
        terms=terms,
        wanted=wanted(situation, terms.now),
        serve=to_serve(situation, terms.now, anyway=terms.redeploy),
        live=situation.live_version,
        choice=choose(
            situation,
            terms.now,
            _budget(situation, terms),
            asked=terms.asked or terms.force,
            begun=terms.begun,
            passed_over=terms.passed_over,
        ),
    )
    needs = [need for check in CHECKS if (need := check(facts))]
    for index, need in enumerate(needs):
        if need.step in terms.steps and need.may_act(terms):
            return _act(facts, need, needs[index + 1 :])
    return _wait(facts, needs) if needs else _keep(facts)


def _budget(situation: Situation, terms: Terms) -> Callable[[str], Withheld | None]:
    call = issuing.calling(situation, terms)
    return lambda authority: next_order(situation, authority, call)


def with_next_attempts(
    outcomes: Iterable[Outcome], situations: Mapping[str, Situation], terms: Terms
) -> tuple[Outcome, ...]:
    """What did not succeed, with the moment at which it is tried next, if it is to be.

    That is the end of its wait, or else the next run.
    """
    terms = for_the_next_run(terms)
    found = []
    for one in outcomes:
        situation = situations.get(one.certificate)
        if situation is not None and one.result is not Result.DONE and one.next_attempt is None:
            decision = decide(situation, terms)
            moment = None if decision.step is Step.KEEP else decision.not_before or terms.now + terms.wake
            found.append(msgspec.structs.replace(one, next_attempt=moment))
        else:
            found.append(one)
    return tuple(found)


def _act(facts: Facts, need: Need, rest: list[Need]) -> Decision:
    sees = bool(facts.situation.wish.endpoints)
    follow = [step for step in about(need.step).then if step is not Step.LOOK or sees]
    follow += [other.step for other in rest if other.step is Step.ISSUE and need.step is not Step.RESUME]
    return Decision(
        certificate=facts.situation.wish.name,
        step=need.step,
        reason=need.reason,
        because=need.because,
        authority=need.authority,
        then=tuple(follow),
        names=need.names,
    )


def _wait(facts: Facts, needs: list[Need]) -> Decision:
    """All that applies is held back: the one that may act first is named."""
    free = [need for need in needs if need.step in facts.terms.steps]
    if not free:
        need = needs[0]
        reason, moment = Reason.STEP_NOT_ALLOWED, None
    else:
        need = min(free, key=lambda item: item.not_before or facts.terms.now)
        reason = reason_of(facts, need)
        moment = need.not_before
    return Decision(
        certificate=facts.situation.wish.name,
        step=Step.WAIT,
        reason=reason,
        because=need.because,
        not_before=moment,
        held=need.step,
        authority=need.authority,
        way_out=way_out(facts, need),
    )


def _keep(facts: Facts) -> Decision:
    version = facts.wanted
    if version is None:
        return Decision(
            certificate=facts.situation.wish.name,
            step=Step.KEEP,
            reason=Reason.NOTHING_TO_DO,
            because="there is nothing to do",
        )
    moment = renewal_moment(version, window_of(facts.situation, version), facts.situation.wish.renew_before)
    return Decision(
        certificate=facts.situation.wish.name,
        step=Step.KEEP,
        reason=Reason.NOT_DUE,
        because=f"it is to be renewed at {stamp(moment.at)} and expires at {stamp(version.leaf.not_after)}",
        look_again=moment.at,
    )


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


_NEVER = datetime.max.replace(tzinfo=UTC)


def arrange(decisions: Iterable[Decision], now: datetime) -> Plan:
    """A sorted plan; the printed plan is the executed plan."""
    return Plan(
        at=now,
        decisions=tuple(
            sorted(
                decisions,
                key=lambda decision: (
                    about(decision.step).place,
                    decision.not_before or decision.look_again or _NEVER,
                    decision.certificate,
                ),
            )
        ),
    )


MANY = 50  # orders that nobody expects at once: a hosting of that size is begun on purpose


def too_many(plan: Plan) -> str | None:
    """How many orders this plan would send at once, as a sentence, if that is more than anybody expects.

    So many come of a state that was lost or is another one, or of a configuration that came out wrong.
    """
    orders = [one for one in plan.decisions if one.step is Step.ISSUE]
    if len(orders) <= MANY:
        return None
    first = sum(one.reason is Reason.ABSENT for one in orders)
    anew = len(orders) - first
    parts = (f"{first} for the first time" if first else "", f"{anew} anew" if anew else "")
    return f"{len(orders)} certificates would be ordered at once: {' and '.join(filter(None, parts))}"
