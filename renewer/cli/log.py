"""`renewer log`: the renewal log for people."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import click
import msgspec

from renewer import clock
from renewer.cli import screen
from renewer.cli.screen import Setup
from renewer.errors import StateError, UsageError

_POLL = 0.5  # seconds between two looks with --follow


@click.command("log")
@click.argument("name", required=False)
@click.option(
    "--since", metavar="TIME", help='Only from then on: "2026-11-22", "2026-11-22T09:30", or "30m", "2d" ago.'
)
@click.option("--follow", "-f", is_flag=True, help="Go on with what is written from now on, until Ctrl-C.")
@screen.json_option
@screen.pass_setup
def command(setup: Setup, name: str | None, since: str | None, follow: bool, as_json: bool) -> int:
    """Read the renewal log: all of it, or what concerns one certificate.

    With --json it is JSON Lines, an event a line, as it stands in the file.
    """
    config = setup.config()
    begin = _moment(since) if since else None
    path = Path(config.agent.log_path)
    told = 0
    for event in _events(path, follow=follow):
        if _wanted(event, name, begin):
            _print(event, as_json=as_json, verbose=setup.verbose > 0)
            told += 1
    if not told and not as_json:
        about = f" about {name}" if name else ""
        screen.say(f"nothing{about} in {path}" + ("" if path.exists() else " (no run has written it yet)"))
    return 0


def _events(path: Path, *, follow: bool) -> Iterator[dict[str, Any]]:
    """Every event, the rotated file's first; with `follow` also those that come, across rotations."""
    for older in (path.with_name(path.name + ".1"), path):
        yield from _read(older)
    if not follow:
        return
    inode, offset = _where(path)
    while True:
        clock.sleep(_POLL)
        there, size = _where(path)
        if there != inode:
            inode, offset = there, 0
        if size > offset:
            with path.open("rb") as file:
                file.seek(offset)
                chunk = file.read()
            whole = chunk.rfind(b"\n") + 1
            offset += whole
            yield from _decode(chunk[:whole].splitlines())


def _where(path: Path) -> tuple[int, int]:
    try:
        entry = path.stat()
    except OSError:
        return (0, 0)
    return (entry.st_ino, entry.st_size)


def _read(path: Path) -> Iterator[dict[str, Any]]:
    try:
        with path.open("rb") as file:
            yield from _decode(file)
    except FileNotFoundError:
        return
    except OSError as error:
        raise StateError(
            f"the renewal log {path} cannot be read: {error.strerror}",
            hint="run as the agent's user (root), or let your group read it",
        ) from None


def _decode(lines: Any) -> Iterator[dict[str, Any]]:
    for line in lines:
        try:
            event = msgspec.json.decode(line)
        except msgspec.MsgspecError:
            continue  # a line torn by a full disk
        if isinstance(event, dict):
            yield event


def _wanted(event: dict[str, Any], name: str | None, begin: datetime | None) -> bool:
    if name is not None and event.get("certificate") != name:
        return False
    if begin is None:
        return True
    try:
        return datetime.fromisoformat(str(event.get("at"))) >= begin
    except ValueError:
        return False


def _print(event: dict[str, Any], *, as_json: bool, verbose: bool) -> None:
    from renewer.cli.story import words

    if as_json:
        screen.out(msgspec.json.encode(event).decode())
        return
    at = str(event.get("at", ""))[:19].replace("T", " ")
    certificate = f"{event['certificate']}: " if event.get("certificate") else ""
    screen.out(f"{at}  {certificate}{words(event)}")
    if event.get("output") and (verbose or event.get("result") == "failed"):
        for line in str(event["output"]).splitlines()[-20:]:
            screen.out(f"{'':21}| {line}")


def _moment(text: str) -> datetime:
    if text[:-1].isdigit():
        return clock.now() - timedelta(seconds=screen.seconds(text))
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        hint = "write a day (2026-11-22), a moment (2026-11-22T09:30), or how long ago (30m, 2d)"
        raise UsageError(f"'{text}' is no moment", hint=hint) from None
    return moment if moment.tzinfo else moment.astimezone()
