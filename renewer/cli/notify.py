"""`renewer notify`: do the channels work?"""

from collections.abc import Collection
from datetime import UTC, datetime, timedelta

import click

from renewer import clock, words
from renewer.cli import screen
from renewer.cli.limits import complete, no_certificate
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
    return screen.OK if all(row["taken"] for row in results) else screen.FAILED


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


_ACK_PATIENCE = 30.0  # seconds for a run that is at work


@click.command("ack")
@click.argument("name", shell_complete=complete)
@click.option(
    "--until",
    metavar="DATE|DURATION",
    help="Until then: 2026-12-01, 2026-12-01T18:00Z, 3d; else till it is over.",
)
@click.option("--reason", default="", metavar="TEXT", help="Why, for whoever reads the log.")
@click.option("--withdraw", is_flag=True, help="Let notices of it come again.")
@screen.json_option
@screen.pass_setup
def ack(setup: Setup, name: str, until: str | None, reason: str, withdraw: bool, as_json: bool) -> int:
    """Say that you know of a certificate's trouble: no more notices of it, to anybody.

    It ends at the given moment, when the certificate is well again, and always when it expires. Your name and
    the reason go to the renewal log.
    """
    from renewer import concerns, inventory
    from renewer.context import Context
    from renewer.lineage import person
    from renewer.model.decision import EventName
    from renewer.model.told import Ack
    from renewer.store.lock import Lock

    config = setup.config()
    with Context(config, write=False) as context:
        _check(config, name, reason, {*inventory.orphans(context), *concerns.served(context)})
    if until is None and not withdraw and _is_well(config, name):
        raise UsageError(f"{name} is well: there is no trouble to know of", hint=_TO_COME)
    now = clock.now()
    ack = Ack(certificate=name, at=now, by=person(), until=_until(until, now), reason=reason)
    with (
        Lock(config.agent.state, group=config.agent.group).acquire(_ACK_PATIENCE),
        Context(config, write=True) as context,
    ):
        if withdraw:
            context.ledger.drop(ack)
            context.journal.tell(EventName.NOTICE, name, text="acknowledgement withdrawn", by=ack.by)
        else:
            context.ledger.save(ack)
            said = f"acknowledged by {ack.by}" + (f": {reason}" if reason else "")
            context.journal.tell(EventName.NOTICE, name, text=said, by=ack.by, until=ack.until, reason=reason)
    if as_json:
        document = {"certificate": name, "by": ack.by, "until": ack.until, "reason": reason}
        screen.emit({"schema": screen.SCHEMA, "withdrawn": withdraw, **document})
    elif withdraw:
        screen.out(f"{name}: notices come again")
    else:
        end = f"until {words.stamp(ack.until)}" if ack.until else "until it is well again"
        screen.out(f"{name}: no notices {end}, and never past its expiry")
    return screen.OK


_TO_COME = "renewer status says how all stand; for a time that is to come: renewer ack NAME --until 2d"


def _is_well(config: Config, name: str) -> bool:
    """Whether nothing is wrong with a certificate of this host, as `status` has it."""
    from renewer.cli.status import document

    wish = config.certificates.get(name)
    if wish is None or config.agent.host not in wish.hosts:
        return False
    found = document(config, (name,))
    return all(one.healthy for one in found.certificates) and not found.exit


def _check(config: Config, name: str, reason: str, orphans: Collection[str]) -> None:
    known = [*config.certificates, *config.watches]
    if name not in known and name not in orphans:
        raise no_certificate(name, config, config.watches)
    if len(reason) > 300 or not (reason.isprintable() or not reason):
        raise UsageError("the reason must be one line of at most 300 characters")


def _until(text: str | None, now: datetime) -> datetime | None:
    """A moment of the future, in UTC: a duration from now, a date (its end), or a date with its time."""
    if text is None:
        return None
    if text[-1:] in "smhd" and text[:-1].isdigit():
        return now + timedelta(seconds=screen.seconds(text))
    try:
        when = datetime.fromisoformat(text)
    except ValueError:
        hint = "write 3d, 2026-12-01 or 2026-12-01T18:00Z"
        raise UsageError(f"'{text}' is neither a duration nor a date", hint=hint) from None
    if len(text) == len("2026-12-01"):
        when += timedelta(days=1)
    when = when.replace(tzinfo=UTC) if when.tzinfo is None else when.astimezone(UTC)
    if when <= now:
        raise UsageError(f"{text} has passed already", hint="name a moment that is still to come")
    return when
