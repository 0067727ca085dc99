"""One agent at a time: a lock that the kernel lets go of when its holder dies, and that says who holds it."""

import contextlib
import fcntl
import os
import sys
from datetime import datetime
from typing import Self

import msgspec

from renewer import clock, statedir
from renewer.decoding import UndecodableError, decode
from renewer.errors import LockHeld, StateError
from renewer.model.value import Value
from renewer.store import layout
from renewer.store.layout import group_number

_POLL = 0.1  # seconds between two tries
_PATIENCE = 0.06  # seconds even without waiting: somebody who only asks who holds it has it for an instant
_OPEN = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC


class Holder(Value):
    """Who holds the lock, as it wrote of itself."""

    pid: int
    since: datetime
    command: str

    def __str__(self) -> str:
        return f"pid {self.pid} ({self.command}) since {self.since:%Y-%m-%d %H:%M:%S} UTC"


class Lock:
    """The lock of a state directory (flock on `<state>/lock`); a context manager.

    `command` is what others are told that we do; without it, our command line.
    """

    def __init__(self, state: str, *, group: str | None = None, command: str = "") -> None:
        self._state = state
        self._group = group
        self._command = command or _command_line()
        self._fd: int | None = None

    def acquire(self, wait_seconds: float = 0.0) -> Self:
        """Take the lock, waiting up to so many seconds; makes the state directory if it is missing.

        Raises LockHeld if another one still has it then, StateError if the state cannot be used.
        """
        fd = self._open()
        try:
            until = clock.monotonic() + max(wait_seconds, _PATIENCE)
            while not _take(fd, fcntl.LOCK_EX, self._path):
                left = until - clock.monotonic()
                if left <= 0:
                    raise _held(_read(fd))  # noqa: TRY301  the except below only closes what was opened
                clock.sleep(min(_POLL, left) if wait_seconds > 0 else _PATIENCE / 3)
            card = self._card()
            with contextlib.suppress(OSError):  # a full disk: what it says is for people, the lock holds
                os.pwrite(fd, card, 0)  # over what stands there, which needs no room
                os.ftruncate(fd, len(card))
        except BaseException:
            os.close(fd)
            raise
        self._fd = fd
        return self

    def release(self) -> None:
        """Let go of it; doing so twice is no error."""
        fd, self._fd = self._fd, None
        if fd is not None:
            os.close(fd)

    def holder(self) -> Holder | None:
        """Who holds it at this moment; None if nobody does, or if we may not know. Makes nothing."""
        try:
            fd = os.open(self._path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        except OSError:
            return None
        try:
            if _take(fd, fcntl.LOCK_SH, self._path):
                return None  # what stands in the file is of one that ended
            return _read(fd)
        finally:
            os.close(fd)

    def __enter__(self) -> Self:
        if self._fd is None:
            self.acquire()
        return self

    def __exit__(self, *_: object) -> None:
        self.release()

    @property
    def _path(self) -> str:
        return f"{self._state}/{layout.LOCK}"

    def _open(self) -> int:
        group = group_number(self._group)
        mode = 0o700 if group is None else 0o750
        with statedir.ensure_root(self._state, mode, group) as root, statedir.told(self._path):
            fd = os.open(layout.LOCK, _OPEN, 0o600, dir_fd=root.fd)
            try:
                status = os.fstat(fd)
                statedir.check_owner(status, self._path)
                if status.st_uid == os.geteuid() and status.st_mode & 0o777 != 0o600:
                    os.fchmod(fd, 0o600)
            except BaseException:
                os.close(fd)
                raise
            return fd

    def _card(self) -> bytes:
        return msgspec.json.encode(Holder(pid=os.getpid(), since=clock.now(), command=self._command)) + b"\n"


def _take(fd: int, kind: int, path: str) -> bool:
    try:
        fcntl.flock(fd, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        raise StateError(
            f"{path} cannot be locked: {os.strerror(error.errno or 0)}",
            hint="the state directory must lie on a file system with locks",
        ) from error
    return True


def _read(fd: int) -> Holder | None:
    """What the holder wrote; None in the instant before it has."""
    try:
        holder: Holder = decode(os.pread(fd, 4096, 0), Holder)
    except (UndecodableError, OSError):
        return None
    return holder


def _held(holder: Holder | None) -> LockHeld:
    return LockHeld(
        f"another run is at work: {holder or 'it has not said yet who it is'}",
        hint="wait until it ends; the lock goes with its process"
        + (f": ps -fp {holder.pid}" if holder else ""),
        kind="locked",
    )


def _command_line() -> str:
    words = [os.path.basename(sys.argv[0] or "python"), *sys.argv[1:]]
    return " ".join(words)[:200]
