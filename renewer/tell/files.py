"""The files that a run leaves for others, named in [report]: metrics for monitoring, a page for people."""

from collections.abc import Mapping

import msgspec

from renewer import clock, inventory
from renewer.copies.files import replace
from renewer.copies.rights import PUBLIC_MODE, Rights
from renewer.errors import RenewerError
from renewer.kit import Kit
from renewer.model.decision import Plan
from renewer.model.facts import RunRecord, Situation
from renewer.model.outcome import EventName
from renewer.policy.due import Terms, decide
from renewer.policy.plan import arrange
from renewer.report import Document, status_document
from renewer.tell import metrics
from renewer.tell.history import standing


def write(kit: Kit, run: RunRecord, situations: Mapping[str, Situation], plan: Plan) -> RunRecord:
    """Bring every file up to date. What cannot be written is told, and added to the run's findings."""
    wish = kit.config.report
    if wish.metrics is None:
        return run
    document = _document(kit, run, situations, plan)
    faults: list[str] = []
    if wish.metrics is not None:
        standings = standing(kit, {row["name"]: row for row in document["certificates"]})
        text = metrics.render(document, standings, run, kit.config.agent.wake)
        faults += _put(wish.metrics, text.encode("utf-8", "replace"))
    for fault in faults:
        kit.journal.tell(EventName.NOTICE, text=fault)
    return msgspec.structs.replace(run, findings=(*run.findings, *faults))


def _document(kit: Kit, run: RunRecord, situations: Mapping[str, Situation], plan: Plan) -> Document:
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
    )


def _put(path: str, content: bytes) -> list[str]:
    """Replace a file that others read; readers see the old one or the new one, whole."""
    try:
        replace(path, content, Rights(mode=PUBLIC_MODE))
    except OSError as error:
        return [f"{path} cannot be written: {error.strerror}"]
    except RenewerError as error:
        return [f"{error.text}; {error.hint}" if error.hint else error.text]
    return []
