"""What several threads need: work that is done once, and work that is done at the same time."""

import queue
import threading
from collections.abc import Callable, Hashable, Mapping
from concurrent.futures import Future
from typing import Any, Generic, TypeVar

from renewer import clock
from renewer.errors import RenewerError

K = TypeVar("K", bound=Hashable)
T = TypeVar("T")
WORKERS = 16  # looks at the same time


class Renewable(Generic[T]):
    """Made by whoever needs it first; those who waited share what came of it, also a failure.

    Without that, each of many workers would in turn wait for an authority that does not answer.
    """

    def __init__(self, make: Callable[[], T]) -> None:
        self._make = make
        self._made: T | None = None
        self._failure: tuple[float, RenewerError] | None = None
        self._renewed = False
        self._failed_again: RenewerError | None = None
        self._lock = threading.Lock()

    def get(self) -> T:
        """What was made; made now if it is not there yet."""
        if (made := self._made) is not None:
            return made
        asked = clock.monotonic()
        with self._lock:
            if self._made is None:
                if self._failure and self._failure[0] >= asked:
                    raise self._failure[1]
                try:
                    self._made = self._make()
                except RenewerError as error:
                    self._failure = (clock.monotonic(), error)
                    raise
            return self._made

    def renew(self, old: T, before: Callable[[], object] = lambda: None) -> None:
        """Make it anew, once a run, `before` having been done; nothing if it is not `old` any more.

        Whoever comes meanwhile, or later, waits for that and shares what came of it, also a failure.
        """
        with self._lock:
            if self._made != old:
                return
            if self._renewed:
                if self._failed_again:
                    raise self._failed_again
                return
            self._renewed = True
            try:
                before()
                self._made = self._make()
            except RenewerError as error:
                self._failed_again = error
                raise


class Once:
    """Remembers what came of it by key, failures too; who comes while it is being done waits for it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._found: dict[object, Future[Any]] = {}

    def get(self, key: object, make: Callable[[], T]) -> T:
        """What `make` returned, or raises what it raised: anew, for one instance is not for two threads."""
        with self._lock:
            future = self._found.get(key)
            mine = future is None
            if future is None:
                future = self._found[key] = Future()
        if mine:
            try:
                future.set_result(make())
            except BaseException as error:
                future.set_exception(error)
                raise
        try:
            result: T = future.result()
        except RenewerError as error:
            raise type(error)(
                error.text, hint=error.hint, kind=error.kind, identifiers=error.identifiers
            ) from None
        return result


def together(work: Mapping[K, Callable[[], T]], deadline: float, *, workers: int = WORKERS) -> dict[K, T]:
    """What each came to, of those that ended before the deadline (of clock.monotonic).

    Daemons, because nothing can interrupt a system's resolver that hangs. Raises what a look raised.
    """
    jobs: queue.SimpleQueue[tuple[K, Callable[[], T]]] = queue.SimpleQueue()
    ended: queue.SimpleQueue[tuple[K, Future[T]]] = queue.SimpleQueue()
    for job in work.items():
        jobs.put(job)

    def labour() -> None:
        while clock.monotonic() < deadline:
            try:
                key, look = jobs.get_nowait()
            except queue.Empty:
                return
            future: Future[T] = Future()
            try:
                future.set_result(look())
            except BaseException as error:  # noqa: BLE001  it belongs to who waits
                future.set_exception(error)
            ended.put((key, future))

    for _ in range(min(workers, len(work))):
        threading.Thread(target=labour, name="together", daemon=True).start()
    found: dict[K, T] = {}
    while len(found) < len(work):
        try:
            key, future = ended.get(timeout=max(0.0, deadline - clock.monotonic()))
        except queue.Empty:
            break
        found[key] = future.result()
    return found
