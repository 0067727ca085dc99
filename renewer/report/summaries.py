"""Summaries: the report of the last week or month, told once to each channel and into a file.

The order is: send, remember. A run that is killed in between repeats one; none is lost.
"""

from collections.abc import Sequence

import msgspec

from renewer import clock, durable, ownership
from renewer.context import Context
from renewer.copies import files
from renewer.copies.rights import PUBLIC_MODE, Rights
from renewer.errors import RenewerError
from renewer.model.decision import EventName
from renewer.model.desired import Channel, Config, Email
from renewer.model.status import Status
from renewer.model.told import SummaryTold
from renewer.notify import channels
from renewer.notify.message import Digest
from renewer.notify.writing import Writer
from renewer.report import forms, summary
from renewer.report.summary import Summary

FILE = ""
"""The target that is a file: no channel has this name."""


def due(context: Context) -> list[str]:
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
