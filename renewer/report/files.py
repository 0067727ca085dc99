"""What [report] wants after each run: metrics for monitoring, a page for people, at times a summary."""

import os
import re
import stat
import zlib
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

import msgspec

from renewer import __version__, clock, concerns, durable, inventory, ownership, watches, words
from renewer.context import Context
from renewer.copies import files
from renewer.copies.rights import PUBLIC_MODE, Rights
from renewer.errors import OurFault, RenewerError
from renewer.model.decision import EventName, Plan
from renewer.model.desired import Channel, Config, Email
from renewer.model.facts import RunRecord, Situation
from renewer.model.status import Status
from renewer.model.told import SummaryTold
from renewer.notify import channels
from renewer.notify.message import Digest
from renewer.notify.writing import Writer
from renewer.policy import watchdog
from renewer.policy.due import arrange, decide
from renewer.policy.health import RETRIED, WELL
from renewer.policy.terms import Terms
from renewer.report import forms, metrics, summary
from renewer.report.documents import status_document
from renewer.report.history import standing
from renewer.report.summary import Summary

RECENT = timedelta(days=31)  # of history is asked for first: of many certificates that is enough for the page


def write(context: Context, run: RunRecord, situations: Mapping[str, Situation], plan: Plan) -> RunRecord:
    """Bring all of it up to date. What cannot be written is told, a finding of the run, and not well."""
    wish = context.config.report
    faults: list[str | None] = []
    try:
        due = due_targets(context)
        if wish.metrics is None and wish.page is None and not due:
            return run
        found = document(context, run, situations, plan)
        if wish.metrics is not None:
            faults.append(publish(wish.metrics, _metrics(context, found, run)))
        if wish.page is not None:
            faults.append(publish(wish.page, _page(context, found, run.ended_at or run.at)))
        if due:
            faults += tell(context, due, found)
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


def _metrics(context: Context, found: Status, run: RunRecord) -> bytes:
    standings = standing(context, {row.name: row for row in found.certificates})
    return metrics.render(found, standings, run, context.config.agent.wake).encode("utf-8", "replace")


def _page(context: Context, found: Status, ran: datetime) -> bytes:
    """The page that stands there with the moment of this run, if it still says what is so; else a new one."""
    stamp = stamp_of(found, context.config.agent.wake)
    return renewed_page(context.config.report.page or "", stamp, ran) or page(context, found, ran)


def page(context: Context, found: Status, ran: datetime | None) -> bytes:
    """The page from the document of `status` and the history; `ran` is when a run last came to its end."""
    from renewer.report import view  # jinja2: a run that changes nothing does not load it

    recent = context.ledger.history(since=found.at - RECENT)
    lines = recent if len(recent) >= view.SHOWN else context.ledger.history()
    wake = context.config.agent.wake
    patience = watchdog.patience(wake, context.config.agent.deadline)
    shown = view.of(found, lines, ran=ran, patience=patience)
    return view.render(shown, stamp=stamp_of(found, wake)).encode("utf-8", "replace")


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


# --- the page that stands there -----------------------------------------------------------------------------
# A run with nothing due changes no fact, and writing its moment there needs no template: it stays cheap.

_HEAD = 4096  # the stamp stands among the first lines
_MOST = 1 << 26  # bytes: no page of ours is larger
_FACTS = tuple(key for key in Status.__struct_fields__ if key not in ("at", "last_run", "unread"))
_RAN = re.compile(
    rb'(<time id="ran" datetime=")[^"<]*(">)[^"<]*(</time>, <span class="rel" id="ago">)[^"<]*(</span>)'
)


def stamp_of(document: Status, wake: timedelta) -> str:
    """What tells whether a page is made from these facts; another one each day, for lengths of time age."""
    facts = {key: getattr(document, key) for key in _FACTS}
    made_of = (facts, __version__, wake, document.at.date())
    try:
        body = msgspec.json.encode(made_of, enc_hook=str)
    except UnicodeEncodeError:  # half a character of a file's name or a program's output
        body = repr(made_of).encode("utf-8", "backslashreplace")
    return f"{zlib.crc32(body):08x}-{len(body):x}"


