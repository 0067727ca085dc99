"""THE STORY: read facts, decide, act, look, tell. The one module that knows the order.

One pass, safe to kill at any instant and run again: every act leaves a fact behind before the next starts.
"""

from collections.abc import Iterable

import msgspec

from renewer import acceptance, clock, concerns, inventory, proc, refresh, watches
from renewer.context import Context
from renewer.errors import StateError, UsageError, shortage
from renewer.ledger.contract import UNWRITABLE
from renewer.model.decision import EventName, Outcome, Plan, RunReport, Step
from renewer.model.facts import RunRecord, Situation
from renewer.model.value import Value
from renewer.notify import notices
from renewer.policy import watchdog
from renewer.policy.due import arrange, decide, with_next_attempts
from renewer.policy.health import PERSON, RETRIED, assess, exit_code
from renewer.policy.terms import ALL_STEPS, Terms
from renewer.report import files, heartbeat, history

FEW = 20  # certificates
ACTING = 160 << 20  # octets of addresses: threads, cryptography, TLS, an authority's door


class Limits(Value):
    """What the person or the timer asks of a run.

    `only` names certificates (all if empty); `steps` are those it may take; `force` issues anew; `redeploy`
    deploys again; `ask` asks for renewal windows before the authority's Retry-After is over. `asked` is
    whether a person named them and wants it now, as `Terms.asked` says; `new_key` issues with another key.
    """

    only: frozenset[str] = frozenset()
    steps: frozenset[Step] = ALL_STEPS
    force: bool = False
    new_key: bool = False
    redeploy: bool = False
    ask: bool = False
    asked: bool = False


def plan(context: Context, limits: Limits) -> tuple[Plan, dict[str, Situation]]:
    """What a run would do now, from the facts as they are known; asks nobody and changes nothing."""
    situations = _take(context, limits)
    return _decide(situations.values(), _terms(context, limits)), situations


def run(context: Context, limits: Limits) -> RunReport:
    """One pass over all certificates, or those named; a heartbeat is pinged around the timer's runs."""
    with heartbeat.beating(context, quiet=bool(limits.only)) as beat:
        report = _remembering(context, limits)
        if beat is not None:
            beat.ended(report)
    return report


def _remembering(context: Context, limits: Limits) -> RunReport:
    """One pass; where nothing can be written down any more nothing is done, but looked and told as ever."""
    fault = context.ledger.forgets
    if fault is None:
        try:
            return _pass(context, limits)
        except StateError as error:
            if error.kind != UNWRITABLE:
                raise
            fault = error
    context.ledger.go_on_in_memory(fault)
    return _pass(context, msgspec.structs.replace(limits, steps=limits.steps & {Step.LOOK}))


def _pass(context: Context, limits: Limits) -> RunReport:
    record = watchdog.begun(context.ledger.load(RunRecord), context.run, context.host, clock.now())
    terms = _terms(context, limits)
    if wrong_clock := watchdog.wrong_clock(record.at, clock.BUILT):  # ordering by it would only do harm
        terms = msgspec.structs.replace(terms, steps=terms.steps - {Step.ISSUE, Step.RESUME})
    context.ledger.save(record)
    context.journal.tell(EventName.RUN_STARTED)
    outcomes = refresh.posts(context)
    situations = _take(context, limits)
    if len(situations) <= FEW:  # of many each moment counts, and what is asked of them takes longer
        refresh.announce(_decide(situations.values(), terms), situations)
    situations = _refresh(context, limits, situations)
    first = _decide(situations.values(), msgspec.structs.replace(terms, now=clock.now()))
    history.decisions(context, first)
    if not first.idle:
        acted, situations = _act(context, terms, situations, first)
        outcomes += acted
    history.keep(context, situations)
    wrong_clock = wrong_clock or (context.distrust and context.distrust[0])
    odd = history.findings(context, situations.values(), first, wrong_clock)
    if not wrong_clock:  # by a wrong clock what has expired is well again
        odd += tuple(notices.tell(context, situations, record.at, all_of_them=not limits.only))
    code = exit_code((assess(situation, clock.now()) for situation in situations.values()), outcomes)
    if not limits.only:
        record, texts, worst = history.concerns(context, record)
        odd += texts
        code = max(code, worst, *watches.exit_codes(context))
    code = max(PERSON if wrong_clock else code, RETRIED if context.ledger.forgets else code)
    ended = watchdog.ended(record, clock.now(), code, odd, all_of_them=not limits.only)
    ended = files.write(context, ended, situations, first)
    context.ledger.save(ended)
    return _report(context, ended, first, with_next_attempts(outcomes, situations, _terms(context, limits)))


