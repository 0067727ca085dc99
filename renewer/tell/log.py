"""What a run tells the renewal log beside what each act tells of itself."""

from collections.abc import Iterable
from contextlib import suppress

import msgspec

from renewer import clock
from renewer import concerns as gathered
from renewer.acme import card
from renewer.errors import RenewerError
from renewer.kit import Kit
from renewer.model.decision import Plan, Step
from renewer.model.facts import Debris, RunRecord, Situation
from renewer.model.outcome import EventName, Outcome, Result
from renewer.policy import findings as odd
from renewer.policy.concerns import worst


def findings(
    kit: Kit, situations: Iterable[Situation], decided: Plan, wrong_clock: str | None
) -> tuple[str, ...]:
    """Everything odd, each told once a run; `decided` is what the run began with."""
    told = [wrong_clock] if wrong_clock else []
    for name, session in kit.sessions().items():
        if name in kit.passed_over or wrong_clock:
            continue
        if skew := odd.skewed_clock(name, session.date_skew):
            told.append(skew)
    told += [text for text, _ in kit.passed_over.values()]
    told += odd.unreadable(situations)
    told += odd.left_alone(situations)
    told += odd.unjudged(situations, clock.now())
    told += odd.budgets(decided.decisions)
    told += odd.forced_often(situations, clock.now())
    told += odd.renewed_too_early(situations)
    told += odd.seldom_woken(situations, kit.config.agent.wake)
    told += odd.windows_missed(situations, kit.config.agent.wake)
    told += _contacts(kit)
    told += odd.ended_accounts(situations)
    told += odd.missed_chains(situations)
    told += odd.left_behind(kit.ledger.load(Debris))
    told += kit.mended
    told += kit.ledger.notes
    told += kit.journal.faults
    for text in told:
        kit.journal.tell(EventName.NOTICE, text=text)
    return tuple(told)


def _contacts(kit: Kit) -> list[str]:
    """Contacts of the config that an authority does not take: it goes on with those before."""
    found = []
    for name, authority in kit.config.authorities.items():
        with suppress(RenewerError):
            refusal = card.contact_refused(card.about(kit.accounts, authority), authority)
            if refusal:
                found.append(f"{refusal}; correct contact in [authority.{name}] or [defaults]")
    return found


def concerns(kit: Kit, run: RunRecord) -> tuple[RunRecord, tuple[str, ...], int]:
    """What is wrong with this host's renewing as a whole, each told once a run, and how that must exit.

    The record of the run remembers what only a run can see.
    """
    found = gathered.look(kit)
    for one in found:
        kit.journal.tell(EventName.NOTICE, text=one.text, hint=one.hint)
    run = msgspec.structs.replace(run, unwell=(*gathered.only_now(kit), *(kit.distrust or ())[:1]))
    return run, tuple(one.text for one in found), worst(found)


def decisions(kit: Kit, decided: Plan) -> None:
    """Why each certificate is, or is not yet, acted upon."""
    for decision in decided.decisions:
        # That a certificate is kept is for those who watch: ten thousand lines an hour would tell nothing
        tell = kit.journal.show if decision.step is Step.KEEP else kit.journal.tell
        tell(
            EventName.DECIDED,
            decision.certificate,
            step=decision.step.value,
            reason=decision.reason.value,
            because=decision.because,
            not_before=decision.not_before,
            way_out=decision.way_out or None,
        )


def short(kit: Kit, decided: Plan, want: RenewerError) -> list[Outcome]:
    """What this machine is out of, as what came of every decision to act: none could be carried out."""
    kit.journal.tell(EventName.FAILED, error=want.text, hint=want.hint)
    return [
        Outcome(
            certificate=one.certificate,
            step=one.step,
            result=Result.FAILED,
            detail=want.text,
            hint=want.hint,
        )
        for one in decided.decisions
        if one.step not in (Step.KEEP, Step.WAIT)
    ]
