"""The history of renewals: what outlives the run, for the page, for reports, and to compare months by.

Only what the history does not say yet is written; a run in which nothing happened writes nothing.
"""

from collections.abc import Iterable, Mapping
from contextlib import suppress

import msgspec

from renewer import clock
from renewer import concerns as gathered
from renewer.accounts import card
from renewer.context import Context
from renewer.errors import RenewerError
from renewer.ledger.contract import Happening
from renewer.model.decision import Decision, EventName, Outcome, Plan, Step
from renewer.model.facts import Debris, RunRecord, Situation, Standing
from renewer.policy import watchdog as odd
from renewer.policy.concerns import worst
from renewer.policy.history import HistoryLine, untold

FEW = 16  # certificates whose records are asked for one by one, rather than all there are
_LOGGED = (EventName.RENEWED, EventName.RECOVERED)  # the others are in the log since they happened


def keep(context: Context, situations: Mapping[str, Situation]) -> None:
    """Write down what happened to certificates, and tell the log that one is renewed or well again.

    A certificate counts as renewed when the new one is seen at its ports, not before.
    """
    now = clock.now()
    standings = standing(context, situations)
    happenings: list[Happening] = []
    changed: list[Standing] = []
    told: list[tuple[str, HistoryLine]] = []
    for name, situation in situations.items():
        events, after = untold(situation, standings.get(name), now)
        if after is not None and after != standings.get(name):
            changed.append(after)
        for event in events:
            told.append((name, event))
            happenings.append(
                Happening(
                    at=now,
                    host=context.host,
                    run=context.run,
                    certificate=name,
                    event=event.name,
                    details={key: value for key, value in event.details.items() if value is not None},
                )
            )
    if changed:
        context.ledger.append(*happenings, saving=changed)
    for name, event in told:
        if event.name in _LOGGED:
            context.journal.tell(event.name, name, **event.details)


def standing(context: Context, names: Mapping[str, object]) -> dict[str, Standing]:
    """What the history last said of each of these certificates on this host."""
    if len(names) > FEW:
        records = context.ledger.load(Standing)
    else:
        records = [record for name in names for record in context.ledger.load(Standing, name)]
    return {record.certificate: record for record in records if record.host == context.host}


def findings(
    context: Context, situations: Iterable[Situation], decided: Plan, wrong_clock: str | None
) -> tuple[str, ...]:
    """Everything odd, each told once a run; `decided` is what the run began with."""
    told = [wrong_clock] if wrong_clock else []
    for name, session in context.sessions().items():
        if name in context.passed_over or wrong_clock:
            continue
        if skew := odd.skewed_clock(name, session.date_skew):
            told.append(skew)
    told += [text for text, _ in context.passed_over.values()]
    told += odd.unreadable(situations)
    told += odd.left_alone(situations)
    told += odd.unjudged(situations, clock.now())
    told += odd.budgets(decided.decisions)
    told += odd.forced_often(situations, clock.now())
    told += odd.renewed_too_early(situations)
    told += odd.seldom_woken(situations, context.config.agent.wake)
    told += odd.windows_missed(situations, context.config.agent.wake)
    told += _contacts(context)
    told += odd.ended_accounts(situations)
    told += odd.missed_chains(situations)
    told += odd.left_behind(context.ledger.load(Debris))
    told += context.mended
    told += context.ledger.notes
    told += context.journal.faults
    for text in told:
        context.journal.tell(EventName.NOTICE, text=text)
    return tuple(told)


def _contacts(context: Context) -> list[str]:
    """Contacts of the config that an authority does not take: it goes on with those before."""
    found = []
    for name, authority in context.config.authorities.items():
        with suppress(RenewerError):
            refusal = card.contact_refused(card.about(context.accounts, authority), authority)
            if refusal:
                found.append(f"{refusal}; correct contact in [authority.{name}] or [defaults]")
    return found


def concerns(context: Context, run: RunRecord) -> tuple[RunRecord, tuple[str, ...], int]:
    """What is wrong with this host's renewing as a whole, each told once a run, and how that must exit.

    The record of the run remembers what only a run can see.
    """
    found = gathered.look(context)
    for one in found:
        context.journal.tell(EventName.NOTICE, text=one.text, hint=one.hint)
    run = msgspec.structs.replace(run, unwell=(*gathered.only_now(context), *(context.distrust or ())[:1]))
    return run, tuple(one.text for one in found), worst(found)


def decisions(context: Context, decided: Plan) -> None:
    """Why each certificate is, or is not yet, acted upon."""
    for one in decided.decisions:
        decision(context, one)


def decision(context: Context, made: Decision) -> None:
    """The same of one certificate."""
    # That a certificate is kept is for those who watch: ten thousand lines an hour would tell nothing
    tell = context.journal.show if made.step is Step.KEEP else context.journal.tell
    tell(
        EventName.DECIDED,
        made.certificate,
        step=made.step,
        reason=made.reason,
        because=made.because,
        not_before=made.not_before,
        way_out=made.way_out,
    )


def short(context: Context, decided: Plan, want: RenewerError) -> list[Outcome]:
    """What this machine is out of, as what came of every decision to act: none could be carried out."""
    steps = [(one.certificate, one.step) for one in decided.decisions if one.acts]
    return Outcome.all_failed(context.journal.tell, steps, want.text, want.hint)
