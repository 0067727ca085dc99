"""`renewer status`: am I fine?"""

import os
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import click
import msgspec

from renewer import clock, words
from renewer.cli import screen
from renewer.cli.limits import complete, limits_of
from renewer.cli.screen import Setup
from renewer.errors import RenewerError, UsageError

if TYPE_CHECKING:
    from datetime import datetime, timedelta

    from renewer.cli.picture import Picture
    from renewer.context import Context
    from renewer.model.desired import Config
    from renewer.model.facts import Sighting, Situation
    from renewer.model.status import CertificateStatus, Status, WatchStatus
    from renewer.model.trouble import Concern


_EVERY = 2.0  # seconds between two pictures of --watch
_GLANCE = 0.25  # seconds between two looks whether the terminal has another size


class Asking(click.Command):
    """For --check even a mistake in the command line is an answer that monitoring understands."""

    def make_context(self, info_name: str | None, args: list[str], *rest: Any, **more: Any) -> click.Context:
        """Read the command line."""
        asked = "--check" in args
        try:
            return super().make_context(info_name, args, *rest, **more)
        except click.ClickException as error:
            if not asked:
                raise
            from renewer.cli import astray, plugin

            raise click.exceptions.Exit(plugin.unknown(astray.plain(error))) from None


@click.command("status", cls=Asking)
@click.argument("names", nargs=-1, metavar="[NAME…]", shell_complete=complete)
@click.option("--all", "all_of_them", is_flag=True, help="All certificates, however many; on a terminal.")
@click.option(
    "--watch",
    metavar="[SECONDS]",
    is_flag=False,
    flag_value="",
    help="Draw it again and again, every 2 seconds unless said otherwise, until Ctrl-C.",
)
@click.option("--look", is_flag=True, help="Look at the ports first, at this moment.")
@click.option("--check", is_flag=True, help="One line for Nagios or Icinga, with their exit codes.")
@screen.json_option
@screen.pass_setup
def command(
    setup: Setup,
    *,
    names: tuple[str, ...],
    all_of_them: bool,
    watch: str | None,
    look: bool,
    check: bool,
    as_json: bool,
) -> int:
    """Show the state of every certificate, the most urgent first. Changes nothing but what --look sees.

    Exit: 0 all well, 1 something is not well and will be retried, 3 a person must act. With --check: 0 OK,
    1 WARNING, 2 CRITICAL, 3 UNKNOWN, as monitoring plugins do.
    """
    if check:
        from renewer.cli import plugin

        return plugin.answer(lambda: _looked(setup, names, look=look), alone=not as_json and watch is None)
    if watch is not None:
        if look:
            raise UsageError("--look and --watch do not go together", hint="take one of them")
        if as_json or not screen.is_terminal():
            raise UsageError("--watch draws on a terminal", hint="scripts call renewer status --json again")
        return _watch(setup, names, watch, all_of_them=all_of_them)
    config = setup.config()
    found = document(config, names, look=look)
    if as_json:
        screen.emit(found)
    elif screen.is_terminal():
        from renewer.cli import drawing

        drawing.console().print(_picture(config, found, all_of_them=all_of_them))
    else:
        _print(config, found)
    if not as_json and (holder := _holder(config)):
        screen.out(f"a run is at work: {holder}")
    return found.exit


def _looked(setup: Setup, names: tuple[str, ...], *, look: bool) -> "tuple[Status, timedelta]":
    from renewer.policy.watchdog import patience

    config = setup.config()
    return document(config, names, look=look), patience(config.agent.wake, config.agent.deadline)


def document(config: "Config", names: tuple[str, ...] = (), *, look: bool = False) -> "Status":
    """How things stand, from what is known; asks nobody, but the ports if it is to `look`."""
    from renewer import concerns, inventory, watches
    from renewer.context import Context
    from renewer.ledger import reserve
    from renewer.logs import defects
    from renewer.model.facts import RunRecord
    from renewer.policy.watchdog import patience
    from renewer.report.documents import status_document
    from renewer.run import plan

    limits = limits_of(config, names, None)
    seen = look_now(config, names) if look else ()
    with Context(config, write=False) as context:
        planned, situations = plan(context, limits)
        if seen:
            situations = with_seen(situations, seen)
        runs = [record for record in context.ledger.load(RunRecord) if record.host == context.host]
        last = runs[-1] if runs else None
        found = status_document(
            situations,
            planned,
            now=clock.now(),
            host=context.host,
            orphans=() if names else inventory.orphans(context),
            last_run=last,
            watches=() if names else watches.rows(config.watches, watches.take(context), clock.now()),
            patience=patience(config.agent.wake, config.agent.deadline),
            concerns=concerns.left_names(context, names) if names else _concerns(context),
            still_served=() if names else concerns.rows(context),
        )
        unread, findings = list(context.ledger.notes), list(found.findings)
        if (full := reserve.want(config.agent.state)) is not None:
            unread.append(full)
        if (defect := defects.noted(config.agent.state)) is not None:
            findings.append(defect)
        return msgspec.structs.replace(found, unread=tuple(unread), findings=tuple(findings))


