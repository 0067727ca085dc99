"""`renewer hooks`: the deploy hooks that come with the package, to use as they are or to begin from."""

import os
from pathlib import Path

import click

from renewer.cli import exits, screen
from renewer.config import shipped
from renewer.errors import UsageError


@click.group()
def command() -> None:
    """List, show or copy the shipped deploy hooks.

    A shipped hook is named in the configuration as it is: hooks = ["nginx"].
    """


@command.command("list")
@screen.json_option
def list_(*, as_json: bool) -> int:
    """List the shipped hooks, each with what it does."""
    hooks = [(path.name, _summary(path), str(path)) for path in _shipped()]
    if as_json:
        documents = [{"name": name, "text": text, "path": path} for name, text, path in hooks]
        screen.emit({"schema": screen.SCHEMA, "hooks": documents})
        return exits.OK
    width = max((len(name) for name, _, _ in hooks), default=0)
    for name, text, _ in hooks:
        screen.out(f"{name:{width}}  {text}" if screen.is_terminal() else f"{name}\t{text}")
    return exits.OK


@command.command()
@click.argument("name")
def show(name: str) -> int:
    """Print a shipped hook; its header says what it needs and how to configure it."""
    screen.out(_find(name).read_text().removesuffix("\n"))
    return exits.OK


@command.command()
@click.argument("name")
@click.argument("dest", type=click.Path(path_type=Path))
def copy(name: str, dest: Path) -> int:
    """Copy a shipped hook to DEST (a new file, or a directory) to change it there."""
    source = _find(name)
    if dest.is_dir():
        dest /= source.name
    try:
        # Born executable for its owner alone to change, and never over something that is there.
        handle = os.open(dest, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o755)
    except FileExistsError:
        raise UsageError(f"{dest} exists already", hint="choose another place, or remove it first") from None
    except OSError as error:
        raise UsageError(f"{dest} cannot be written: {error.strerror}") from None
    with os.fdopen(handle, "wb") as file:
        file.write(source.read_bytes())
        os.fchmod(file.fileno(), 0o755)
    screen.say(f"{dest} is yours now; name it in the configuration:")
    screen.out(f'[hook.{dest.name}]\nrun    = "{dest.absolute()}"\nevents = ["test", "deploy", "rollback"]')
    return exits.OK


def _shipped() -> list[Path]:
    directory = Path(shipped.hooks_directory())
    return [directory / name for name in shipped.shipped_names()]


def _find(name: str) -> Path:
    for path in _shipped():
        if path.name == name:
            return path
    names = ", ".join(path.name for path in _shipped()) or "none"
    raise UsageError(f"no hook '{name}' is shipped", hint=f"shipped are: {names}")


def _summary(path: Path) -> str:
    """What the header's first line says after the name."""
    lines = path.read_text().splitlines()
    return lines[1].lstrip("# ").rstrip(".") if len(lines) > 1 else ""
