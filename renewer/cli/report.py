"""`renewer report`."""

import os
from datetime import timedelta
from typing import TYPE_CHECKING

import click

from renewer import clock, words
from renewer.cli import screen
from renewer.cli.limits import limits_of
from renewer.cli.screen import Setup
from renewer.errors import RenewerError, StateError, UsageError
from renewer.report import together

if TYPE_CHECKING:
    from collections.abc import Sequence

    from renewer.model.desired import Config
    from renewer.report.summary import Summary


_FORMS = ("text", "html", "csv", "json")


@click.command("report")
@click.option(
    "--since", default="30d", show_default=True, metavar="SPAN", help="How far back: 7d, 12h, at most 400d."
)
@click.option(
    "--format", "form", type=click.Choice(_FORMS), help="Default: text, or what the name of FILE says."
)
@click.option("--out", "path", metavar="FILE", help="Write it there.")
@click.option("--mail", is_flag=True, help="Send it, as a summary would be: by `summary_to`, or all mail.")
@click.option(
    "--readiness", is_flag=True, help="Say instead which certificates of this host are ready for 47 days."
)
@screen.json_option
@screen.pass_setup
def command(
    setup: Setup, since: str, form: str | None, path: str | None, mail: bool, readiness: bool, as_json: bool
) -> int:
    """Say what came of the last days: renewals, failures, time to recover, days of margin, what expires next.

    Exit: 0; 1 if a channel did not take it.
    """
    from renewer.report import forms
    from renewer.report.files import form_of, publish

    form = "json" if as_json and path is None else form or (form_of(path) if path else "text")
    if readiness:
        from renewer.cli.readiness import show

        if mail or form == "csv":
            raise UsageError(
                "readiness is not mailed, and no CSV", hint="use --out FILE with text, html or json"
            )
        content = show(setup, form)
    else:
        config = setup.config()
        report = _report(config, _span(since))
        if mail:
            return _send(config, report, as_json=as_json)
        if form == "text" and path is None and screen.is_terminal():
            _draw(report)
            return screen.OK
        content = forms.rendered(report, form)
    if path is None:
        screen.out(content.rstrip("\n"))
    elif fault := publish(os.path.abspath(path), content.encode("utf-8", "replace")):
        raise StateError(fault, hint="name another file with --out", kind="report")
    elif as_json:
        screen.emit({"schema": screen.SCHEMA, "path": os.path.abspath(path), "format": form})
    return screen.OK


def _draw(report: "Summary") -> None:
    """For a person: tables that fit, and failures with the same cause together."""
    from renewer.report import forms

    for line in (forms.title(report), forms.headline(report).capitalize() + ".", *forms.figures(report)):
        screen.out(line)
    for table in forms.tables(report):
        screen.out()
        screen.out(table.title)
        rows = list(table.rows)
        if table.heads[-1] == "what failed":
            groups = together.by_cause((row[1], "\0".join(row[2:]), row) for row in rows)
            rows = [(group.items[0][0], _who(group.names), *group.items[0][2:]) for group in groups]
        if rows:
            screen.table(table.heads, rows)
        else:
            screen.out(f"  {table.nothing}")


def _who(names: "Sequence[str]") -> str:
    if len(names) <= together.FEW:
        return ", ".join(names)
    return f"{words.count(len(names), 'certificate')}, e.g. {names[0]}"


def _span(text: str) -> timedelta:
    from renewer.model.keys import duration

    try:
        return duration(text, "1h", "400d")
    except ValueError as error:
        raise UsageError(f"--since {error}", hint="as in --since 30d") from None


def _report(config: "Config", span: timedelta) -> "Summary":
    from renewer.context import Context
    from renewer.report import files, summary
    from renewer.run import plan

    with Context(config, write=False) as context:
        planned, situations = plan(context, limits_of(config, (), None))
        found = files.document(context, None, situations, planned)
        history = context.ledger.history()
    now = clock.now()
    return summary.document(found, history, now - span, now)


def _send(config: "Config", report: "Summary", *, as_json: bool) -> int:
    """To every channel that would get a summary; says how it went."""
    from renewer.context import run_id
    from renewer.report.files import FILE, send, targets

    names = [name for name in targets(config) if name != FILE]
    if not names:
        raise UsageError(
            f"no channel of {config.path} sends mail",
            hint='write [notify.X] with type = "email", or name channels: summary_to in [report]',
        )
    results: list[dict[str, object]] = []
    for name in names:
        row: dict[str, object] = {"channel": name, "taken": True, "text": "", "hint": ""}
        try:
            row["text"] = send(config, config.channels[name], report, run_id(clock.now(), config.agent.host))
        except RenewerError as error:
            row |= {"taken": False, "text": error.text, "hint": error.hint}
        results.append(row)
        if not as_json:
            screen.out(f"{name}: {'sent' if row['taken'] else 'NOT sent: ' + str(row['text'])}")
    if as_json:
        screen.emit({"schema": screen.SCHEMA, "at": clock.now(), "channels": results})
    return screen.OK if all(row["taken"] for row in results) else screen.FAILED


@click.command("page")
@click.option(
    "--out", "path", metavar="FILE", help="Write it there, not where [report] page says; - prints it."
)
@screen.json_option
@screen.pass_setup
def page(setup: Setup, path: str | None, as_json: bool) -> int:
    """Write the page that shows how every certificate stands: one HTML file that needs nothing else.

    With `page` under [report] every run writes it. Without either it is printed.
    """
    from renewer.context import Context
    from renewer.model.facts import RunRecord
    from renewer.report import files
    from renewer.report.files import publish
    from renewer.run import plan

    config = setup.config()
    path = os.path.abspath(path) if path not in (None, "-") else path or config.report.page or "-"
    with Context(config, write=False) as context:
        planned, situations = plan(context, limits_of(config, (), None))
        runs = [record for record in context.ledger.load(RunRecord) if record.host == context.host]
        last = runs[-1] if runs else None
        document = files.document(context, last, situations, planned)
        content = files.page(context, document, (last.ended_at or last.at) if last else None)
    if path == "-":
        if not as_json:
            screen.out(content.decode().rstrip("\n"))
    elif fault := publish(path, content):
        raise StateError(fault, hint="name another file with --out", kind="page")
    if as_json:
        screen.emit(
            {
                "schema": screen.SCHEMA,
                "path": path,
                "bytes": len(content),
                "certificates": len(document.certificates),
            }
        )
    elif path != "-":
        screen.say(f"{path} shows {len(document.certificates)} certificates")
    return 0
