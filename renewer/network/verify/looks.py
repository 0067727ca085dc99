"""The duty of looking at ports, on the worker's side of the door."""

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from renewer import clock
from renewer.network import tls
from renewer.network.door import Asker
from renewer.network.protocol import DoorMessage
from renewer.network.verify import trust
from renewer.network.verify.fetching import fetch, visit
from renewer.network.verify.handshake import see
from renewer.network.verify.messages import (
    SIGHTS,
    Doorstep,
    Fetch,
    Look,
    Settle,
    Sights,
    TellTrust,
    TryRoots,
    UrlFetched,
    Visit,
    Visited,
)
from renewer.network.verify.settling import settle
from renewer.network.verify.sight import RESOLVING, Sight, Target, resolve
from renewer.threads import together

Looking = Look | Settle | Fetch | Visit
Trusting = TellTrust | TryRoots
_TO_SAY = 0.1  # seconds after the time limit in which who ended at it says so


class Looks:
    """Looks at what ports show."""

    asks = Looking | Trusting

    def answer(self, request: Looking | Trusting, main: Asker) -> Iterator[DoorMessage]:
        """What was seen, in the order of what was asked."""
        match request:
            case TellTrust():
                trust.learn(request)
                return iter(())
            case TryRoots(key=key):
                tls.verifying(trust.known(key), names=False)
                return iter(())
            case Look():
                return _together(
                    _look(
                        request.targets,
                        timeout=request.timeout,
                        workers=request.workers,
                        until=main.until,
                        again=dict(request.again),
                        cancelled=main.cancelled,
                    )
                )
            case Settle():
                return _together(
                    settle(
                        request.wanted,
                        within=request.within,
                        times=request.times,
                        over=request.over,
                        workers=request.workers,
                        once=request.once,
                    )
                )
            case Fetch(urls=urls):
                return _fetched(urls, clock.monotonic() + request.within)
            case Visit(doorsteps=doorsteps):
                return _visited(doorsteps, clock.monotonic() + request.within)


def _fetched(urls: Sequence[str], deadline: float) -> Iterator[DoorMessage]:
    work = {number: partial(fetch, url, deadline=deadline) for number, url in enumerate(urls)}
    found = together(work, deadline + _TO_SAY, workers=len(urls))
    return (UrlFetched(number=number, found=one) for number, one in found.items())


def _visited(doorsteps: Sequence[Doorstep], deadline: float) -> Iterator[DoorMessage]:
    work = {number: partial(visit, step, deadline) for number, step in enumerate(doorsteps)}
    found = together(work, deadline + _TO_SAY, workers=32)
    return (Visited(number=number, seen=one) for number, one in found.items())


def _together(sights: Iterable[Sight]) -> Iterator[DoorMessage]:
    """Some sights a message."""
    found = iter(sights)
    while some := tuple(itertools.islice(found, SIGHTS)):
        yield Sights(sights=some)


def _look(  # noqa: PLR0913  each by its name
    targets: Sequence[Target],
    *,
    timeout: float | None,
    workers: int,
    until: Callable[[], float],
    again: Mapping[str, int],
    cancelled: Callable[[], bool],
) -> Iterator[Sight]:
    """See every address of every target once, many at a time; in the order of the targets, as they are seen.

    What `verify.look` does, on the worker's side of the door.
    """

    def may_go_on() -> bool:
        return clock.monotonic() < until() and not cancelled()

    with ThreadPoolExecutor(max_workers=min(workers, len(targets) * 2), thread_name_prefix="look") as pool:
        found = pool.map(lambda one: resolve(one, timeout or RESOLVING) if may_go_on() else [], targets)
        places = [place for several in found for place in several]
        seen = pool.map(
            lambda place: (
                see(place, timeout or place.patience, again.get(str(place.target.endpoint), 0))
                if may_go_on()
                else None
            ),
            places,
        )
        yield from (sight for sight in seen if sight is not None)
