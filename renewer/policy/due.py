"""What a certificate needs next: an ordered tuple of named checks, the first that may act now wins.

The tracks are independent: a deployment that waits never delays the next issue, nor one hook another.
"""

from collections.abc import Callable
from datetime import datetime, timedelta

from renewer.model.decision import Decision, Reason, Step
from renewer.model.facts import (
    COPIES,
    Deployment,
    DeploymentState,
    EndpointState,
    OrderState,
    Situation,
    Version,
    Window,
)
from renewer.model.names import Identifier
from renewer.model.value import Value
from renewer.policy.authority import Choice, choose, relevant
from renewer.policy.backoff import EMERGENCY_STEP, deploy_again, forced_again, issue_again, redeploy_stale
from renewer.policy.wanted import best, in_part, order_fits, to_serve, wanted
from renewer.policy.window import in_last_hours, judge, renewal_moment, slack

ALL_STEPS = frozenset({Step.RESUME, Step.INSTALL, Step.DEPLOY, Step.ISSUE, Step.LOOK})


class Terms(Value):
    """What else a decision depends on: the moment, the time until anybody looks again, the order's limits.

    `force` issues though nothing is due and overrules the backoff after failures; `redeploy` deploys
    though all was done. `steps` are those that this run may take.
    """

    now: datetime
    wake: timedelta
    steps: frozenset[Step] = ALL_STEPS
    force: bool = False
    redeploy: bool = False


class Need(Value):
    """Something to be done; held back until `not_before` if that is set."""

    step: Step
    reason: Reason
    because: str
    not_before: datetime | None = None
    authority: str | None = None
    names: tuple[Identifier, ...] = ()


class Facts(Value):
    """A situation with what every check wants to know of it."""

    situation: Situation
    terms: Terms
    wanted: Version | None
    serve: Version | None
    live: Version | None
    choice: Choice


Check = Callable[[Facts], Need | None]


def decide(situation: Situation, terms: Terms) -> Decision:
    """What to do next for one certificate, and why. Total: never raises."""
    facts = Facts(
        situation=situation,
        terms=terms,
        wanted=wanted(situation, terms.now),
        serve=to_serve(situation, terms.now),
        live=situation.live_version,
        choice=choose(situation, terms.now),
    )
    needs = [need for check in CHECKS if (need := check(facts))]
    reached = terms.now + slack(terms.wake)
    for index, need in enumerate(needs):
        if need.step in terms.steps and (need.not_before is None or need.not_before <= reached):
            return _act(facts, need, needs[index + 1 :])
    return _wait(facts, needs) if needs else _keep(facts)


def window_of(situation: Situation, version: Version) -> Window | None:
    """What the authority said about this version."""
    return next((window for window in situation.windows if window.serial == version.leaf.serial), None)


# The checks, each named as what it finds -----------------------------------------------------------


def an_order_is_open(facts: Facts) -> Need | None:
    """An order that still fits is finished, never ordered a second time."""
    order = facts.situation.order
    if order is None or order.state not in (OrderState.INTENT, OrderState.OPEN):
        return None
    if not facts.situation.order_ready or not order_fits(order, facts.situation):
        return None
    text = f"an order at {order.authority} since {_show(order.at)} is not finished"
    held = _held_by(facts, order.authority)
    return Need(
        step=Step.RESUME, reason=Reason.ORDER_OPEN, because=text, not_before=held, authority=order.authority
    )


def it_is_issued_and_not_installed(facts: Facts) -> Need | None:
    """The chain was downloaded and lies beside its key."""
    order = facts.situation.order
    if order is None or order.state is not OrderState.ISSUED:
        return None
    text = f"{order.authority} has issued it, it is not a version on disk yet"
    return Need(step=Step.INSTALL, reason=Reason.ISSUED_NOT_INSTALLED, because=text)


def the_wanted_version_is_not_live(facts: Facts) -> Need | None:
    """The version to be served is on disk, and another is what servers load."""
    version = facts.serve
    if version is None or version.id == facts.situation.live:
        return None
    failed = [
        deploy_again(record, version.leaf.lifetime)
        for record in facts.situation.deployments
        if _counts(facts, record, version)
    ]
    live = facts.situation.live or "nothing"
    part = ", without the names that do not validate," if version.degraded else ""
    text = f"version {version.id}{part} is to be served, {live} is live" + _last_error(facts, version)
    held = None if facts.terms.redeploy else max(failed, default=None)
    return Need(step=Step.DEPLOY, reason=Reason.NOT_LIVE, because=text, not_before=held)


def a_hook_is_pending(facts: Facts) -> Need | None:
    """The live version was not brought to every server: a hook failed, was put off, or is newly named."""
    version = _deployed_version(facts)
    if version is None:
        return None
    waiting = [(hook, moment) for hook, moment in _hook_moments(facts, version) if hook != COPIES]
    if not waiting:
        return None
    hook, moment = min(waiting, key=lambda pair: (pair[1] is not None, pair[1] or facts.terms.now))
    text = f"hook {hook} has not deployed version {version.id}" + _last_error(facts, version)
    held = None if facts.terms.redeploy else moment
    return Need(step=Step.DEPLOY, reason=Reason.HOOK_PENDING, because=text, not_before=held)


