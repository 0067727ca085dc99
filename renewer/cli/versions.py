"""`renewer versions NAME`."""

from typing import TYPE_CHECKING

import click

from renewer import clock, words
from renewer.cli import screen
from renewer.cli.limits import complete
from renewer.cli.screen import Setup
from renewer.errors import UsageError
from renewer.model.status import VersionsDocument, VersionStatus

if TYPE_CHECKING:
    from renewer.context import Context


@click.command("versions")
@click.argument("name", shell_complete=complete)
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
        return screen.OK
    _print(document)
    return screen.OK


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


@click.command("rename")
@click.argument("old")
@click.argument("new", shell_complete=complete)
@screen.json_option
@screen.pass_setup
def rename(setup: Setup, old: str, new: str, as_json: bool) -> int:
    """Let a certificate's versions follow its new name, after its table in the configuration was renamed.

    Nothing is ordered again. The old path stays as a link, so that servers whose configuration names it go on
    working; once none does: renewer forget OLD.
    """
    from renewer import lineage
    from renewer.context import Context
    from renewer.store.lock import Lock

    config = setup.config()
    with Lock(config.agent.state, group=config.agent.group), Context(config, write=True) as context:
        lineage.rename(context, old, new)
        was, now = context.store.path(old), context.store.path(new)
    if as_json:
        screen.emit({"schema": screen.SCHEMA, "certificate": new, "renamed_from": old, "live": now})
        return screen.OK
    screen.out(f"\u2713 {old} is called {new} now: {now}")
    screen.say(f"  {was} still leads there; once no server names it: renewer forget {old}")
    return screen.OK


@click.command("forget")
@click.argument("name", shell_complete=complete)
@click.option("--even-if-served", is_flag=True, help="Though a port still shows it.")
@click.option("--yes", is_flag=True, help="Do not ask, and do it though a port still shows it.")
@screen.json_option
@screen.pass_setup
def forget(setup: Setup, name: str, even_if_served: bool, yes: bool, as_json: bool) -> int:
    """Delete what is on disk of a certificate that no configuration names: its versions and their keys.

    Not while a port where it was seen still serves it, unless you say --yes. Copies elsewhere stay; so does
    the history. It is not revoked by that: while it is configured, renewer revoke NAME does it.
    """
    from renewer import lineage
    from renewer.context import Context
    from renewer.store.lock import Lock

    config = setup.config()
    if not yes:
        with Context(
            config, write=False
        ) as context:  # whoever thinks about it must not keep the timer's run waiting
            _ask(context, name, even_if_served=even_if_served)
    with Lock(config.agent.state, group=config.agent.group), Context(config, write=True) as context:
        link = context.store.alias(name)
        _refuse(context, name, even_if_served=even_if_served, yes=yes)
        left = lineage.forget(context, name)
    if as_json:
        screen.emit({"schema": screen.SCHEMA, "certificate": name, "forgotten": True, "copies": left})
        return screen.OK
    screen.out(f"\u2713 {name} is forgotten" + (f"; {link} stays" if link else ""))
    for path in left:
        screen.say(f"  {path} was copied from it and stays")
    return screen.OK


def _refuse(context: "Context", name: str, *, even_if_served: bool, yes: bool = False) -> None:
    """Raise UsageError if it must not be forgotten."""
    from renewer import lineage

    why = lineage.why_not_forget(context, name, though_served=yes)
    known = lineage.is_left(context, name)
    if why and not (even_if_served and known):
        text, hint = why
        raise UsageError(text, hint=hint)


def _ask(context: "Context", name: str, *, even_if_served: bool) -> None:
    """Say what will be gone, and ask; of a link nothing will."""
    from renewer import lineage

    _refuse(context, name, even_if_served=even_if_served)
    if context.store.alias(name):
        return
    found = lineage.contents(context, name).versions
    last = f", the newest expires {words.stamp(found[0].leaf.not_after)}" if found else ""
    screen.confirm(f"{len(found)} versions of {name} are deleted with their keys{last}.")
