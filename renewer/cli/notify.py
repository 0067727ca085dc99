"""`renewer notify`: do the channels work?"""

import click

from renewer import clock
from renewer.cli import exits, screen
from renewer.cli.screen import Setup
from renewer.errors import RenewerError, UsageError
from renewer.model.desired import Config


@click.group()
def command() -> None:
    """Try the channels that tell people."""


@command.command()
@click.argument("name", required=False)
@screen.json_option
@screen.pass_setup
def test(setup: Setup, name: str | None, as_json: bool) -> int:
    """Send a sample through each channel, or the one of that name, and say how it went.

    Exit: 0 all took it, 1 one did not.
    """
    from renewer.context import run_id
    from renewer.notify import channels
    from renewer.notify.notices import sample

    config = setup.config()
    names = _chosen(config, name)
    run = run_id(clock.now(), config.agent.host)
    results: list[dict[str, object]] = []
    for one in names:
        channel = config.channels[one]
        row: dict[str, object] = {"channel": one, "taken": True, "text": "", "hint": ""}
        try:
            row["text"] = channels.send(channel, sample(config, run, channel), config.agent.proxy)
        except RenewerError as error:
            row |= {"taken": False, "text": error.text, "hint": error.hint}
        results.append(row)
        if not as_json:
            _print(row)
    if as_json:
        screen.emit({"schema": screen.SCHEMA, "at": clock.now(), "run": run, "channels": results})
    return exits.OK if all(row["taken"] for row in results) else exits.FAILED


def _chosen(config: Config, name: str | None) -> list[str]:
    known = list(config.channels)
    if name is None:
        if not known:
            raise UsageError(
                f"there is no channel in {config.path}", hint="write a table [notify.X]; see docs/notices.md"
            )
        return known
    if name not in known:
        hint = f"there are: {', '.join(known) or 'none'}"
        raise UsageError(f"there is no channel '{name}' in {config.path}", hint=hint)
    return [name]


def _print(row: dict[str, object]) -> None:
    mark, said = ("✓", "took the sample") if row["taken"] else ("✗", "did not take it")
    screen.out(f"{mark} {row['channel']}: {said}" + (f": {row['text']}" if row["text"] else ""))
    if row["hint"]:
        screen.out(f"    → {row['hint']}")
