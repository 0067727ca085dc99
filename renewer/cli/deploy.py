"""`renewer deploy NAME`."""

import click

from renewer.cli import screen
from renewer.cli.limits import limits_of
from renewer.cli.screen import Setup
from renewer.model.decision import Step


@click.command("deploy")
@click.argument("names", nargs=-1, required=True, metavar="NAME…")
@screen.json_option
@screen.pass_setup
def command(setup: Setup, names: tuple[str, ...], as_json: bool) -> int:
    """Make the servers load the newest version of a certificate again, now.

    Overrules the wait after a failed deployment, and holds. Orders nothing.
    """
    from renewer.cli.run import perform

    config = setup.config()
    limits = limits_of(config, names, f"{Step.INSTALL},{Step.DEPLOY},{Step.LOOK}", redeploy=True)
    return perform(setup, config, limits, as_json=as_json)
