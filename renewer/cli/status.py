"""`renewer status`: am I fine?"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import click

from renewer import clock
from renewer.cli import screen
from renewer.cli.limits import limits_of
from renewer.cli.screen import Setup


@click.command("status")
@click.argument("names", nargs=-1, metavar="[NAME…]")
@screen.json_option
@screen.pass_setup
def command(setup: Setup, names: tuple[str, ...], as_json: bool) -> int:
    """Show the state of every certificate, the most urgent first. Changes nothing.

    Exit: 0 all well, 1 something is not well and will be retried, 3 a person must act.
    """
    from renewer import inventory, watches
    from renewer.kit import Kit
    from renewer.model.facts import RunRecord
    from renewer.report import status_document
    from renewer.run import plan
    from renewer.store.lock import Lock

    config = setup.config()
    with Kit(config, write=False) as kit:
        planned, situations = plan(kit, limits_of(config, names, None))
        runs = [record for record in kit.ledger.load(RunRecord) if record.host == kit.host]
        document = status_document(
            situations,
            planned,
            now=clock.now(),
            host=kit.host,
            orphans=() if names else inventory.orphans(kit),
            last_run=runs[-1] if runs else None,
            watches=() if names else watches.rows(config.watches, watches.take(kit), clock.now()),
        )
    if as_json:
        screen.emit(document)
        return int(document["exit"])
    _print(document)
    if holder := Lock(config.agent.state).holder():
        screen.out(f"a run is at work: {holder}")
    return int(document["exit"])


def _print(document: Mapping[str, Any]) -> None:
    screen.out(verdict(document))
    rows = [_row(one, document["at"]) for one in document["certificates"]]
    screen.table(("certificate", "state", "expires", "left", "renewal", "served"), rows, _styles(document))
    for one in document["certificates"]:
        if not one["healthy"]:
            screen.out(f"{one['name']}: {one['why']}")
        if one["renew_explanation"]:
            screen.out(
                f"{one['name']}: the authority explains its renewal window at {one['renew_explanation']}"
            )
        if one["held"]:
            screen.out(_rolled_back(one))
    for one in document["watches"]:
        left = screen.span((one["not_after"] - document["at"]).total_seconds()) if one["not_after"] else "-"
        screen.out(
            f"watched {one['name']} ({one['target']}): {one['state']}, {left} left  {one['why']}".rstrip()
        )
    for finding in document["findings"]:
        screen.out(f"note: {finding}")
    if document["orphans"]:
        screen.out(f"on disk, in no configuration, never renewed: {', '.join(document['orphans'])}")
        screen.out("  → renamed? renewer rename OLD NEW; not needed any more? renewer forget NAME")


def _rolled_back(one: Mapping[str, Any]) -> str:
    """That somebody went back, and how that ends."""
    first, name = one["held"][0], one["name"]
    why = f": {first['why']}" if first["why"] else ""
    return (
        f"{name}: rolled back to version {one['live']} by {first['by']} at {screen.moment(first['at'])}{why};"
        f" until a newer one is issued, or: renewer deploy {name}"
    )


def verdict(document: Mapping[str, Any]) -> str:
    """The one line that answers the question."""
    certificates = [*document["certificates"], *document["watches"]]
    if not certificates:
        return "the configuration has no certificate for this host"
    ill = [one for one in certificates if not one["healthy"]]
    count = f"{len(certificates)} certificate{'s' * (len(certificates) != 1)}"
    last = document["last_run"]
    ran = f"last run {screen.span((document['at'] - last).total_seconds())} ago" if last else "no run yet"
    if not ill:
        return f"all is well: {count}, {ran}"
    text = f"{len(ill)} of {count} not well, {ran}"
    return (
        f"YOU MUST ACT: {text}" if document["exit"] == 3 else f"not all is well: {text}; it will be retried"
    )


def _row(one: Mapping[str, Any], now: datetime) -> tuple[str, ...]:
    left = screen.span((one["not_after"] - now).total_seconds()) if one["not_after"] else "-"
    return (
        one["name"],
        one["state"],
        screen.moment(one["not_after"]),
        left,
        _renewal(one),
        _served(one),
    )


def _renewal(one: Mapping[str, Any]) -> str:
    """What is going on, or when it will."""
    if one["renewal"] is None:
        return screen.moment(one["renew_at"])
    step, moment = one["renewal"]["step"], one["renewal"]["next_attempt"]
    return f"{step} at {screen.moment(moment)}" if moment else f"{step} at the next run"


def _served(one: Mapping[str, Any]) -> str:
    """Where it is seen, in a few words."""
    endpoints = one["endpoints"]
    if not endpoints:
        return "not looked at"
    bad = [endpoint for endpoint in endpoints if endpoint["state"] != "verified"]
    if bad:
        return ", ".join(f"{endpoint['state']} at {endpoint['endpoint']}" for endpoint in bad[:2])
    return f"{len(endpoints)} of {len(endpoints)} verified"


def _styles(document: Mapping[str, Any]) -> list[str]:
    """A colour by urgency."""
    return [("green", "yellow", "", "red")[one["exit"]] for one in document["certificates"]]
