"""What a certificate needs next: an ordered tuple of named checks, the first that may act now wins.

The tracks are independent: a deployment that waits never delays the next issue, nor one hook another.
"""

from collections.abc import Callable, Iterable, Mapping

import msgspec

from renewer.model.decision import Decision, Reason, Step
from renewer.model.facts import Situation
from renewer.model.outcome import Outcome, Result
from renewer.policy import deploying, issuing, waits
from renewer.policy.authority import choose
from renewer.policy.budget import Hold, next_order
from renewer.policy.checks import ALL_STEPS, Facts, Need, Terms, window_of
from renewer.policy.wanted import to_serve, wanted
from renewer.policy.window import renewal_moment
from renewer.words import stamp

__all__ = ["ALL_STEPS", "CHECKS", "Need", "Terms", "decide"]

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


def _budget(situation: Situation, terms: Terms) -> Callable[[str], Hold | None]:
    call = issuing.calling(situation, terms)
    return lambda authority: next_order(situation, authority, call)


def with_next_attempts(
    outcomes: Iterable[Outcome], situations: Mapping[str, Situation], terms: Terms
) -> tuple[Outcome, ...]:
    """What did not succeed, with the moment at which it is tried next, if it is to be.

    That is the end of its wait, or else the next run.
    """
    terms = msgspec.structs.replace(
        terms, force=False, new_key=False, redeploy=False, steps=ALL_STEPS, begun=True
    )
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


_THEN = {
    Step.RESUME: (Step.INSTALL, Step.DEPLOY, Step.LOOK),
    Step.ISSUE: (Step.INSTALL, Step.DEPLOY, Step.LOOK),
    Step.INSTALL: (Step.DEPLOY, Step.LOOK),
    Step.DEPLOY: (Step.LOOK,),
}


def _act(facts: Facts, need: Need, rest: list[Need]) -> Decision:
    follow = [
        step for step in _THEN.get(need.step, ()) if step is not Step.LOOK or facts.situation.wish.endpoints
    ]
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
        reason = waits.reason_of(facts, need)
        moment = need.not_before
    return Decision(
        certificate=facts.situation.wish.name,
        step=Step.WAIT,
        reason=reason,
        because=need.because,
        not_before=moment,
        held=need.step,
        authority=need.authority,
        way_out=waits.way_out(facts, need),
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