def renewed_page(path: str, stamp: str, ran: datetime) -> bytes | None:
    """The page at that path with another moment of the last run; None if it must be made anew."""
    try:
        with ownership.open_place(path) as place:
            file = os.open(
                place.name, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK, dir_fd=place.fd
            )
    except OSError:
        return None
    with os.fdopen(file, "rb") as page:
        entry = os.fstat(file)
        if not stat.S_ISREG(entry.st_mode) or entry.st_uid != os.geteuid() or entry.st_size > _MOST:
            return None
        content = page.read(_HEAD)
        if f'<meta name="renewer-page" content="{stamp}">'.encode() not in content:
            return None
        content += page.read(_MOST)
    text = rf"\g<1>{ran:%Y-%m-%dT%H:%M:%SZ}\g<2>{words.moment(ran)}\g<3>when this was written\g<4>"
    changed, times = _RAN.subn(text.encode(), content, count=1)
    return changed if times else None


# --- summaries ----------------------------------------------------------------------------------------------
# Sent, then remembered: a run that is killed in between repeats one; none is lost.

FILE = ""
"""The target that is a file: no channel has this name."""


def due_targets(context: Context) -> list[str]:
    """Which targets have not heard of the last period that is over."""
    every = context.config.report.summary
    if every is None:
        return []
    told = {one.target: one.until for one in context.ledger.load(SummaryTold)}
    return [one for one in targets(context.config) if summary.due(told.get(one), every, clock.now())]


def tell(context: Context, targets: Sequence[str], found: Status) -> list[str | None]:
    """Tell these targets of the last period; what went wrong, as sentences. `found` is that of `status`."""
    every = context.config.report.summary
    if every is None or not targets:
        return []
    since, until = summary.period(every, clock.now())
    report = summary.document(found, context.ledger.history(), since, until)
    faults: list[str | None] = []
    for target in targets:
        faults.append(_give(context, target, report))
        if faults[-1] is None:
            context.ledger.save(SummaryTold(certificate="", target=target, until=until, at=clock.now()))
            context.journal.tell(
                EventName.TOLD, channel=target or context.config.report.summary_file, text="summary"
            )
    return faults


def targets(config: Config) -> list[str]:
    """Where a summary goes: channels by name, and FILE."""
    wish = config.report
    names = list(wish.summary_to)
    if not names and not wish.summary_file:
        names = [channel.name for channel in config.channels.values() if isinstance(channel, Email)]
    return names + ([FILE] if wish.summary_file else [])


def _give(context: Context, target: str, report: Summary) -> str | None:
    """To one target; what went wrong, if it did."""
    path = context.config.report.summary_file
    try:
        if target != FILE:
            send(context.config, context.config.channels[target], report, context.run)
        elif path is not None:
            return publish(path, forms.rendered(report, form_of(path)).encode("utf-8", "replace"))
    except RenewerError as error:
        return f"the summary did not go out by {target}: {error.text}; the next run tries again"
    return None


def form_of(path: str) -> str:
    """In which form a file is, by its name; text if that does not say."""
    return {"html": "html", "csv": "csv", "json": "json"}.get(path.rpartition(".")[2], "text")


def send(config: Config, channel: Channel, report: Summary, run: str) -> str:
    """Give a report to a channel. Raises RenewerError if it did not take it."""
    writer = Writer(host=config.agent.host, run=run, at=report.at, wake=config.agent.wake, config=config.path)
    notes = [forms.headline(report), *forms.figures(report)]
    news = (f"{report.since} {report.until}",)
    message = writer.note(channel.name, f"report: {forms.headline(report)}", notes, news=news)
    whole = Digest(text=forms.text(report), html=forms.html(report), csv=forms.comma_separated(report))
    return channels.send(channel, msgspec.structs.replace(message, report=whole), config.agent.proxy)


_MARK = b"renewer"
"""Stands in every page and every textfile of ours."""


def publish(path: str, content: bytes) -> str | None:
    """Write a file (absolute path) in one rename, readable by all; what people should know, as a sentence."""
    try:
        linked = files.link(path)
        files.replace(path, content, Rights(mode=PUBLIC_MODE), files.marked(path, _MARK))
    except ownership.LinkError as error:
        return f"{path} cannot be written: {error.strerror}; name its real path, or {error.danger.hint}"
    except OSError as error:
        remedy = durable.REMEDIES.get(error.errno or 0)
        return f"{path} cannot be written: {error.strerror}" + (f"; {remedy}" if remedy else "")
    except RenewerError as error:
        return f"{error.text}; {error.hint}" if error.hint else error.text
    if linked is not None:
        return f"{path} was a symbolic link to {linked}: it was replaced, and what it led to was not touched"
    return None
