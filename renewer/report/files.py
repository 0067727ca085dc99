"""What [report] wants after each run: metrics for monitoring, a page for people, at times a summary."""

from collections.abc import Mapping
from datetime import datetime, timedelta

import msgspec

from renewer import clock, concerns, inventory, watches
from renewer.context import Context
from renewer.errors import OurFault
from renewer.model.decision import EventName, Plan
from renewer.model.facts import RunRecord, Situation
from renewer.model.status import Status
from renewer.policy import watchdog
from renewer.policy.due import arrange, decide
from renewer.policy.health import RETRIED, WELL
from renewer.policy.terms import Terms
from renewer.report import freshness, metrics
from renewer.report.documents import status_document
from renewer.report.history import standing
from renewer.report.summaries import publish

RECENT = timedelta(days=31)  # of history is asked for first: of many certificates that is enough for the page


def write(context: Context, run: RunRecord, situations: Mapping[str, Situation], plan: Plan) -> RunRecord:
    """Bring all of it up to date. What cannot be written is told, a finding of the run, and not well."""
    wish = context.config.report
    faults: list[str | None] = []
    try:
        due = _due(context)
        if wish.metrics is None and wish.page is None and not due:
            return run
        found = document(context, run, situations, plan)
        if wish.metrics is not None:
            faults.append(publish(wish.metrics, _metrics(context, found, run)))
        if wish.page is not None:
            faults.append(publish(wish.page, _page(context, found, run.ended_at or run.at)))
        if due:
            from renewer.report import summaries

            faults += summaries.tell(context, due, found)
    except Exception as error:  # noqa: BLE001  a defect in telling must not undo that the run went well
        context.journal.trace("", error)
        faults.append(f"the files of [report] were not written: {OurFault.of(error).text}")
    told = tuple(fault for fault in faults if fault)
    for fault in told:
        context.journal.tell(EventName.NOTICE, text=fault)
    code = max(run.exit or WELL, RETRIED) if told else run.exit
    return msgspec.structs.replace(
        run, findings=(*run.findings, *told), unwell=(*run.unwell, *told), exit=code
    )


def _due(context: Context) -> list[str]:
    """Who has not heard of the last week or month."""
    if context.config.report.summary is None:
        return []
    from renewer.report import summaries  # what writes reports is loaded where somebody wants them

    return summaries.due(context)


def _metrics(context: Context, found: Status, run: RunRecord) -> bytes:
    standings = standing(context, {row.name: row for row in found.certificates})
    return metrics.render(found, standings, run, context.config.agent.wake).encode("utf-8", "replace")


def _page(context: Context, found: Status, ran: datetime) -> bytes:
    """The page that stands there with the moment of this run, if it still says what is so; else a new one."""
    stamp = freshness.stamp(found, context.config.agent.wake)
    return freshness.renewed(context.config.report.page or "", stamp, ran) or page(context, found, ran)


def page(context: Context, found: Status, ran: datetime | None) -> bytes:
    """The page from the document of `status` and the history; `ran` is when a run last came to its end."""
    from renewer.report import page as html  # jinja2: a run that changes nothing does not load it
    from renewer.report import view

    recent = context.ledger.history(since=found.at - RECENT)
    lines = recent if len(recent) >= view.SHOWN else context.ledger.history()
    wake = context.config.agent.wake
    patience = watchdog.patience(wake, context.config.agent.deadline)
    shown = view.of(found, lines, ran=ran, patience=patience)
    return html.render(shown, stamp=freshness.stamp(found, wake)).encode("utf-8", "replace")


def document(
    context: Context, run: RunRecord | None, situations: Mapping[str, Situation], plan: Plan
) -> Status:
    """What `status` says of all certificates, also after a run that had only some of them."""
    if len(situations) < len(context.config.certificates):
        situations = inventory.take(context) | dict(situations)
    now = clock.now()
    if not plan.idle or len(plan.decisions) != len(situations):  # else nothing was done: it still is the plan
        terms = Terms(now=now, wake=context.config.agent.wake)
        plan = arrange([decide(situation, terms) for situation in situations.values()], now)
    return status_document(
        situations,
        plan,
        now=now,
        host=context.host,
        orphans=inventory.orphans(context),
        last_run=run,
        watches=watches.rows(context.config.watches, watches.take(context), now),
        concerns=concerns.look(context, run.unwell) if run else concerns.look_later(context),
        still_served=concerns.rows(context),
    )
