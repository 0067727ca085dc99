"""`renewer revoke NAME`."""

from typing import TYPE_CHECKING

import click

from renewer.cli import screen
from renewer.cli.limits import complete, limits_of
from renewer.cli.screen import Setup

if TYPE_CHECKING:
    from renewer.model.desired import Config
    from renewer.revoke import Revocation

_REASONS = ("keyCompromise", "superseded", "cessationOfOperation", "affiliationChanged", "unspecified")
_PATIENCE = 30.0  # seconds for a timer's run that began between the two steps


@click.command("revoke")
@click.argument("name", shell_complete=complete)
@click.option(
    "--version", "version", metavar="VERSION", help="Which one, by id or serial; else the live one."
)
@click.option("--reason", type=click.Choice(_REASONS), default="unspecified", show_default=True)
@click.option("--with-key", is_flag=True, help="By the certificate's own key, not by the account.")
@click.option(
    "--keep", is_flag=True, help="Order no replacement now; the next run does, while it is configured."
)
@click.option("--yes", is_flag=True, help="Do not ask.")
@screen.json_option
@screen.pass_setup
def command(
    setup: Setup,
    name: str,
    version: str | None,
    reason: str,
    with_key: bool,
    keep: bool,
    yes: bool,
    as_json: bool,
) -> int:
    """Have a certificate revoked for good, and replaced at once.

    What is served stays served until the replacement is seen at its ports; the revoked version never comes
    back. With the reason keyCompromise every version with that key is revoked, and the key is
    never used again.
    """
    from renewer.cli.run import perform

    config = setup.config()
    limits = limits_of(config, (name,), None, force=True)
    revoked, replace = _revoke(config, name, version, reason, with_key=with_key, yes=yes)
    told = [{"version": one.version, "serial": one.serial, "by": one.by} for one in revoked]
    if not as_json:
        for one in revoked:
            screen.out(f"\u2713 {name}: version {one.version} is revoked (serial {one.serial}, by {one.by})")
    if replace and not keep:
        return perform(setup, config, limits, as_json=as_json, patience=_PATIENCE, more={"revoked": told})
    if as_json:
        screen.emit({"schema": screen.SCHEMA, "certificate": name, "revoked": told})
    elif replace:
        screen.say(f"{name} is served with a revoked certificate until the next run replaces it")
    return screen.OK


def _revoke(
    config: "Config", name: str, version: str | None, reason: str, *, with_key: bool, yes: bool
) -> "tuple[list[Revocation], bool]":
    """What was revoked, and whether something must take its place."""
    from renewer import clock, inventory
    from renewer.context import Context
    from renewer.errors import UsageError
    from renewer.policy.wanted import wanted
    from renewer.revoke import choose, revoke
    from renewer.store.lock import Lock

    with Context(config, write=False) as context:  # asking must not keep a timer's run waiting
        situation = inventory.take(context, [name]).get(name)
        if situation is None:
            hosts = ", ".join(config.certificates[name].hosts)
            raise UsageError(f"{name} is not for this host", hint=f"revoke it on one of: {hosts}")
        chosen = choose(situation, version)
    if not yes:
        what = f"Version {chosen.id} of {name} (serial {chosen.leaf.serial}) is revoked for good"
        live = ", and it is live" if chosen.id == situation.live else ""
        screen.confirm(f"{what}{live}.")
    lock = Lock(config.agent.state, group=config.agent.group).acquire(_PATIENCE)
    with lock, Context(config, write=True) as context:
        situation = inventory.take(context, [name])[name]
        revoked = revoke(context, situation, choose(situation, chosen.id), reason, with_key=with_key)
        after = inventory.take(context, [name])[name]
        return revoked, wanted(after, clock.now()) is None
