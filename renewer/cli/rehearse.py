"""`renewer rehearse`: the whole issuance at the authority's staging, with nothing changed."""

from contextlib import nullcontext
from typing import TYPE_CHECKING

import click

from renewer.cli import screen
from renewer.cli.limits import complete, limits_of
from renewer.cli.screen import Setup
from renewer.errors import UsageError

if TYPE_CHECKING:
    from renewer.rehearse import Played


@click.command("rehearse")
@click.argument("names", nargs=-1, metavar="[NAME…]", shell_complete=complete)
@click.option("--all", "everything", is_flag=True, help="All certificates, spelled out if there are several.")
@click.option("--authority", metavar="NAME", help="Rehearse there, not at the authority's own staging.")
@screen.json_option
@screen.pass_setup
def command(
    setup: Setup, names: tuple[str, ...], everything: bool, authority: str | None, as_json: bool
) -> int:
    """Play the whole issuance at the authority's staging, through the real challenges; nothing is installed.

    The hooks' test is run against what is live now. Exit 0 only if everything would work in production.

    Takes the agent's lock, as a run does: it answers challenges at the same ports and files, and two at a
    time would take each other's away.
    """
    from renewer.cli.run import stop_gently, watching
    from renewer.context import Context
    from renewer.model.decision import Result
    from renewer.rehearse import rehearse
    from renewer.store.lock import Lock

    config = setup.config()
    limits_of(config, names, None)
    if not names and not everything and len(config.certificates) > 1:
        raise UsageError(
            "say which certificate, or --all", hint="there are: " + ", ".join(config.certificates)
        )
    chosen = names or tuple(config.certificates)
    watcher = watching(setup, as_json=as_json)
    lock = Lock(config.agent.state, group=config.agent.group)
    with lock, watcher or nullcontext(), Context(config, write=True) as context:
        stop_gently(context)
        steps = rehearse(context, chosen, authority, watcher)
    well = all(step.result is Result.DONE or step.step == "give-up" for step in steps)
    if as_json:
        screen.emit({"schema": screen.SCHEMA, "well": well, "steps": steps})
    else:
        _print(steps, well=well)
    return screen.OK if well else screen.FAILED


def _print(steps: "list[Played]", *, well: bool) -> None:
    from renewer.cli.log_story import MARKS

    for step in sorted(steps, key=lambda step: step.certificate):
        screen.out(f"{MARKS[step.result]} {step.certificate}: {step.step}: {step.detail}")
        if step.hint:
            screen.out(f"    → {step.hint}")
    screen.out("all of it would work in production" if well else "in production this would not work yet")
