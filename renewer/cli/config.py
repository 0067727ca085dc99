"""`renewer config`: is the configuration right, and what may stand in it."""

from typing import TYPE_CHECKING

import click

from renewer import words
from renewer.cli import screen
from renewer.errors import ConfigError, Fault
from renewer.model.desired import Config

if TYPE_CHECKING:
    from collections.abc import Sequence

    from renewer.doctor import world


@click.group()
def command() -> None:
    """Check the configuration, or print its schema."""


@command.command()
@screen.json_option
@screen.pass_setup
def check(setup: screen.Setup, as_json: bool) -> int:
    """Read the configuration and tell everything that is wrong with it; exit 2 if anything is.

    Looks at this host, too (webroots, secrets, hooks, owners, directories), and at what is known of
    authorities. Asks nobody on the net.
    """
    from renewer.doctor import world

    config = setup.config()
    if found := world.faults(config):
        raise ConfigError(_placed(config, found))
    notes = world.notes(config)
    if as_json:
        counts = {
            "certificates": len(config.certificates),
            "authorities": len(config.authorities),
            "hooks": len(config.hooks),
        }
        more: dict[str, object] = {}
        if notes:
            more = {"notes": [one.text for one in notes]}
            more["advice"] = [{"text": one.text, "hint": one.hint} for one in notes if one.hint]
        screen.emit({"schema": screen.SCHEMA, "path": config.path, **counts, **more})
        return screen.OK
    parts = (
        words.count(len(config.certificates), "certificate"),
        _count(len(config.authorities), "authority", "authorities"),
        words.count(len(config.hooks), "hook"),
    )
    screen.out(f"{', '.join(parts)}: {'fine, but' if notes else 'fine'}")
    for note in notes:
        screen.out(f"  {note.text}")
        if note.hint:
            screen.out(f"    → {note.hint}")
    return screen.OK


@command.command()
def schema() -> int:
    """Print the JSON Schema of the configuration, for editors.

    With taplo (Even Better TOML), write it to a file and begin the configuration with `#:schema FILE`.
    """
    from renewer.config.schema import json_schema

    screen.emit(json_schema())
    return screen.OK


def _placed(config: Config, found: "Sequence[world.Amiss]") -> tuple[Fault, ...]:
    """The same with file and line."""
    from renewer.config.faults import dotted
    from renewer.config.load import finder

    find = finder(config.path)
    placed = []
    for path, text, hint in found:
        file, line = find(path)
        placed.append(Fault(path=dotted(path), text=text, hint=hint, file=file, line=line))
    return tuple(sorted(placed, key=lambda one: (one.file != config.path, one.file, one.line or 0)))


def _count(number: int, one: str, several: str) -> str:
    return f"{number} {one if number == 1 else several}"
