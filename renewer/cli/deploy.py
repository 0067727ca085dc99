"""`renewer deploy NAME`."""

from typing import TYPE_CHECKING

import click

from renewer.cli import screen
from renewer.cli.limits import complete, limits_of
from renewer.cli.screen import Setup
from renewer.errors import UsageError
from renewer.model.decision import Step

if TYPE_CHECKING:
    from renewer.model.desired import Config
    from renewer.model.facts import Hold, Version


_PATIENCE = 30.0  # seconds for a timer's run that began between the two steps


@click.command("deploy")
@click.argument("names", nargs=-1, required=True, metavar="NAME…", shell_complete=complete)
@screen.json_option
@screen.pass_setup
def command(setup: Setup, names: tuple[str, ...], as_json: bool) -> int:
    """Make the servers load the newest version of a certificate again, now.

    Overrules the wait after a failed deployment, and holds. Orders nothing.
    """
    from renewer import lineage
    from renewer.cli.run import perform
    from renewer.context import Context
    from renewer.store.lock import Lock

    config = setup.config()
    limits = limits_of(config, names, f"{Step.INSTALL},{Step.DEPLOY},{Step.LOOK}", redeploy=True)
    with Lock(config.agent.state, group=config.agent.group), Context(config, write=True) as context:
        lineage.release(context, names)
    return perform(setup, config, limits, as_json=as_json, patience=_PATIENCE)


@click.command("rollback")
@click.argument("name", shell_complete=complete)
@click.option("--to", "version", metavar="VERSION", help="Which one, by id or serial; else the one before.")
@click.option("--reason", default="", metavar="TEXT", help="Why, for whoever reads status and log.")
@screen.json_option
@screen.pass_setup
def rollback(setup: Setup, name: str, version: str | None, reason: str, as_json: bool) -> int:
    """Serve an older version of a certificate again, now.

    What is newer is held: not served until a newer one is issued, `renewer deploy NAME` is typed, or the
    older one is about to expire. Orders nothing. See what there is: renewer versions NAME.
    """
    from renewer.cli.run import perform

    config = setup.config()
    limits = limits_of(config, (name,), f"{Step.DEPLOY},{Step.LOOK}", redeploy=True)
    target, holds = _hold(config, name, version, reason)
    if not as_json:
        held = ", ".join(one.version for one in holds)
        screen.say(f"{name}: back to version {target.id}; held: {held}")
    more = {"rolled_back_to": target.id, "held": [one.version for one in holds]}
    return perform(setup, config, limits, as_json=as_json, patience=_PATIENCE, more=more)


def _hold(config: "Config", name: str, version: str | None, reason: str) -> "tuple[Version, list[Hold]]":
    """The version to go back to, and what is held for it."""
    from renewer import inventory, lineage
    from renewer.context import Context
    from renewer.store.lock import Lock

    if len(reason) > 300 or not (reason.isprintable() or not reason):
        raise UsageError("the reason must be one line of at most 300 characters")
    with Lock(config.agent.state, group=config.agent.group), Context(config, write=True) as context:
        situation = inventory.take(context, [name])[name]
        target = lineage.choose(situation, version)
        return target, lineage.hold(context, situation, target, reason)
