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
from renewer.acme.transport import Transport
from renewer.ledger.sqlite import SqliteLedger

BeforeEach = Callable[[int, str], None]
"""Called before each mutation with its number (from 1) and its kind: `disk`, `ledger`, or one of the below.

`request` and `hook` come before it happens, `answer` and `end` after it.
"""

_BY_NAME = ("mkdir", "unlink", "remove", "rmdir", "chmod", "chown", "truncate")
_BY_NUMBER = ("fchmod", "fchown", "ftruncate", "write", "pwrite", "fsync")
_TO_SECOND = ("rename", "replace", "symlink", "link")
_CHANGING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC


@contextmanager
def watched(places: Sequence[str], before_each: BeforeEach) -> Iterator[None]:
    """Call `before_each` before every mutation below these directories, whoever makes it in this process."""
    guard = threading.Lock()
    count = 0

    def step(kind: str) -> None:
        nonlocal count
        with guard:
            count += 1
            before_each(count, kind)

    def inside(path: Any, dir_fd: int | None) -> bool:
        if isinstance(path, int):
            where = _behind(path)
        else:
            text = os.fspath(path)
            text = text.decode() if isinstance(text, bytes) else text
            where = text if dir_fd is None else f"{_behind(dir_fd)}/{text}"
        return any(where == place or where.startswith(f"{place}/") for place in places)

    def disk(real: Callable[..., Any], place: Callable[..., bool]) -> Callable[..., Any]:
        def instead(*arguments: Any, **options: Any) -> Any:
            if place(*arguments, **options):
                step("disk")
            return real(*arguments, **options)

        return instead

    def around(real: Callable[..., Any], before: str, after: str) -> Callable[..., Any]:
        def instead(*arguments: Any, **options: Any) -> Any:
            step(before)
            result = real(*arguments, **options)
            step(after)
            return result

        return instead

    def opened(path: Any, flags: int, *_: Any, dir_fd: int | None = None) -> bool:
        return bool(flags & _CHANGING) and inside(path, dir_fd)

    def named(path: Any, *_: Any, dir_fd: int | None = None, **__: Any) -> bool:
        return inside(path, dir_fd)

    def second(_: Any, path: Any, *__: Any, **where: Any) -> bool:
        return inside(path, where.get("dst_dir_fd", where.get("dir_fd")))

    real_change = SqliteLedger._change

    def change(self: SqliteLedger, action: Any, rows: Any) -> None:
        if rows:
            step("ledger")
        real_change(self, action, rows)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "open", disk(os.open, opened))
        for names, place in ((_BY_NAME, named), (_BY_NUMBER, named), (_TO_SECOND, second)):
            for name in names:
                patch.setattr(os, name, disk(getattr(os, name), place))
        patch.setattr(SqliteLedger, "_change", change)
        patch.setattr(Transport, "_send", around(Transport._send, "request", "answer"))
        patch.setattr(proc, "run", around(proc.run, "hook", "end"))
        yield


def _behind(number: int) -> str:
    try:
        return os.readlink(f"/proc/self/fd/{number}")
    except OSError:
        return ""
