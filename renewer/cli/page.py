"""`renewer page`."""

import os

import click

from renewer.cli import screen
from renewer.cli.limits import limits_of
from renewer.cli.screen import Setup
from renewer.errors import StateError


@click.command("page")
@click.option(
    "--out", "path", metavar="FILE", help="Write it there, not where [report] page says; - prints it."
)
@screen.json_option
@screen.pass_setup
def command(setup: Setup, path: str | None, as_json: bool) -> int:
    """Write the page that shows how every certificate stands: one HTML file that needs nothing else.

    With `page` under [report] every run writes it. Without either it is printed.
    """
    from renewer.context import Context
    from renewer.model.facts import RunRecord
    from renewer.report import files
    from renewer.report.publish import publish
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
