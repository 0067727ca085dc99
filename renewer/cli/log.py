"""`renewer log`: the renewal log for people."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from pathlib import Path

import click
import msgspec

from renewer import clock
from renewer.cli import screen
from renewer.cli.limits import complete
from renewer.cli.screen import Setup
from renewer.errors import UsageError
from renewer.logs.reading import Event, Reader
from renewer.model.desired import Config

_OUTPUT = 20  # lines of a hook's output


@click.command("log")
@click.argument("name", required=False, shell_complete=complete)
@click.option("--last", is_flag=True, help="The story of its last renewal, from the order to the port.")
@click.option("--run", "run", metavar="ID", help="Only that run; the beginning of its id is enough.")
@click.option(
    "--since", metavar="TIME", help='Only from then on: "2026-11-22", "2026-11-22T09:30", or "30m", "2d" ago.'
)
@click.option("--follow", "-f", is_flag=True, help="Go on with what is written from now on, until Ctrl-C.")
@screen.json_option
@screen.pass_setup
def command(
    setup: Setup,
    name: str | None,
    *,
    last: bool,
    run: str | None,
    since: str | None,
    follow: bool,
    as_json: bool,
) -> int:
    """Read the renewal log, rotated files too: all of it, or what concerns one certificate or one run.

    With --json it is JSON Lines, an event a line, as it stands in the file.
    """
    config = setup.config()
    begin = _moment(since) if since else None
    reader = Reader(config.agent.log_path)
    if last and follow:
        raise UsageError("--last and --follow do not go together", hint="leave one of them away")
    events = _wanted(reader.events(begin, follow=follow), _only(config, name) if last else name, run, begin)
    told = 1
    if last and not as_json:
        told = _tell(list(events), name or next(iter(config.certificates)))
    elif last:
        told = _each(_last(list(events)), as_json=True, verbose=False)
    else:
        with suppress(*((KeyboardInterrupt,) if follow else ())):
            told = _each(events, as_json=as_json, verbose=setup.verbose > 0)
    if reader.damaged:
        screen.say(f"note: lines of the log that could not be read, and were left out: {reader.damaged}")
    if not told and not as_json:
        _nothing(config, name, run, reader)
    return 0


def _only(config: Config, name: str | None) -> str:
    """Whose story is asked for."""
    if name is None and len(config.certificates) != 1:
        raise UsageError("--last of which certificate?", hint="renewer log NAME --last")
    return name or next(iter(config.certificates))


def _wanted(
    events: Iterable[Event], name: str | None, run: str | None, begin: datetime | None
) -> Iterator[Event]:
    for event in events:
        if name is not None and event.get("certificate") != name:
            continue
        if run is not None and not str(event.get("run", "")).startswith(run):
            continue
        if begin is None or _since(event, begin):
            yield event


def _since(event: Event, begin: datetime) -> bool:
    from renewer.cli import log_story

    at = log_story.moment(event)
    return at is not None and at >= begin


def _each(events: Iterable[Event], *, as_json: bool, verbose: bool) -> int:
    """Print them as they come; how many there were."""
    count = 0
    for event in events:
        _print(event, as_json=as_json, verbose=verbose)
        count += 1
    return count


def _last(events: Sequence[Event]) -> Iterable[Event]:
    from renewer.cli import log_story

    found = log_story.last(events)
    return [dict(event) for event in found.events] if found else ()


def _tell(events: Sequence[Event], name: str) -> int:
    """Print the story of the last renewal among them."""
    from renewer.cli import log_story

    found = log_story.last(events)
    if found is None:
        return 0
    told = [log_story.headline(found, name, clock.now()), *log_story.lines(found), *log_story.ending(found)]
    if screen.is_terminal():
        from renewer.cli import drawing

        drawing.story(told, drawing.console())
    else:
        for line in told:
            lead = f"  {line.at:8}  {line.gap:>7}  " if line.at or line.text.startswith("| ") else ""
            screen.out(f"{lead}{line.text}")
    return len(told)


def _nothing(config: Config, name: str | None, run: str | None, reader: Reader) -> None:
    about = f" about {name}" if name else ""
    about += f" of a run {run}" if run else ""
    path = Path(config.agent.log_path)
    screen.say(
        f"nothing{about} in {path}"
        + ("" if reader.files or path.exists() else " (no run has written it yet)")
    )
    if name and name not in {*config.certificates, *config.watches}:
        screen.say(f"  → the configuration has no certificate '{name}': renewer status lists them")


def _print(event: Event, *, as_json: bool, verbose: bool) -> None:
    from renewer.cli.log_story import told

    if as_json:
        screen.out(msgspec.json.encode(event).decode())
        return
    at = str(event.get("at", ""))[:19].replace("T", " ")
    certificate = f"{event['certificate']}: " if event.get("certificate") else ""
    screen.out(f"{at}  {certificate}{told(event)}")
    if event.get("output") and (verbose or event.get("result") == "failed"):
        for line in str(event["output"]).splitlines()[-_OUTPUT:]:
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
