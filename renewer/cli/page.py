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
    from renewer.kit import Kit
    from renewer.model.facts import RunRecord
    from renewer.run import plan
    from renewer.tell import files
    from renewer.tell.publish import publish

    config = setup.config()
    path = os.path.abspath(path) if path not in (None, "-") else path or config.report.page or "-"
    with Kit(config, write=False) as kit:
        planned, situations = plan(kit, limits_of(config, (), None))
        runs = [record for record in kit.ledger.load(RunRecord) if record.host == kit.host]
        last = runs[-1] if runs else None
        document = files.document(kit, last, situations, planned)
        content = files.page(kit, document, (last.ended_at or last.at) if last else None)
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
                "certificates": len(document["certificates"]),
            }
        )
    elif path != "-":
        screen.say(f"{path} shows {len(document['certificates'])} certificates")
    return 0
