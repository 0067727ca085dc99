"""What [report] wants after each run: metrics for monitoring, a page for people, at times a summary."""

from collections.abc import Mapping
from datetime import datetime, timedelta

import msgspec

from renewer import clock, concerns, inventory, watches
from renewer.errors import OurFault
from renewer.kit import Kit
from renewer.model.decision import Plan
from renewer.model.facts import RunRecord, Situation
from renewer.model.outcome import EventName
from renewer.policy import punctual
from renewer.policy.due import Terms, decide
from renewer.policy.health import RETRIED, WELL
from renewer.policy.plan import arrange
from renewer.report import Document, status_document
from renewer.tell import freshness, metrics
from renewer.tell.history import standing
from renewer.tell.publish import publish

RECENT = timedelta(days=31)  # of history is asked for first: of many certificates that is enough for the page


def write(kit: Kit, run: RunRecord, situations: Mapping[str, Situation], plan: Plan) -> RunRecord:
    """Bring all of it up to date. What cannot be written is told, a finding of the run, and not well."""
    wish = kit.config.report
    faults: list[str | None] = []
    try:
        due = _due(kit)
        if wish.metrics is None and wish.page is None and not due:
            return run
        found = document(kit, run, situations, plan)
        if wish.metrics is not None:
            faults.append(publish(wish.metrics, _metrics(kit, found, run)))
        if wish.page is not None:
            faults.append(publish(wish.page, _page(kit, found, run.ended_at or run.at)))
        if due:
            from renewer.tell import summaries

            faults += summaries.tell(kit, due, found)
    except Exception as error:  # noqa: BLE001  a defect in telling must not undo that the run went well
        kit.journal.trace("", error)
        faults.append(f"the files of [report] were not written: {OurFault.of(error).text}")
    told = tuple(fault for fault in faults if fault)
    for fault in told:
        kit.journal.tell(EventName.NOTICE, text=fault)
    code = max(run.exit or WELL, RETRIED) if told else run.exit
    return msgspec.structs.replace(
        run, findings=(*run.findings, *told), unwell=(*run.unwell, *told), exit=code
    )


def _due(kit: Kit) -> list[str]:
    """Who has not heard of the last week or month."""
    if kit.config.report.summary is None:
        return []
    from renewer.tell import summaries  # what writes reports is loaded where somebody wants them

    return summaries.due(kit)


def _metrics(kit: Kit, found: Document, run: RunRecord) -> bytes:
    standings = standing(kit, {row["name"]: row for row in found["certificates"]})
    return metrics.render(found, standings, run, kit.config.agent.wake).encode("utf-8", "replace")


def _page(kit: Kit, found: Document, ran: datetime) -> bytes:
    """The page that stands there with the moment of this run, if it still says what is so; else a new one."""
    stamp = freshness.stamp(found, kit.config.agent.wake)
    return freshness.renewed(kit.config.report.page or "", stamp, ran) or page(kit, found, ran)


def page(kit: Kit, found: Document, ran: datetime | None) -> bytes:
    """The page from the document of `status` and the history; `ran` is when a run last came to its end."""
    from renewer.tell import page as html  # jinja2: a run that changes nothing does not load it
    from renewer.tell import view

    recent = kit.ledger.history(since=found["at"] - RECENT)
    lines = recent if len(recent) >= view.SHOWN else kit.ledger.history()
    wake = kit.config.agent.wake
    patience = punctual.patience(wake, kit.config.agent.deadline)
    shown = view.of(found, lines, ran=ran, patience=patience)
    return html.render(shown, stamp=freshness.stamp(found, wake)).encode("utf-8", "replace")


def document(kit: Kit, run: RunRecord | None, situations: Mapping[str, Situation], plan: Plan) -> Document:
    """What `status` says of all certificates, also after a run that had only some of them."""
    if len(situations) < len(kit.config.certificates):
        situations = inventory.take(kit) | dict(situations)
    now = clock.now()
    if not plan.idle or len(plan.decisions) != len(situations):  # else nothing was done: it still is the plan
        terms = Terms(now=now, wake=kit.config.agent.wake)
        plan = arrange([decide(situation, terms) for situation in situations.values()], now)
    return status_document(
        situations,
        plan,
        now=now,
        host=kit.host,
        orphans=inventory.orphans(kit),
        last_run=run,
        watches=watches.rows(kit.config.watches, watches.take(kit), now),
        concerns=concerns.look(kit, run.unwell) if run else concerns.look_later(kit),
        still_served=concerns.rows(kit),
    )
