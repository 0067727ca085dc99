"""`renewer versions NAME`."""

import click

from renewer import clock, words
from renewer.cli import exits, screen
from renewer.cli.screen import Setup
from renewer.model.status import VersionsDocument, VersionStatus


@click.command("versions")
@click.argument("name")
@screen.json_option
@screen.pass_setup
def command(setup: Setup, name: str, as_json: bool) -> int:
    """List the versions of a certificate, the newest first. Changes nothing.

    Also of one that is on disk and in no configuration. To serve an older one: renewer rollback NAME.
    """
    from renewer.context import Context
    from renewer.lineage import contents
    from renewer.report.documents import versions_document

    with Context(setup.config(), write=False) as context:
        document = versions_document(contents(context, name), clock.now())
    if as_json:
        screen.emit(document)
        return exits.OK
    _print(document)
    return exits.OK


def _print(document: VersionsDocument) -> None:
    versions = document.versions
    if not versions:
        screen.out(f"{document.certificate}: nothing was issued yet")
    else:
        header = ("version", "state", "issued", "expires", "key", "names", "authority")
        screen.table(header, [_row(one) for one in versions], [_style(one) for one in versions])
    for one in versions:
        if one.held:
            why = f": {one.held.why}" if one.held.why else ""
            at = words.stamp(one.held.at)
            screen.out(f"{one.id} is held since {at} by {one.held.by}{why}")
    for fault in document.faults:
        screen.out(f"note: {fault}")


def _row(one: VersionStatus) -> tuple[str, ...]:
    return (
        one.id,
        ", ".join(one.state) or "-",
        words.stamp(one.not_before),
        words.stamp(one.not_after),
        one.key or "-",
        _names(one),
        one.authority or "-",
    )


def _names(one: VersionStatus) -> str:
    """What is new and what is gone against the version before; all of them where nothing was before."""
    if one.added is None:
        return " ".join(one.names)
    changes = [f"+{name}" for name in one.added] + [f"-{name}" for name in one.removed]
    return " ".join(changes) or "the same"


def _style(one: VersionStatus) -> str:
    if "live" in one.state:
        return "green"
    return "red" if {"revoked", "expired"} & set(one.state) else "yellow" if one.held else ""
