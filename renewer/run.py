"""THE STORY: read facts, decide, act, look, tell. The one module that knows the order.

One pass, safe to kill at any instant and run again: every act leaves a fact behind before the next starts.
"""

from collections.abc import Iterable

import msgspec

from renewer import acceptance, clock, concerns, freshen, inventory, proc, watches
from renewer.errors import StateError, UsageError, shortage
from renewer.kit import Kit
from renewer.ledger.contract import UNWRITABLE
from renewer.model.decision import Plan, Step
from renewer.model.facts import RunRecord, Situation
from renewer.model.outcome import EventName, Outcome, RunReport
from renewer.model.value import Value
from renewer.policy import findings, punctual
from renewer.policy.due import ALL_STEPS, Terms, decide, with_next_attempts
from renewer.policy.health import PERSON, RETRIED, assess, exit_code
from renewer.policy.plan import arrange
from renewer.tell import files, heartbeat, history, log, notices

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


def plan(kit: Kit, limits: Limits) -> tuple[Plan, dict[str, Situation]]:
    """What a run would do now, from the facts as they are known; asks nobody and changes nothing."""
    situations = _take(kit, limits)
    return _decide(situations.values(), _terms(kit, limits)), situations


def run(kit: Kit, limits: Limits) -> RunReport:
    """One pass over all certificates, or those named; a heartbeat is pinged around the timer's runs."""
    with heartbeat.beating(kit, quiet=bool(limits.only)) as beat:
        report = _remembering(kit, limits)
        if beat is not None:
            beat.ended(report)
    return report


def _remembering(kit: Kit, limits: Limits) -> RunReport:
    """One pass; where nothing can be written down any more nothing is done, but looked and told as ever."""
    fault = kit.ledger.forgets
    if fault is None:
        try:
            return _pass(kit, limits)
        except StateError as error:
            if error.kind != UNWRITABLE:
                raise
            fault = error
    kit.ledger.go_on_in_memory(fault)
    return _pass(kit, msgspec.structs.replace(limits, steps=limits.steps & {Step.LOOK}))


def _pass(kit: Kit, limits: Limits) -> RunReport:
    record = punctual.begun(kit.ledger.load(RunRecord), kit.run, kit.host, clock.now())
    terms = _terms(kit, limits)
    if wrong_clock := findings.wrong_clock(record.at, clock.BUILT):  # ordering by it would only do harm
        terms = msgspec.structs.replace(terms, steps=terms.steps - {Step.ISSUE, Step.RESUME})
    kit.ledger.save(record)
    kit.journal.tell(EventName.RUN_STARTED)
    outcomes = freshen.posts(kit)
    situations = _freshen(kit, limits, _take(kit, limits))
    first = _decide(situations.values(), msgspec.structs.replace(terms, now=clock.now()))
    log.decisions(kit, first)
    if not first.idle:
        acted, situations = _act(kit, terms, situations, first)
        outcomes += acted
    history.keep(kit, situations)
    wrong_clock = wrong_clock or (kit.distrust and kit.distrust[0])
    odd = log.findings(kit, situations.values(), first, wrong_clock)
    if not wrong_clock:  # by a wrong clock what has expired is well again
        odd += tuple(notices.tell(kit, situations, record.at, all_of_them=not limits.only))
    code = exit_code((assess(situation, clock.now()) for situation in situations.values()), outcomes)
    if not limits.only:
        record, texts, worst = log.concerns(kit, record)
        odd += texts
        code = max(code, worst, *watches.exit_codes(kit))
    code = max(PERSON if wrong_clock else code, RETRIED if kit.ledger.forgets else code)
    ended = punctual.ended(record, clock.now(), code, odd, all_of_them=not limits.only)
    ended = files.write(kit, ended, situations, first)
    kit.ledger.save(ended)
    return _report(kit, ended, first, with_next_attempts(outcomes, situations, _terms(kit, limits)))


def _report(kit: Kit, ended: RunRecord, first: Plan, outcomes: tuple[Outcome, ...]) -> RunReport:
    """The whole run, told to the log at last."""
    kit.journal.tell(EventName.RUN_FINISHED, exit=ended.exit)
    return RunReport(
        run=kit.run,
        host=kit.host,
        at=ended.at,
        ended_at=clock.now(),
        plan=first,
        outcomes=outcomes,
        exit=ended.exit or 0,
        findings=ended.findings,
    )


def _act(
    kit: Kit, terms: Terms, situations: dict[str, Situation], first: Plan
) -> tuple[list[Outcome], dict[str, Situation]]:
    """Carry the plan out; what this machine is out of keeps it from acting, and not from telling."""
    try:
        proc.demand_memory(ACTING)
        from renewer.rounds import Rounds  # all that acts, and what it needs: nothing due, nothing imported

        return Rounds(kit, terms, situations).work(first)
    except Exception as error:
        if (want := shortage(error)) is None:
            raise
        return log.short(kit, first, want), situations


def _take(kit: Kit, limits: Limits) -> dict[str, Situation]:
    unknown = sorted(limits.only - set(kit.config.certificates))
    if unknown:
        known = ", ".join(kit.config.certificates) or "none"
        raise UsageError(
            f"there is no certificate '{unknown[0]}' in {kit.config.path}", hint=f"there are: {known}"
        )
    return inventory.take(kit, limits.only or None)


def _freshen(kit: Kit, limits: Limits, situations: dict[str, Situation]) -> dict[str, Situation]:
    """Facts that are too old are gathered anew; only what changed is read again."""
    changed = freshen.budgets(kit, situations.values()) | freshen.orders(kit, situations.values())
    freshen.debris(kit, situations.values())
    freshen.revocations(kit)
    if mended := freshen.rights(kit, situations) | freshen.repairs(kit, situations):
        situations = situations | inventory.take(kit, mended)
    if Step.ISSUE in limits.steps:
        freshen.contacts(kit)
    freshen.versions(kit)
    if Step.INSTALL in limits.steps:
        if freshen.strayed(situations.values()):
            from renewer import reclaim  # brings cryptography

            situations = situations | inventory.take(kit, reclaim.newer(kit, situations))
        changed |= freshen.placeholders(kit, situations.values())
        changed |= freshen.chains(kit, situations.values())
    changed |= freshen.windows(kit, situations.values(), anyway=limits.ask)
    if Step.LOOK in limits.steps:
        changed |= freshen.ports(kit, list(situations.values()))
        if not limits.only:
            watches.look(kit)
            concerns.look_again(kit)
    situations = situations | (inventory.take(kit, changed) if changed else {})
    judged = acceptance.judge(kit, situations.values())
    return situations | (inventory.take(kit, judged) if judged else {})


def _terms(kit: Kit, limits: Limits) -> Terms:
    terms = Terms(now=clock.now(), wake=kit.wake, steps=limits.steps, asked=limits.asked, urged=limits.asked)
    return msgspec.structs.replace(
        terms, force=limits.force, new_key=limits.new_key, redeploy=limits.redeploy
    )


def _decide(situations: Iterable[Situation], terms: Terms) -> Plan:
    return arrange([decide(situation, terms) for situation in situations], terms.now)
