"""Looks at the real ports: what is served there, at every address, by TLS and STARTTLS handshakes.

`look` sees each address once; `settle` waits until a reload has reached every process of a server. What was
seen comes back as facts (`Sight`); what they mean is `policy.serving`'s to say. `fetch` and `visit` look
where an authority will. All ask a worker through the door (`network/door.py`).
"""

import math
import threading
from collections.abc import Callable, Collection, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from renewer.errors import SHORTAGE, GiveUp, RetryLater
from renewer.model.desired import Endpoint
from renewer.network.protocol import DoorMessage, breach, by_what, cleaned, shares
from renewer.network.verify.sight import ANY, SYSTEM, PortTrouble, Sight, Target, unseen
from renewer.network.verify.trust import Crossing, Reads, no_file

if TYPE_CHECKING:
    from renewer.model.inspection import PortSeen
    from renewer.network.door import Door
    from renewer.network.verify.messages import Doorstep, Fetched, Look, Settle

__all__ = [
    "ANY",
    "PortTrouble",
    "Sight",
    "Target",
    "fetch",
    "look",
    "settle",
    "settle_all",
    "try_roots",
    "visit",
]

A = TypeVar("A", bound=DoorMessage)
FAILED = frozenset({"worker", SHORTAGE})
"""The kinds of errors that say something of our own processes alone."""


def look(  # noqa: PLR0913  each by its name
    targets: Sequence[Target],
    *,
    timeout: float | None = None,
    workers: int = 16,
    until: float = math.inf,
    again: Callable[[Endpoint], int] = lambda _: 0,
    stopping: threading.Event | None = None,
    reads: Reads = no_file,
) -> list[Sight]:
    """See every address of every target once, many at a time; in the order of the targets.

    Whoever answers is asked `again` so often: a port that shows different leaves in turn is found out.
    `timeout` (seconds; else each endpoint's own) bounds a connection from its first packet to the end of the
    handshake. From `until` (on `clock.monotonic`) on, and once `stopping` is set, nothing new is looked at,
    and there is no sight of it. Files of roots are read by `reads`. Never raises for what the network does,
    nor for a worker that fails: another is asked, and if that fails, too, `trouble` says so.
    """
    from renewer.network.verify.messages import TARGETS, Look

    times = {str(target.endpoint): count for target in targets if (count := again(target.endpoint))}
    roots = Crossing([target.roots for target in targets], reads)
    door = _door(stopping, roots)
    found: list[Sight] = []
    for some in shares(targets, TARGETS):
        request = Look(
            targets=tuple(map(roots.out, some)),
            timeout=timeout,
            workers=workers,
            again=tuple((place, times[place]) for place in {str(t.endpoint) for t in some} & times.keys()),
        )
        found += roots.back(_sights(door, request, some, until))
    return found


def settle(  # noqa: PLR0913  how patient to be is tests' to say
    target: Target,
    expect: str,
    *,
    within: float = 10.0,
    times: int = 5,
    over: float = 0.3,
    reads: Reads = no_file,
) -> list[Sight]:
    """Watch every address of a target until it shows the leaf `expect` (a fingerprint) for good.

    For good: `times` handshakes in a row, the first and the last at least `over` seconds apart. Gives up
    after `within` seconds, and earlier only where a name has no address or where an address of somebody
    else's does not answer at all. A refused connection is no reason: a server may be starting. Returns the
    last sight of each address; it has settled if `fitted` is at least `times`. Whatever fits when the time is
    over is watched a little longer.
    """
    return settle_all([(target, expect)], within=within, times=times, over=over, reads=reads)


