"""`renewer copies`: the files elsewhere that follow a certificate, and those that do so no more."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

from renewer import words
from renewer.cli import screen
from renewer.cli.limits import complete, no_certificate
from renewer.cli.screen import Setup

if TYPE_CHECKING:
    from renewer.context import Context
    from renewer.copies.leftovers import CopyLeftover

_name = click.argument("name", required=False, metavar="[NAME]", shell_complete=complete)


@click.group()
def command() -> None:
    """Show the files elsewhere that follow a certificate, and remove those that the configuration forgot.

    NAME is a certificate; without it, all of them.
    """


@command.command("list")
@_name
@screen.json_option
@screen.pass_setup
def list_(setup: Setup, name: str | None, *, as_json: bool) -> int:
    """List every file that was written on this host; changes nothing."""
    with _context(setup, write=False) as context:
        found = _standing(context, name)
        host = context.host
    if as_json:
        screen.emit({"schema": screen.SCHEMA, "host": host, "copies": [_document(one) for one in found]})
        return screen.OK
    if not found:
        screen.out("no file was written outside the state directory")
        return screen.OK
    rows = [
        (one.record.certificate, "in use" if one.named else "left over", _content(one), one.record.path)
        for one in found
    ]
    screen.table(("certificate", "state", "content", "path"), rows)
    for one in found:
        if one.backup:
            screen.out(f"{one.backup} is what was there before us")
    if any(not one.named for one in found):
        screen.say("what is left over can be removed by: renewer copies clean")
    return screen.OK


@command.command()
@_name
@click.option("--yes", is_flag=True, help="Do not ask.")
@screen.json_option
@screen.pass_setup
def clean(setup: Setup, name: str | None, *, yes: bool, as_json: bool) -> int:
    """Remove the files that we wrote and that the configuration names no more.

    Only what is still byte for byte ours is removed; anything else is told and left, and so is what was there
    before us (`copies list` says where it is kept). Exit 1 if something could not be looked at or removed.
    """
    from renewer.copies.leftovers import LeftoverState

    agreed: set[str] | None = None
    if not yes:
        with _context(
            setup, write=False
        ) as context:  # whoever thinks about it must not keep the timer's run waiting
            agreed = {
                one.record.path
                for one in _standing(context, name)
                if not one.named and one.found is LeftoverState.OURS
            }
        if agreed:
            for path in sorted(agreed):
                screen.say(path)
            screen.confirm(f"{words.count(len(agreed), 'file')} will be removed for good.")
    with _context(setup, write=True) as context:
        old = [one for one in _standing(context, name) if not one.named]
        if agreed is not None:
            old = [one for one in old if one.found is not LeftoverState.OURS or one.record.path in agreed]
        removed, left = _clean(context, old)
        host = context.host
    if as_json:
        documents = {"removed": [_document(one) for one in removed], "left": [_document(one) for one in left]}
        screen.emit({"schema": screen.SCHEMA, "host": host, **documents})
    else:
        _print(removed, left)
    return screen.FAILED if any(one.found is LeftoverState.UNKNOWN for one in left) else screen.OK


def _clean(
    context: "Context", old: "Sequence[CopyLeftover]"
) -> "tuple[list[CopyLeftover], list[CopyLeftover]]":
    """What was removed, and what was left; a file that is gone, by us or others, is remembered no more."""
    from renewer.copies.leftovers import LeftoverState, remove
    from renewer.model.decision import EventName

    removed, left = [], []
    for one in (remove(one, context.store.former) for one in old):
        if one.found is LeftoverState.OURS:
            removed.append(one)
            text = f"the copy {one.record.path} was removed on request"
            context.journal.tell(EventName.NOTICE, one.record.certificate, text=text)
        if one.found in (LeftoverState.OURS, LeftoverState.MISSING):
            context.ledger.drop(one.record)
        else:
            left.append(one)
    return removed, left


@contextmanager
def _context(setup: Setup, *, write: bool) -> "Iterator[Context]":
    """The ledger; under the agent's lock if files are to be removed."""
    from contextlib import ExitStack

    from renewer.context import Context
    from renewer.store.lock import Lock

    config = setup.config()
    with ExitStack() as stack:
        if write:
            stack.enter_context(Lock(config.agent.state, group=config.agent.group))
        yield stack.enter_context(Context(config, write=write))


def _standing(context: "Context", name: str | None) -> "list[CopyLeftover]":
    """Every file that we wrote here, of one certificate or of all. Raises UsageError for an unknown one."""
    from renewer.copies.leftovers import standing
    from renewer.model.facts import CopyFact

    records = context.ledger.load(CopyFact, name)
    if name is not None and not records and name not in context.config.certificates:
        known = [one.certificate for one in context.ledger.load(CopyFact)]
        raise no_certificate(name, context.config, known)
    return standing(records, context.config.certificates.values(), context.host, context.store.former)


def _content(one: "CopyLeftover") -> str:
    return "left alone" if one.record.note else one.found.value


def _document(one: "CopyLeftover") -> dict[str, object]:
    record = one.record
    return {
        "certificate": record.certificate,
        "path": record.path,
        "version": record.version,
        "at": record.at,
        "named": one.named,
        "found": one.found,
        "note": record.note or one.why,
        "backup": one.backup,
    }


def _print(removed: "Sequence[CopyLeftover]", left: "Sequence[CopyLeftover]") -> None:
    from renewer.copies.leftovers import LeftoverState

    for one in removed:
        screen.out(f"removed {one.record.path}")
    for one in left:
        changed = one.found is LeftoverState.CHANGED
        why = one.why or ("it is not what we wrote" if changed else "it cannot be looked at")
        screen.out(f"left    {one.record.path}: {why}")
    for one in (*removed, *left):
        if one.backup:
            screen.out(f"left    {one.backup}: it was there before us")
    if not removed and not left:
        screen.out("nothing is left over")
