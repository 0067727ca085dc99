"""Every mutation of a run, counted in all its threads: files, the ledger, requests to the authority, hooks.

A request and a hook count twice, before and after: in between, the authority or the server has acted, and
nobody here knows of it.
"""

import os
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import pytest

from renewer import proc
from renewer.ledger.sqlite import SqliteLedger
from renewer.network.acme.transport import Transport
from renewer.statedir import StateDirectory

_Function = Callable[..., Any]
BeforeEach = Callable[[int, str], None]
"""Called before each mutation with its number (from 1) and its kind: `disk`, `ledger`, or one of the below.

`request` and `hook` come before it happens, `answer` and `end` after it.
"""

_BY_PLACE = (
    *("mkdir", "unlink", "remove", "rmdir", "chmod", "chown", "truncate"),
    *("fchmod", "fchown", "ftruncate", "write", "pwrite", "fsync"),
)
_TO_SECOND = ("rename", "replace", "symlink", "link")
_CHANGING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC


@contextmanager
def watched(places: Sequence[str], before_each: BeforeEach, *, syncs: bool = True) -> Iterator[None]:
    """Call `before_each` before every mutation below these directories, whoever makes it in this process.

    Without `syncs`, an fsync is none: to a process that is killed there it makes no difference.
    """
    watch = _Watch(places, before_each)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "open", watch.disk(os.open, watch.opened))
        for name in _BY_PLACE if syncs else _BY_PLACE[:-1]:
            patch.setattr(os, name, watch.disk(getattr(os, name), watch.inside))
        for name in _TO_SECOND:
            patch.setattr(os, name, watch.disk(getattr(os, name), watch.second))
        patch.setattr(StateDirectory, "exchange", watch.disk(StateDirectory.exchange, watch.exchanged))
        patch.setattr(SqliteLedger, "_change", watch.ledger(SqliteLedger._change))
        patch.setattr(Transport, "_send", watch.around(Transport._send, "request", "answer"))
        patch.setattr(proc, "run", watch.around(proc.run, "hook", "end"))
        yield


class _Watch:
    """Counts, and stands around the real functions."""

    def __init__(self, places: Sequence[str], before_each: BeforeEach) -> None:
        self._places = tuple(places)
        self._before_each = before_each
        self._guard = threading.Lock()
        self._count = 0

    def step(self, kind: str) -> None:
        """One more is about to happen."""
        with self._guard:
            self._count += 1
            self._before_each(self._count, kind)

    def disk(self, real: _Function, concerned: Callable[..., bool]) -> _Function:
        """A function of `os`, watched when its place concerns us."""

        def instead(*arguments: Any, **options: Any) -> Any:
            if concerned(*arguments, **options):
                self.step("disk")
            return real(*arguments, **options)

        return instead

    def ledger(self, real: _Function) -> _Function:
        """A transaction of the ledger that writes anything."""

        def instead(ledger: SqliteLedger, action: Any, rows: Any) -> None:
            if rows:
                self.step("ledger")
            real(ledger, action, rows)

        return instead

    def around(self, real: _Function, before: str, after: str) -> _Function:
        """Something that happens elsewhere, counted before and after it."""

        def instead(*arguments: Any, **options: Any) -> Any:
            self.step(before)
            result = real(*arguments, **options)
            self.step(after)
            return result

        return instead

    def inside(self, path: Any, *_: Any, dir_fd: int | None = None, **__: Any) -> bool:
        """Whether a path or a file's number lies below one of the places."""
        if isinstance(path, int):
            where = _behind(path)
        else:
            text = os.fsdecode(path)
            where = text if dir_fd is None else f"{_behind(dir_fd)}/{text}"
        return any(where == place or where.startswith(f"{place}/") for place in self._places)

    def opened(self, path: Any, flags: int, *_: Any, dir_fd: int | None = None) -> bool:
        """The same for `os.open`, if it is to write."""
        return bool(flags & _CHANGING) and self.inside(path, dir_fd=dir_fd)

    def second(self, _: Any, path: Any, *__: Any, **where: Any) -> bool:
        """The same for functions that make their second argument."""
        return self.inside(path, dir_fd=where.get("dst_dir_fd", where.get("dir_fd")))

    def exchanged(self, directory: StateDirectory, name: str, _: str) -> bool:
        """The same for two names that change places."""
        return self.inside(name, dir_fd=directory.fd)


def _behind(number: int) -> str:
    try:
        return os.readlink(f"/proc/self/fd/{number}")
    except OSError:
        return ""
