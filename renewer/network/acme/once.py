"""What is made once a run, by whoever needs it first."""

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

from renewer import clock
from renewer.errors import RenewerError

T = TypeVar("T")


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