def a_copy_is_pending(facts: Facts) -> Need | None:
    """A file that follows the live version is missing, is of another version, or was changed by others."""
    version = _deployed_version(facts)
    if version is None:
        return None
    copy = next((c for c in facts.situation.copies if c.version != version.id or not c.intact), None)
    moments = dict(_hook_moments(facts, version))
    if copy is None or COPIES not in moments:
        return None
    found = "was changed or removed" if copy.version == version.id else "was not written"
    text = f"the copy {copy.path} of version {version.id} {found}"
    held = None if facts.terms.redeploy else moments[COPIES]
    return Need(step=Step.DEPLOY, reason=Reason.COPY_PENDING, because=text, not_before=held)


def a_port_serves_an_older_one(facts: Facts) -> Need | None:
    """A port of this host shows an older version of ours though every hook was done."""
    version = _deployed_version(facts)
    if version is None or not facts.situation.hooks:
        return None
    stale = [
        sighting
        for sighting in facts.situation.sightings
        if sighting.state is EndpointState.STALE and sighting.local and sighting.version == version.id
    ]
    if not stale:
        return None
    worst = max(stale, key=lambda sighting: sighting.failures)
    text = f"{worst.endpoint} ({worst.address}) still serves an older certificate, serial {worst.serial}"
    held = None if facts.terms.redeploy else redeploy_stale(worst, version.leaf.lifetime)
    return Need(step=Step.DEPLOY, reason=Reason.SERVED_STALE, because=text, not_before=held)


def somebody_asks_for_deployment(facts: Facts) -> Need | None:
    """`renewer deploy NAME`: the servers shall load it again though nothing is pending."""
    version = _deployed_version(facts)
    if version is None or not facts.terms.redeploy:
        return None
    return Need(
        step=Step.DEPLOY, reason=Reason.FORCED, because=f"deployment of version {version.id} was asked for"
    )


def nothing_is_wanted(facts: Facts) -> Need | None:
    """There is no version that fits the wish and may be used."""
    if facts.wanted is not None or _under_way(facts):
        return None
    live = facts.live
    if live is None or live.placeholder:
        reason, text = Reason.ABSENT, "there is no certificate yet"
    elif live.leaf.not_after <= facts.terms.now:
        reason, text = Reason.EXPIRED, f"the live one expired at {_show(live.leaf.not_after)}"
    else:
        reason, text = (
            Reason.WISH_CHANGED,
            "no version has the names, key, authority and profile of the config",
        )
    return _issue(facts, reason, text)


def the_wanted_version_is_due(facts: Facts) -> Need | None:
    """Its moment has come; it is the wanted version that is judged, never the live one."""
    version, terms = facts.wanted, facts.terms
    if version is None or _under_way(facts):
        return None
    window = window_of(facts.situation, version)
    verdict = judge(version, window, facts.situation.wish.renew_before, terms.now, terms.wake)
    if verdict.due:
        return _issue(facts, verdict.reason, verdict.because)
    if terms.force:
        return _issue(facts, Reason.FORCED, "a new one was asked for")
    return None


def it_ends_soon_and_some_names_fail(facts: Facts) -> Need | None:
    """Rather a certificate for the names that validate than none for any; it steps in at the very end."""
    names, now = names_that_validate(facts.situation), facts.terms.now
    ending = facts.wanted or facts.live
    if not names or ending is None or ending.placeholder or _under_way(facts):
        return None
    if not in_last_hours(ending.leaf, now):
        return None
    part = in_part(facts.situation, now)
    if part is not None and set(names) <= set(part.leaf.names) and not in_last_hours(part.leaf, now):
        return None
    failure = relevant(facts.situation).get(facts.choice.authority)
    held = None
    if failure is not None:
        held = failure.not_before if failure.named else failure.at + EMERGENCY_STEP
    left = ", ".join(str(name) for name in facts.situation.wish.names if name not in names)
    text = f"it ends at {_show(ending.leaf.not_after)}, {left} cannot be validated: one for the others"
    authority = facts.choice.authority
    return Need(
        step=Step.ISSUE,
        reason=Reason.NAMES_FAIL,
        because=text,
        not_before=held,
        authority=authority,
        names=names,
    )


def an_endpoint_was_not_seen(facts: Facts) -> Need | None:
    """A port was not looked at since the live version was deployed."""
    version = _deployed_version(facts)
    if version is None:
        return None
    seen = {sighting.endpoint for sighting in facts.situation.sightings if sighting.version == version.id}
    unseen = next((e for e in facts.situation.wish.endpoints if str(e) not in seen), None)
    if unseen is None:
        return None
    return Need(
        step=Step.LOOK,
        reason=Reason.NOT_SEEN,
        because=f"{unseen} was not looked at since the last deployment",
    )


