"""`renewer forget NAME`."""

from typing import TYPE_CHECKING

import click

from renewer import words
from renewer.cli import exits, screen
from renewer.cli.screen import Setup
from renewer.errors import UsageError

if TYPE_CHECKING:
    from renewer.context import Context


@click.command("forget")
@click.argument("name")
@click.option("--even-if-served", is_flag=True, help="Though a port still shows it.")
@click.option("--yes", is_flag=True, help="Do not ask, and do it though a port still shows it.")
@screen.json_option
@screen.pass_setup
def command(setup: Setup, name: str, even_if_served: bool, yes: bool, as_json: bool) -> int:
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
        return exits.OK
    screen.out(f"\u2713 {name} is forgotten" + (f"; {link} stays" if link else ""))
    for path in left:
        screen.say(f"  {path} was copied from it and stays")
    return exits.OK


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
