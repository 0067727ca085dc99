"""`renewer doctor --host`: can the next renewals on this host go well, and what else is there?"""

import os
from contextlib import ExitStack
from typing import TYPE_CHECKING

from renewer import clock, words
from renewer.cli import screen
from renewer.cli.discover import discover
from renewer.cli.screen import Setup
from renewer.errors import LockHeld, RenewerError
from renewer.model.inspection import Finding, Severity

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from renewer.model.desired import Config
    from renewer.model.installed import Discovery

_COLOURS = {Severity.ERROR: "red", Severity.WARNING: "yellow", Severity.INFO: ""}


def show(setup: Setup, limit: float, *, as_json: bool) -> int:
    """Look at everything, and tell it; how to exit."""
    from renewer.doctor import host as room
    from renewer.policy.hosthealth import sorted_

    found = discover(setup)
    if os.path.lexists(setup.config_path):
        config = setup.config()
        findings = sorted_((*_examined(config, found, limit), *_hooks(config)))
    else:
        findings = room.without_config(found)
    healthy = not any(one.severity is Severity.ERROR for one in findings)
    if as_json:
        screen.emit(
            {
                "schema": screen.SCHEMA,
                "at": clock.now(),
                "host": found.host,
                "healthy": healthy,
                "findings": [_document(one) for one in findings],
                "unread": [
                    {"place": words.line(one.place), "text": words.line(one.text)} for one in found.unread
                ],
            }
        )
    else:
        _print(found, findings)
    return screen.OK if healthy else screen.PERSON


def _examined(config: "Config", found: "Discovery", limit: float) -> "tuple[Finding, ...]":
    from renewer.context import Context
    from renewer.doctor import host as room

    with Context(config, write=False) as context:
        return room.examine(context, found, limit)


def _hooks(config: "Config") -> "Iterator[Finding]":
    """The hooks' tests against what is live, while no run is at work; nothing is deployed."""
    from renewer import inventory, rehearse
    from renewer.context import Context
    from renewer.doctor import host as room
    from renewer.model.decision import Result
    from renewer.store.lock import Lock

    if not any(one.hooks for one in config.certificates.values()) or not os.path.isdir(config.agent.state):
        return
    with ExitStack() as stack:
        try:
            stack.enter_context(Lock(config.agent.state, group=config.agent.group))
            context = stack.enter_context(Context(config, write=True))
            steps = rehearse.test_hooks(context, list(inventory.take(context).values()))
        except LockHeld as busy:
            screen.say(f"note: the hooks were not tried: {words.line(busy.text)}")
            return
        except RenewerError as error:
            screen.say(f"note: the hooks could not be tried: {words.line(error.text)}")
            return
    told = {result: [(one.detail, one.hint) for one in steps if one.result is result] for result in Result}
    yield from room.of_hooks(told[Result.FAILED], told[Result.WAITING])


def _document(one: Finding) -> dict[str, object]:
    return {
        "severity": one.severity,
        "code": one.code,
        "about": words.line(one.about),
        "text": words.line(one.text),
        "why": one.why,
        "hint": words.line(one.hint),
    }


def verdict(host: str, findings: "Sequence[Finding]") -> str:
    """The one line that answers."""
    errors, warnings = (
        sum(one.severity is severity for one in findings) for severity in (Severity.ERROR, Severity.WARNING)
    )
    if errors:
        more = f", {words.count(warnings, 'warning')}" if warnings else ""
        return f"YOU MUST ACT: {words.count(errors, 'error')}{more} on {words.line(host)}"
    if warnings:
        many = words.count(warnings, "warning")
        return f"nothing on {words.line(host)} would surely stop a renewal, but there are doubts: {many}"
    return f"all is well: nothing on {words.line(host)} would stop a renewal"


def _print(found: "Discovery", findings: "Sequence[Finding]") -> None:
    screen.out(verdict(found.host, findings))
    for one in findings:
        about = f"{words.line(one.about)}: " if one.about and not one.text.startswith(one.about) else ""
        rest = f" {one.code}: {about}{words.line(one.text)}"
        screen.coloured((one.severity.value, _COLOURS[one.severity]), (rest, ""))
        if one.why:
            screen.out(f"    {one.why}")
        if one.hint:
            screen.out(f"    → {words.line(one.hint)}")
    if found.unread:
        places = words.several(words.line(one.place) for one in found.unread)
        screen.out(f"not read: {places}; why: renewer discover")
