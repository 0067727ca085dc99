"""Watches every change that is made to the disk, and can make the n-th one fail or be the last."""

import errno
import os
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

_EVENTS = frozenset(
    {
        *(
            "os.mkdir",
            "os.rename",
            "os.symlink",
            "os.remove",
            "os.rmdir",
            "os.chmod",
            "os.chown",
            "os.truncate",
        ),
        *("os.link", "tests.write", "tests.fsync"),
    }
)
_CHANGING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC

_watcher: Callable[[], None] | None = None
_thread = 0


class KilledError(BaseException):
    """What a killed process does: nothing more, not even clean up."""


def _hook(event: str, arguments: tuple[object, ...]) -> None:
    if _watcher is None or threading.get_ident() != _thread:
        return
    changing = event in _EVENTS
    if event == "open" and isinstance(arguments[2], int):
        changing = bool(arguments[2] & _CHANGING)
    if changing:
        _watcher()


_installed: list[bool] = []


@contextmanager
def watched(before_each: Callable[[int], None]) -> Iterator[None]:
    """Call a function with 1, 2, 3… before each mutation by this thread; writes and fsyncs count."""
    global _watcher, _thread  # noqa: PLW0603  an audit hook is for ever, there can only be one
    if not _installed:
        sys.addaudithook(_hook)
        _installed.append(True)
    count = 0

    def step() -> None:
        global _watcher  # noqa: PLW0603  what the watcher itself does is not watched
        nonlocal count
        count += 1
        mine, _watcher = _watcher, None
        try:
            before_each(count)
        finally:
            _watcher = mine

    with pytest.MonkeyPatch.context() as patch:
        real_write, real_fsync = os.write, os.fsync

        def write(fd: int, data: bytes) -> int:
            sys.audit("tests.write", fd)
            return real_write(fd, data)

        def fsync(fd: int) -> None:
            sys.audit("tests.fsync", fd)
            real_fsync(fd)

        patch.setattr(os, "write", write)
        patch.setattr(os, "fsync", fsync)
        _thread, _watcher = threading.get_ident(), step
        try:
            yield
        finally:
            _watcher = None


def failing(number: int) -> Callable[[int], None]:
    """The n-th mutation fails for want of room, the others work."""

    def before(count: int) -> None:
        if count == number:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    return before


def killed(number: int) -> Callable[[int], None]:
    """The n-th mutation and all that would follow do not happen."""

    def before(count: int) -> None:
        if count >= number:
            raise KilledError

    return before
