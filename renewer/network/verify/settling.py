"""Waits until a reload has reached every process of a server.

Servers with several processes answer with old and new certificates in turn for a tenth of a second after a
reload (nginx), or with the old one for as much as a second before the first new one (Apache): one handshake
proves nothing. So it takes several in a row, spread over a while, that all show the new leaf.
"""

from collections import deque
from collections.abc import Collection, Iterator, Sequence

import msgspec

from renewer import clock
from renewer.network.verify.sight import (
    RESOLVING,
    PortTrouble,
    Sight,
    Target,
    TargetAddress,
    resolve,
    unresolved,
)

PAUSE = 0.05  # seconds between looks while the new certificate is not there


def settle(  # noqa: PLR0913  each by its name
    wanted: Sequence[tuple[Target, str]],
    *,
    within: float,
    times: int,
    over: float,
    workers: int,
    once: Collection[tuple[str, str]],
) -> Iterator[Sight]:
    """What `verify.settle_all` does, on the worker's side of the door; the sights as they come."""
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(max_workers=workers, thread_name_prefix="settle") as pool:
        resolved = pool.map(lambda one: resolve(one[0], RESOLVING), wanted)
        places = [(place, one[1]) for one, found in zip(wanted, resolved, strict=True) for place in found]
        watch = _Watch(within=within, times=times, over=over, once=frozenset(once))
        yield from pool.map(lambda one: watch.one(*one), places)


class _Watch:
    """The watch over one address after another, by fixed numbers."""

    def __init__(self, *, within: float, times: int, over: float, once: frozenset[tuple[str, str]]) -> None:
        self.once = once
        self.within = within
        self.times = times
        self.pause = over / max(times - 1, 1)

    def one(self, place: TargetAddress, expect: str) -> Sight:
        """Watch one address; the last of the handshakes is the one whose sight is returned."""
        from renewer.network.verify.handshake import see

        if place.error is not None:
            return unresolved(place)
        if (str(place.target.endpoint), place.address) in self.once:
            return see(place, place.patience)
        # Who may take long to greet gets that long once more
        deadline = clock.monotonic() + max(self.within, 2 * place.patience)
        extra, fitted, recent = 0, 0, deque[str | None](maxlen=self.times)
        while True:
            late = clock.monotonic() >= deadline
            if fitted >= self.times - 1 or (late and not fitted):
                sight = see(place, self._timeout(place, deadline))
                recent.append(sight.fingerprint)
                fitted = fitted + 1 if sight.fingerprint == expect else 0
                extra += clock.monotonic() >= deadline
                if fitted >= self.times or (extra and not fitted) or extra > self.times:
                    seen = (None, expect, sight.fingerprint)
                    others = dict.fromkeys(one for one in recent if one not in seen)
                    return msgspec.structs.replace(
                        sight, fitted=fitted, expected=self.times, others=tuple(one for one in others if one)
                    )
            else:
                shown, lost = self._peek(place, deadline)
                recent.append(shown)
                fitted = fitted + 1 if shown == expect else 0
                if lost:
                    return see(place, self._timeout(place, deadline))
            if fitted or not late:  # what fits so far is watched to its end
                clock.sleep(self.pause if fitted else min(PAUSE, deadline - clock.monotonic()))

    def _peek(self, place: TargetAddress, deadline: float) -> tuple[str | None, bool]:
        """The leaf's fingerprint, and whether it is pointless to go on; a single cheap handshake."""
        import hashlib

        from renewer.network.verify.handshake import show_what_is_meant

        shown = show_what_is_meant(place, self._timeout(place, deadline))
        # Behind NAT a host often cannot reach its own public address: silence there is no fault of a reload.
        silent = not shown.connected and shown.trouble in (PortTrouble.TIMEOUT, PortTrouble.NETWORK)
        seen = hashlib.sha256(shown.der).hexdigest() if shown.der is not None else None
        return seen, silent and not place.local

    def _timeout(self, place: TargetAddress, deadline: float) -> float:
        """A connection's share: not past the deadline, but always enough for a server that is awake."""
        return min(place.patience, max(deadline - clock.monotonic(), 1.0))
