"""Many looks at a time, none of them waited for beyond the deadline."""

import queue
import threading
from collections.abc import Callable, Hashable, Mapping
from concurrent.futures import Future
from typing import TypeVar

from renewer import clock

K = TypeVar("K", bound=Hashable)
T = TypeVar("T")
WORKERS = 16


def together(work: Mapping[K, Callable[[], T]], deadline: float, *, workers: int = WORKERS) -> dict[K, T]:
    """What each came to, of those that ended before the deadline (of clock.monotonic).

    Daemons, because nothing can interrupt a system's resolver that hangs. Raises what a look raised.
    """
    jobs: queue.SimpleQueue[tuple[K, Callable[[], T]]] = queue.SimpleQueue()
    ended: queue.SimpleQueue[tuple[K, Callable[[], T]]] = queue.SimpleQueue()
    for job in work.items():
        jobs.put(job)

    def labour() -> None:
        while clock.monotonic() < deadline:
            try:
                key, look = jobs.get_nowait()
            except queue.Empty:
                return
            ended.put((key, _result(look)))

    for _ in range(min(workers, len(work))):
        threading.Thread(target=labour, name="inspection", daemon=True).start()
    found: dict[K, T] = {}
    while len(found) < len(work):
        try:
            key, result = ended.get(timeout=max(0.0, deadline - clock.monotonic()))
        except queue.Empty:
            break
        found[key] = result()
    return found


def _result(look: Callable[[], T]) -> Callable[[], T]:
    """What a look came to, given or raised to who asks for it."""
    future: Future[T] = Future()
    try:
        future.set_result(look())
    except BaseException as error:  # noqa: BLE001  it belongs to who waits
        future.set_exception(error)
    return future.result
