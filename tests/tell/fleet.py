"""Fleets for pages and reports: mostly well, with one of each trouble in every twenty-three certificates."""

from datetime import datetime, timedelta
from typing import Any

import msgspec

from renewer.ledger.contract import Happening
from renewer.model.decision import WatchState
from renewer.model.desired import Endpoint
from renewer.model.facts import EndpointState, RunRecord, Situation
from renewer.model.names import Identifier
from renewer.model.status import Status, WatchStatus
from renewer.policy.due import arrange, decide
from renewer.report import files, view
from renewer.report.documents import status_document
from tests.builders import (
    DAY,
    HOST,
    HOUR,
    absent,
    deployment,
    failure,
    sighting,
    situation,
    terms,
    version,
    wish,
)

_NAMES = ("www", "mail", "shop", "api", "cdn-static", "intranet", "blog", "status", "git", "auth")


def one(number: int, now: datetime, *, well: bool) -> Situation:
    """A certificate of the fleet."""
    name = _NAMES[number % 10] + (f"-{number // 10:03d}" if number >= 10 else "")
    prefixes = ("", "www.") if number % 3 else ("", "www.", "api.", "static.", "img.")
    names = tuple(Identifier.parse(f"{prefix}{name}.example.org") for prefix in prefixes)
    wished = wish(name=name, names=names, endpoints=tuple(Endpoint(server_name=str(one)) for one in names))
    kind = -1 if well else number % 23
    age = {3: 75 * DAY, 7: 62 * DAY}.get(kind, (number * 7) % 58 * DAY + (number % 24) * HOUR)
    of = version(number + 1, age=age, at=now)
    of = msgspec.structs.replace(of, leaf=msgspec.structs.replace(of.leaf, names=names))
    facts: dict[str, Any] = {}
    seen = [
        msgspec.structs.replace(sighting(of, certificate=name, endpoint=str(each)), at=now - HOUR / 4)
        for each in wished.endpoints
    ]
    if kind == 3:
        text = "the authority got 404 Not Found for http://example.org/.well-known/acme-challenge/Xy7"
        facts["failures"] = (failure(7, certificate=name, ago=5 * DAY, at=now, text=text, final=True),)
    elif kind == 7:
        facts["failures"] = (failure(2, certificate=name, ago=2 * HOUR, at=now),)
    elif kind == 11:
        text = "it serves an older certificate of ours, serial 0a1b2c"
        seen[0] = msgspec.structs.replace(seen[0], state=EndpointState.STALE, error=text, failures=2)
    elif kind == 13:
        return absent(wish=wished)
    done = msgspec.structs.replace(deployment(of, certificate=name), at=now - DAY)
    return situation(wish=wished, versions=(of,), sightings=tuple(seen), deployments=(done,), **facts)


def document(situations: list[Situation], now: datetime, **more: Any) -> Status:
    """What `status` says of them."""
    run = RunRecord(certificate="", run="r", host=HOST, at=now - HOUR / 5, findings=())
    found = status_document(
        {facts.wish.name: facts for facts in situations},
        arrange([decide(facts, terms(now=now)) for facts in situations], now),
        now=now,
        host=HOST,
        orphans=(),
        last_run=run,
    )
    return msgspec.structs.replace(found, **more)


def watches(now: datetime) -> tuple[WatchStatus, ...]:
    """One that is about to expire, one that is well, one that was not looked at yet."""
    new = WatchStatus(
        name="new",
        target="/etc/new.pem",
        state=WatchState.UNKNOWN,
        healthy=True,
        exit=0,
        why="",
        not_before=None,
        not_after=None,
        serial=None,
        fingerprint_sha256=None,
        issuer=None,
        names=(),
        at=None,
        error=None,
    )
    post = msgspec.structs.replace(
        new,
        name="post",
        target="mx.example:25",
        state=WatchState.OK,
        not_after=now + 40 * DAY,
        issuer="Some CA",
        at=now - HOUR,
    )
    partner = msgspec.structs.replace(
        post,
        name="partner",
        target="api.partner.example:443",
        state=WatchState.EXPIRING,
        healthy=False,
        exit=3,
        why="it expires soon",
        not_after=now + 4 * DAY,
    )
    return partner, post, new


def history(now: datetime, lines: int = 24) -> list[Happening]:
    """One of each, again and again, nine hours apart."""
    details: dict[str, dict[str, object]] = {
        "renewed": {"seen": True, "took": 11.0, "margin": 29.5 * 86400, "serial": "0a"},
        "failed": {"error": "hook nginx failed at deploy (exit code 1): cannot load certificate key"},
        "recovered": {"took": 7200.0, "error": "connection refused"},
        "rolled-back": {"from": "20261120T093300Z-1a2b3c4d", "to": "20260920T093300Z-99aabbcc"},
    }
    return [
        Happening(
            at=now - timedelta(hours=9 * (lines - number)),
            host=HOST,
            run="r",
            certificate=_NAMES[number % 3],
            event=list(details)[number % 4],
            details=details[list(details)[number % 4]],
        )
        for number in range(lines)
    ]


def html(found: Status, lines: list[Happening], ran: datetime | None) -> str:
    """The page of it, of an agent that the timer calls once an hour."""
    return view.render(view.of(found, lines, ran=ran, patience=3 * HOUR), stamp=files.stamp_of(found, HOUR))


def page_of(number: int, now: datetime, *, ran: datetime | None = None) -> str:
    """The page of so many certificates: of one, it is well; of more, some are not."""
    situations = [one(each, now, well=number == 1) for each in range(number)]
    found = document(situations, now)
    if number > 1:
        found = msgspec.structs.replace(
            found,
            watches=watches(now),
            orphans=("old-shop",),
            findings=("the clock is 412 s behind",),
            exit=3,
            healthy=False,
        )
    return html(found, history(now, 1 if number == 1 else 24), ran or now - HOUR / 5)
