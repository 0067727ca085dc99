"""A small file in the state directory, given up when its file system is full: then the ledger has room.

Its content means nothing; it is made again once there is plenty of room.
"""

import contextlib
import os

NAME = "reserve"
SIZE = 512 * 1024  # a ledger's transactions of some weeks
_NEEDED = 64 * 1024  # bytes, for the least that a run writes
_PLENTY = 16  # reserves that fit beside it: it must not be what fills the file system


def lay(state: str) -> None:
    """Make it, if it is not there and there is plenty of room; a nicety that never fails."""
    path = f"{state}/{NAME}"
    with contextlib.suppress(OSError):
        if os.path.lexists(path) or room(state) < _PLENTY * SIZE:
            return
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            os.posix_fallocate(fd, 0, SIZE)
        except OSError:
            os.unlink(path)
        finally:
            os.close(fd)


def give_up(state: str) -> bool:
    """Whether it was there, and is gone now."""
    try:
        os.unlink(f"{state}/{NAME}")
    except OSError:
        return False
    return True


def want(state: str) -> str | None:
    """Why nothing can be written there, as a sentence that says what to do; None if something can."""
    try:
        found = os.statvfs(state)
    except OSError:
        return None
    full = "nothing can be remembered, so nothing is renewed"
    if found.f_flag & os.ST_RDONLY:
        return f"the file system of {state} is read-only: {full}; mount it writable (mount -o remount,rw)"
    if found.f_bavail * found.f_frsize < _NEEDED:
        return f"the file system of {state} has no room left: {full}; make room there (df -h {state})"
    return None


def room(state: str) -> int:
    """Bytes that we may still write on its file system. Raises OSError."""
    found = os.statvfs(state)
    return found.f_bavail * found.f_frsize
