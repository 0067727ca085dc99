"""`renewer deploy NAME`."""

import click

from renewer.cli import screen
from renewer.cli.limits import limits_of
from renewer.cli.screen import Setup
from renewer.model.decision import Step

_PATIENCE = 30.0  # seconds for a timer's run that began between the two steps


@click.command("deploy")
@click.argument("names", nargs=-1, required=True, metavar="NAME…")
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
