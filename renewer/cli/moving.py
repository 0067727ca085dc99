"""`renewer import`: moving in from another client."""

import shlex
from typing import TYPE_CHECKING

import click

from renewer import clock, words
from renewer.cli import screen
from renewer.cli.screen import Setup
from renewer.moving.clients import CLIENTS, home

if TYPE_CHECKING:
    from renewer.model.desired import Config
    from renewer.moving.found import Gap
    from renewer.moving.importing import Imported
    from renewer.moving.planning import Coming, ImportPlan


@click.command("import")
@click.argument("client", type=click.Choice([*CLIENTS]))
@click.option("--from", "directory", metavar="DIR", help="Where its state lies.  [default: its usual place]")
@click.option("--only", multiple=True, metavar="NAME", help="Only this certificate; may be repeated.")
@click.option(
    "--challenge", metavar="NAME", help="Prove all of them by [challenge.NAME] of the configuration."
)
@click.option("--dry-run", is_flag=True, help="Show what would come; change nothing.")
@click.option("--yes", is_flag=True, help="Do not ask before commands of the client become hooks.")
@screen.json_option
@screen.pass_setup
def import_(
    setup: Setup,
    client: str,
    directory: str | None,
    only: tuple[str, ...],
    challenge: str | None,
    dry_run: bool,
    yes: bool,
    as_json: bool,
) -> int:
    """Bring certificates, keys, accounts and settings of another client along.

    Orders nothing and touches no server: keys and certificates become versions of ours, settings a new file
    below conf.d. What has no counterpart is listed. The client's own files stay as they are. Exit 1 if
    something was refused.
    """
    from renewer.moving import importing, planning

    tree = home(client, directory)
    found = CLIENTS[client].read(tree)
    first = importing.begin(setup.config_path)
    config = setup.config() if first is None else _beginning(setup, first)
    plan = planning.plan(config, found, clock.now(), only=only, challenge=challenge)
    whole = importing.checked(config, plan, first)
    if dry_run:
        return _told(plan, importing.forecast(whole, plan), as_json=as_json, dry=True)
    if plan.text and any(one.hooks for one in plan.coming) and not yes and screen.is_terminal():
        _show_hooks(plan)
        screen.confirm(f"These become hooks in {plan.path}.")
    result = _carry_out(whole, plan, first)
    return _told(plan, result, as_json=as_json, dry=False)


def _beginning(setup: Setup, first: str) -> "Config":
    import os

    from renewer.config.load import load

    path = os.path.abspath(setup.config_path)
    return load(path, drafts={path: first.replace("include", "# include")})


def _carry_out(config: "Config", plan: "ImportPlan", first: str | None) -> "Imported":
    from renewer.context import Context
    from renewer.moving import importing
    from renewer.store.lock import Lock

    with Lock(config.agent.state, group=config.agent.group), Context(config, write=True) as context:
        return importing.carry_out(context, plan, first)


def _show_hooks(plan: "ImportPlan") -> None:
    for argv in dict.fromkeys(argv for one in plan.coming for argv in one.hooks):
        screen.say(f"  {shlex.join(argv)}")


def _told(plan: "ImportPlan", result: "Imported", *, as_json: bool, dry: bool) -> int:
    if as_json:
        screen.emit(_document(plan, result, dry=dry))
    else:
        _print(plan, result, dry=dry)
    return screen.FAILED if plan.refused else screen.OK


def _print(plan: "ImportPlan", result: "Imported", *, dry: bool) -> None:
    client, found = plan.found.client, plan.found
    screen.out(
        f"{client} in {found.directory}: {words.count(len(plan.coming) + len(plan.refused), 'certificate')}"
    )
    became = dict(result.certificates)
    for one in plan.coming:
        _print_one(one, became[one.name], dry=dry)
    for name in plan.watches:
        screen.out(f"✓ {name}: watched; {client} goes on renewing it")
    for remark in plan.refused:
        screen.out(f"✗ {sentence(remark)}")
    for name, brought in result.accounts:
        screen.out(f"account at {name}: {_ACCOUNT[brought.value]}")
    for remark in plan.remarks:
        screen.out(f"note: {sentence(remark)}")
    if plan.text:
        screen.out(f"{plan.path} {'would be written' if dry else 'was written'}:")
        for line in plan.text.splitlines():
            screen.out(f"  {line}" if line else "")
    if dry:
        screen.say("nothing was changed")
    elif plan.coming:
        from renewer.moving.takeover import CLIENTS as TAKEN

        then = f"renewer takeover {client}" if client in TAKEN else _OTHERWISE
        screen.say(f"next: renewer rehearse --all; then: {then}")


_OTHERWISE = "switch it off where it is called, and renewer timer install"
_ACCOUNT = {
    "taken": "its key comes along",
    "there": "it is ours already",
    "other": "renewer has one of its own there, which stays",
}


def _print_one(one: "Coming", became: str, *, dry: bool) -> None:
    state = {"there": "is here already", "imported": "comes along" if dry else "imported"}[became]
    names = ", ".join(map(str, one.leaf.names))
    screen.out(f"✓ {one.name}: {state}; {names}; valid until {one.leaf.not_after:%Y-%m-%d}")
    for argv in one.hooks:
        screen.out(f"    hook: {shlex.join(argv)}")
    for remark in one.remarks:
        screen.out(f"    note: {remark.text}" + (f"; {remark.hint}" if remark.hint else ""))


def sentence(remark: "Gap") -> str:
    """What does not come along, whose it is, and what to do."""
    return f"{remark.about}: {remark.text}" + (f" → {remark.hint}" if remark.hint else "")


def _document(plan: "ImportPlan", result: "Imported", *, dry: bool) -> dict[str, object]:
    became = dict(result.certificates)
    remarks = [*plan.remarks, *(remark for one in plan.coming for remark in one.remarks)]
    return {
        "schema": screen.SCHEMA,
        "client": plan.found.client,
        "directory": plan.found.directory,
        "dry_run": dry,
        "file": plan.path or None,
        "text": plan.text,
        "certificates": [
            {
                "name": one.name,
                "old": one.old,
                "names": list(map(str, one.leaf.names)),
                "not_after": one.leaf.not_after,
                "serial": one.leaf.serial,
                "version": one.version.id,
                "result": became[one.name],
                "hooks": one.hooks,
                "files": one.seen,
            }
            for one in plan.coming
        ],
        "watches": plan.watches,
        "accounts": [{"authority": name, "result": brought.value} for name, brought in result.accounts],
        "refused": [{"name": one.about, "text": one.text, "hint": one.hint} for one in plan.refused],
        "remarks": [{"about": one.about, "text": one.text, "hint": one.hint} for one in remarks],
    }