def _concerns(context: "Context") -> "tuple[Concern, ...]":
    """What is wrong as a whole, and whether anything will call the next run."""
    from renewer import concerns

    return (*concerns.look_later(context), *concerns.uncalled(context), *concerns.rivals(context))


def _holder(config: "Config") -> str:
    """Who is at work now; nobody, usually."""
    from renewer.store.lock import Lock

    return str(Lock(config.agent.state).holder() or "")


def _print(config: "Config", found: "Status") -> None:
    """Where nobody looks on: plain, a record a line."""
    from renewer.cli import overview

    if (alarm := overview.alarm(found, config.agent.wake)) and found.stopped_since:
        screen.out(alarm.text)
        for hint in alarm.hints:
            screen.out(f"  → {hint}")
    screen.out(overview.verdict(found))
    rows = zip(overview.rows(found), found.certificates, strict=True)
    at = found.at
    screen.table(
        overview.HEADER,
        [
            (
                row.name,
                row.state,
                words.stamp(one.not_after),
                _left(one, at),
                overview.renewal(one),
                row.served,
            )
            for row, one in rows
        ],
    )
    for one in found.watches:
        text = f"watched {one.name} ({one.target}): {one.state}, {_left(one, at)} left"
        screen.out(f"{text}  {one.why}".rstrip())
    for note in overview.notes(found):
        if note.who not in {one.name for one in found.watches}:
            screen.out(note.head + note.body)
            for hint in note.hints:
                screen.out(f"  → {hint}")


def _left(one: "CertificateStatus | WatchStatus", at: "datetime") -> str:
    return words.exact((one.not_after - at).total_seconds()) if one.not_after else "-"


def _picture(config: "Config", found: "Status", **how: Any) -> "Picture":
    from renewer.cli import overview
    from renewer.cli.picture import Picture

    return Picture(found, overview.alarm(found, config.agent.wake), **how)


def _watch(setup: Setup, names: tuple[str, ...], every: str, *, all_of_them: bool) -> int:
    """Draw the picture on a screen of its own until somebody has seen enough."""
    from rich.live import Live
    from rich.text import Text

    from renewer.cli import drawing

    seconds, more = _seconds(every)
    setup.config()  # what is wrong from the beginning is told as ever
    names, to = (*more, *names), drawing.console()
    try:
        with Live(console=to, screen=True, auto_refresh=False, transient=True) as live:
            while True:
                note = f"{clock.now():%H:%M:%SZ}, every {seconds:g}s, Ctrl-C ends"
                try:
                    config = setup.config()
                    holder = _holder(config)
                    picture: Any = _picture(
                        config,
                        document(config, names),
                        all_of_them=all_of_them,
                        note=f"{note}; a run is at work: {holder}" if holder else note,
                        whole=False,
                    )
                except RenewerError as error:  # an editor is at work on the configuration, perhaps
                    picture = Text(words.clean(f"{error.text}\n{error.hint}\n\n{note}"), style="red")
                live.update(picture, refresh=True)
                until, size = clock.monotonic() + seconds, to.size
                while (left := until - clock.monotonic()) > 0:
                    clock.sleep(min(left, _GLANCE))
                    if to.size != size:
                        size = to.size
                        live.refresh()
    except KeyboardInterrupt:
        return 0


def _seconds(text: str) -> tuple[float, tuple[str, ...]]:
    """The pace; a word that is no number is the name of a certificate behind a bare --watch."""
    try:
        seconds = float(text or _EVERY)
    except ValueError:
        return _EVERY, (text,)
    if not 0.1 <= seconds <= 86400:
        raise UsageError(f"--watch {text} is out of bounds", hint="0.1 to 86400 seconds make sense")
    return seconds, ()


def look_now(config: "Config", names: Sequence[str] = ()) -> "tuple[Sighting, ...]":
    """Look at every port of these certificates, all without names.

    What was seen is kept if nobody else is at work and the state may be written to; else it is only shown.
    """
    from renewer import inventory, observe
    from renewer.context import Context
    from renewer.store.lock import Lock

    with ExitStack() as closing:
        write = os.path.isdir(config.agent.state)
        if write:
            try:
                closing.enter_context(Lock(config.agent.state, group=config.agent.group).acquire())
            except RenewerError:
                write = False
        context = closing.enter_context(Context(config, write=write))
        found = observe.look(context, inventory.take(context, names or None).values())
        if write:
            found.save()
        return tuple(found.records)


def with_seen(situations: "Mapping[str, Situation]", seen: "Sequence[Sighting]") -> "dict[str, Situation]":
    """The same situations with what was just seen in place of what was seen before."""
    changed = dict(situations)
    for name, situation in situations.items():
        new = [one for one in seen if one.certificate == name]
        looked_at = {one.endpoint for one in new}
        kept = [one for one in situation.sightings if one.endpoint not in looked_at]
        changed[name] = msgspec.structs.replace(situation, sightings=(*kept, *new))
    return changed