def settle_all(  # noqa: PLR0913  how patient to be is tests' to say
    wanted: Sequence[tuple[Target, str]],
    *,
    within: float = 10.0,
    times: int = 5,
    over: float = 0.3,
    workers: int = 64,  # they mostly wait
    once: Collection[tuple[str, str]] = (),
    reads: Reads = no_file,
) -> list[Sight]:
    """`settle` for many (target, fingerprint) at once, in their order; `within` counts for each address.

    `once` are (endpoint, address) pairs that are looked at only once: nothing is expected of them.
    """
    from renewer.network.verify.messages import TARGETS, Settle

    roots = Crossing([target.roots for target, _ in wanted], reads)
    door = _door(None, roots)
    found: list[Sight] = []
    for some in shares(wanted, TARGETS):
        places = {str(target.endpoint) for target, _ in some}
        request = Settle(
            wanted=tuple((roots.out(target), leaf) for target, leaf in some),
            within=within,
            times=times,
            over=over,
            workers=workers,
            once=tuple(place for place in once if place[0] in places),
        )
        found += roots.back(_sights(door, request, [target for target, _ in some], math.inf))
    return found


def fetch(urls: Sequence[str], within: float) -> "dict[str, Fetched]":
    """What these URLs bring an authority, of those that answer within so many seconds in all."""
    from renewer.network.verify.messages import TARGETS, Fetch, Fetched, UrlFetched

    found: dict[str, Fetched] = {}
    door = _door(None)
    for some in shares(list(dict.fromkeys(urls)), TARGETS):
        request = Fetch(urls=tuple(some), within=within)
        answers = _twice(lambda: list(door.ask_all(request, UrlFetched)))  # noqa: B023  called at once
        if isinstance(answers, RetryLater):
            found |= {url: Fetched(trace=url, error=answers.text) for url in some}
            continue
        for number, answer in by_what(lambda one: one.number, range(len(some)), answers).items():
            found[some[number]] = cleaned(answer.found)
    return found


def visit(doorsteps: "Sequence[Doorstep]", within: float) -> "dict[Doorstep, PortSeen]":
    """What is seen at doorsteps, at those that answer within so many seconds in all."""
    from renewer.network.verify.messages import TARGETS, Visit, Visited

    found: dict[Doorstep, PortSeen] = {}
    door = _door(None)
    for some in shares(list(dict.fromkeys(doorsteps)), TARGETS):
        request = Visit(doorsteps=tuple(some), within=within)
        answers = _twice(lambda: list(door.ask_all(request, Visited)))  # noqa: B023  called at once
        if isinstance(answers, RetryLater):  # as those that did not answer in time
            continue
        for number, answer in by_what(lambda one: one.number, range(len(some)), answers).items():
            step = some[number]
            if (answer.seen.address, answer.seen.port) != (step.address, step.port):
                raise breach("of another door")
            found[step] = cleaned(answer.seen)
    return found


def try_roots(path: str, reads: Reads) -> None:
    """Whether ports can be checked against the certificates in a file. Raises GiveUp if not."""
    from renewer.network.verify.messages import TryRoots

    if path in (SYSTEM, ANY):
        return
    reads(path)
    roots = Crossing([path], reads)
    try:
        _door(None, roots).do(TryRoots(key=roots.key(path)))
    except GiveUp as error:
        raise roots.named(error, path) from None


def _sights(
    door: "Door[Any]", request: "Look | Settle", targets: Sequence[Target], until: float
) -> list[Sight]:
    from renewer.network.verify.messages import Sights

    answers = _twice(lambda: list(door.ask_all(request, Sights, until=lambda: until)))
    if isinstance(answers, RetryLater):
        return [unseen(target, answers.text) for target in dict.fromkeys(targets)]
    return [sight for answer in answers for sight in answer.sights]


def _twice(ask: Callable[[], list[A]]) -> list[A] | RetryLater:
    """The answers, a second worker's if the first one fails; what is told if that fails as well."""
    try:
        return ask()
    except RetryLater as error:
        if error.kind not in FAILED:
            raise
    try:
        return ask()
    except RetryLater as error:
        if error.kind not in FAILED:
            raise
        return error


def _door(stopping: threading.Event | None, roots: Crossing | None = None) -> "Door[Any]":
    from renewer.network.door import Door

    return Door("looks", shared=True, stopping=stopping, greeting=roots.told if roots else tuple)
