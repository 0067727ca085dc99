"""`renewer rename OLD NEW`."""

import click

from renewer.cli import exits, screen
from renewer.cli.screen import Setup


@click.command("rename")
@click.argument("old")
@click.argument("new")
@screen.json_option
@screen.pass_setup
def command(setup: Setup, old: str, new: str, as_json: bool) -> int:
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
        return exits.OK
    screen.out(f"\u2713 {old} is called {new} now: {now}")
    screen.say(f"  {was} still leads there; once no server names it: renewer forget {old}")
    return exits.OK
