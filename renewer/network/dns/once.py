"""Work that several threads need and that is done once."""

import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, TypeVar

from renewer.errors import RenewerError

T = TypeVar("T")


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