def _report(context: Context, ended: RunRecord, first: Plan, outcomes: tuple[Outcome, ...]) -> RunReport:
    """The whole run, told to the log at last."""
    context.journal.tell(EventName.RUN_FINISHED, exit=ended.exit)
    return RunReport(
        run=context.run,
        host=context.host,
        at=ended.at,
        ended_at=clock.now(),
        plan=first,
        outcomes=outcomes,
        exit=ended.exit or 0,
        findings=ended.findings,
    )


def _act(
    context: Context, terms: Terms, situations: dict[str, Situation], first: Plan
) -> tuple[list[Outcome], dict[str, Situation]]:
    """Carry the plan out; what this machine is out of keeps it from acting, and not from telling."""
    try:
        proc.demand_memory(ACTING)
        refresh.announce(first, situations)
        from renewer.reconcile import Reconciler  # all that acts: nothing due, nothing imported

        return Reconciler(context, terms, situations).work(first)
    except Exception as error:
        if (want := shortage(error)) is None:
            raise
        return history.short(context, first, want), situations


def _take(context: Context, limits: Limits) -> dict[str, Situation]:
    unknown = sorted(limits.only - set(context.config.certificates))
    if unknown:
        known = ", ".join(context.config.certificates) or "none"
        raise UsageError(
            f"there is no certificate '{unknown[0]}' in {context.config.path}", hint=f"there are: {known}"
        )
    return inventory.take(context, limits.only or None)


def _refresh(context: Context, limits: Limits, situations: dict[str, Situation]) -> dict[str, Situation]:
    """Facts that are too old are gathered anew; only what changed is read again."""
    changed = refresh.budgets(context, situations.values()) | refresh.orders(context, situations.values())
    refresh.debris(context, situations.values())
    refresh.revocations(context)
    if mended := refresh.rights(context, situations) | refresh.repairs(context, situations):
        situations = situations | inventory.take(context, mended)
    if Step.ISSUE in limits.steps:
        refresh.contacts(context)
    refresh.versions(context)
    if Step.INSTALL in limits.steps:
        if refresh.strayed(situations.values()):
            from renewer import reclaim  # brings cryptography

            situations = situations | inventory.take(context, reclaim.newer(context, situations))
        changed |= refresh.placeholders(context, situations.values())
        changed |= refresh.chains(context, situations.values())
    changed |= refresh.windows(context, situations.values(), anyway=limits.ask)
    if Step.LOOK in limits.steps:
        changed |= refresh.ports(context, list(situations.values()))
        if not limits.only:
            watches.look(context)
            concerns.look_again(context)
            concerns.look_at_left_names(context)
    situations = situations | (inventory.take(context, changed) if changed else {})
    judged = acceptance.judge(context, situations.values())
    return situations | (inventory.take(context, judged) if judged else {})


def _terms(context: Context, limits: Limits) -> Terms:
    terms = Terms(
        now=clock.now(), wake=context.wake, steps=limits.steps, asked=limits.asked, urged=limits.asked
    )
    return msgspec.structs.replace(
        terms, force=limits.force, new_key=limits.new_key, redeploy=limits.redeploy
    )


def _decide(situations: Iterable[Situation], terms: Terms) -> Plan:
    return arrange([decide(situation, terms) for situation in situations], terms.now)