CHECKS: tuple[Check, ...] = (
    an_order_is_open,
    it_is_issued_and_not_installed,
    the_wanted_version_is_not_live,
    a_hook_is_pending,
    a_copy_is_pending,
    a_port_serves_an_older_one,
    somebody_asks_for_deployment,
    nothing_is_wanted,
    the_wanted_version_is_due,
    it_ends_soon_and_some_names_fail,
    an_endpoint_was_not_seen,
)

# What the checks are made of ------------------------------------------------------------------------


def names_that_validate(situation: Situation) -> tuple[Identifier, ...]:
    """The names that nobody is known to have refused; empty if all do, or if none is left."""
    failed = {name for failure in relevant(situation).values() for name, _ in failure.identifiers}
    good = tuple(name for name in situation.wish.names if str(name) not in failed)
    return good if len(good) < len(situation.wish.names) else ()


def hooks_to_run(situation: Situation, version: Version, terms: Terms) -> tuple[str, ...]:
    """The hooks that a deployment of this version runs now, in the config's order.

    All, if the link must turn, a port is stale or somebody asks; else those that have not done it and
    whose backoff is over.
    """
    names = tuple(name for name, _ in situation.hooks)
    facts = Facts(
        situation=situation,
        terms=terms,
        wanted=version,
        serve=version,
        live=situation.live_version,
        choice=Choice("", None, None),
    )
    if version.id != situation.live or terms.redeploy or a_port_serves_an_older_one(facts):
        return names
    reached = terms.now + slack(terms.wake)
    return tuple(
        hook for hook, moment in _hook_moments(facts, version) if moment is None or moment <= reached
    )


def _deployed_version(facts: Facts) -> Version | None:
    """The live version, if it is the one to be served: only then do hooks and ports concern it."""
    live = facts.live
    if live is None or live.placeholder or (facts.serve and facts.serve.id != live.id):
        return None
    return live if live.leaf.not_after > facts.terms.now else None


def _hook_moments(facts: Facts, version: Version) -> list[tuple[str, datetime | None]]:
    """Each hook that has not done this version, with the moment until which it is held back."""
    moments: list[tuple[str, datetime | None]] = []
    records = {record.hook: record for record in facts.situation.deployments}
    copied = all(copy.version == version.id and copy.intact for copy in facts.situation.copies)
    for hook, _ in facts.situation.hooks:
        record = records.get(hook)
        done = record is not None and record.version == version.id and record.state is DeploymentState.DONE
        if copied if hook == COPIES else done:
            continue
        held = record and _counts(facts, record, version)
        moments.append((hook, deploy_again(record, version.leaf.lifetime) if record and held else None))
    return moments


def _counts(facts: Facts, record: Deployment, version: Version) -> bool:
    """Whether an earlier failure (or a stopped server) holds this version's deployment back."""
    if record.version != version.id or record.state not in (DeploymentState.FAILED, DeploymentState.LATER):
        return False
    fingerprint = dict(facts.situation.hooks).get(record.hook)
    return fingerprint is not None and record.fingerprint == fingerprint


def _last_error(facts: Facts, version: Version) -> str:
    for record in facts.situation.deployments:
        if _counts(facts, record, version) and record.error:
            return f"; last time: {record.error}"
    return ""


def _under_way(facts: Facts) -> bool:
    """Whether an order that fits exists already: then RESUME or INSTALL speaks, never a second ISSUE."""
    order = facts.situation.order
    if order is None or not order_fits(order, facts.situation):
        return False
    return order.state is OrderState.ISSUED or (
        order.state is not OrderState.ABANDONED and facts.situation.order_ready
    )


def _held_by(facts: Facts, authority: str) -> datetime | None:
    """Until when an authority is left alone; force overrules the backoff, never what the authority asked."""
    failure = relevant(facts.situation).get(authority)
    if failure is None:
        return None
    meanwhile = best(facts.situation, facts.terms.now)
    if facts.terms.force:
        return forced_again(failure, meanwhile, facts.terms.now)
    return issue_again(failure, meanwhile, facts.terms.now, in_part(facts.situation, facts.terms.now))


def _issue(facts: Facts, reason: Reason, because: str) -> Need:
    choice = facts.choice
    held = _held_by(facts, choice.authority) if facts.terms.force else choice.not_before
    if choice.failure:
        because = f"{because}; last time: {choice.failure.text}"
    return Need(step=Step.ISSUE, reason=reason, because=because, not_before=held, authority=choice.authority)


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
        asked = need.step is Step.ISSUE and facts.choice.failure and facts.choice.failure.not_before
        reason = Reason.AUTHORITY_ASKED_TO_WAIT if asked else Reason.BACKOFF
        moment = need.not_before
    return Decision(
        certificate=facts.situation.wish.name,
        step=Step.WAIT,
        reason=reason,
        because=need.because,
        not_before=moment,
        held=need.step,
        authority=need.authority,
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
        because=f"it is to be renewed at {_show(moment.at)} and expires at {_show(version.leaf.not_after)}",
        look_again=moment.at,
    )


def _show(when: datetime) -> str:
    return when.strftime("%Y-%m-%d %H:%M:%SZ")
