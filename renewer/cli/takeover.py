"""`renewer takeover`: the other client's paths lead to our certificates; and the way back."""

import os
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

import click

from renewer import clock
from renewer.cli import screen, timer
from renewer.cli.moving import sentence
from renewer.cli.screen import Setup
from renewer.moving.clients import CLIENTS, home

if TYPE_CHECKING:
    from renewer.context import Context
    from renewer.model.desired import Config
    from renewer.moving.reading import Tree

_KINDS = ("certbot", "acme.sh", "lego", "dehydrated")


@click.command("takeover")
@click.argument("client", type=click.Choice(_KINDS))
@click.option("--from", "directory", metavar="DIR", help="Where its state lies.  [default: its usual place]")
@click.option("--undo", is_flag=True, help="Hand everything back, with the newest certificates.")
@click.option("--links-anyway", is_flag=True, help="Though somebody may read certbot's keys, and not ours.")
@screen.pass_setup
def command(setup: Setup, client: str, directory: str | None, undo: bool, links_anyway: bool) -> int:
    """Let the other client's paths lead to our certificates, so that no server needs an edit.

    After it the client finds nothing to renew or to delete there. Only what was imported is taken. Once all
    is taken what calls the client is switched off, and our own timer on. A kill at any instant is finished by
    saying it again, or undone by --undo.
    """
    from renewer.context import Context
    from renewer.store.lock import Lock

    tree = home(client, directory)
    config = setup.config()
    lock = Lock(config.agent.state, group=config.agent.group)
    with lock, _held(client, tree):
        if undo:
            with Context(config, write=True) as context:
                return _undone(context, tree, client)
        from renewer.moving import takeover

        takeover.finish(client, tree)
        config, kept = _followed(config, tree, client, links_anyway=links_anyway)
        with Context(config, write=True) as context:
            code = _taken(context, tree, client, kept)
            if code == screen.OK:
                _switched(context, tree, client)
    if code == screen.OK:
        _start_ours(config)
    else:
        screen.say(f"what calls {client} stays as it is, for what was not taken")
    if client == "certbot":
        screen.say(f"never purge certbot while servers read its paths: apt purge removes {tree.root}")
    return code


def _held(client: str, tree: "Tree") -> AbstractContextManager[None]:
    from renewer.moving import links

    return links.held(tree) if client == links.CLIENT else nullcontext()


def _followed(
    config: "Config", tree: "Tree", client: str, *, links_anyway: bool
) -> "tuple[Config, dict[str, str]]":
    """The configuration with copies where links would not do, and what must not be taken for want of them."""
    from renewer.moving import links, planning, takeover

    if client != links.CLIENT or links_anyway:
        return config, {}
    coming = planning.plan(config, CLIENTS[client].read(tree), clock.now()).coming
    config, reasons, lost = takeover.follow(config, tree, coming)
    kept = {}
    for one in coming:
        if one.old in lost:
            line = f"copies = {takeover.copies(one)}"
            kept[one.old] = f"{reasons[one.old]}: write into [certificate.{one.name}]: {line}"
        elif one.old in reasons:
            screen.say(f"{one.old}: {reasons[one.old]}; so its files there will be copies of ours")
    return config, kept


def _taken(context: "Context", tree: "Tree", client: str, kept: "dict[str, str]") -> int:
    from renewer.moving import planning, takeover

    plan = planning.plan(context.config, CLIENTS[client].read(tree), clock.now())
    code = screen.OK
    for old, why in kept.items():
        screen.out(f"✗ {old}: {why}; or, if nobody there reads it: --links-anyway")
        code = screen.FAILED
    for one in takeover.take(context, tree, client, [one for one in plan.coming if one.old not in kept]):
        screen.out(f"{'✓' if one.taken else '✗'} {one.old}: {one.text}")
        code = code if one.taken else screen.FAILED
    for gap in plan.refused:
        screen.out(f"✗ {sentence(gap)}")
        code = screen.FAILED
    return code


def _switched(context: "Context", tree: "Tree", client: str) -> None:
    from renewer.moving import callers

    for said in callers.off(context, client, None if _is_usual(client, tree) else tree.root):
        screen.say(said)


def _is_usual(client: str, tree: "Tree") -> bool:
    usual = {os.path.realpath(os.path.expanduser(one)) for one in CLIENTS[client].homes}
    return os.path.realpath(tree.root) in usual


def _start_ours(config: "Config") -> None:
    from renewer import wakers

    if not wakers.callers():
        timer.begin(config, Path(timer.SYSTEM))


def _undone(context: "Context", tree: "Tree", client: str) -> int:
    from renewer.moving import callers, importing, planning, takeover

    config = context.config
    names = takeover.taken(context, client, tree)
    for name in names:
        takeover.undo(context, client, tree, name)
        screen.out(f"✓ {name}: {client}'s again, with the newest certificate")
    if not names:
        screen.out("nothing was taken over")
    plan = planning.plan(config, CLIENTS[client].read(tree), clock.now())
    mine = [one.name for one in plan.coming if one.configured]
    moved, left = importing.withdraw(config, client, mine)
    for path in moved:
        screen.out(f"{path}: what was configured here for them, moved aside")
    if left:
        screen.say(f"take them out of our configuration, or both will renew them: {', '.join(left)}")
    takeover.forget(context, set(mine) - set(left))
    for said in callers.on(context, client):
        screen.say(said)
    if not set(config.certificates) - set(mine):
        screen.say("nothing is left for us to renew: renewer timer remove")
    return screen.OK
