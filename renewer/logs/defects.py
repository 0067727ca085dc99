"""Traces of this program's defects, kept for who mends it: one file in the state directory, bounded."""

import contextlib
import os
import stat
import traceback
from datetime import UTC, datetime

from renewer import clock

NAME = "defects.log"
_LARGEST = 64 * 1024  # bytes: the newest traces
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
_MAKE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


def keep(state: str, error: Exception, about: str = "") -> str:
    """Put a trace before those that are there; the file's path (0600). Raises OSError."""
    path, temporary = f"{state}/{NAME}", f"{state}/.{NAME}.{os.getpid()}"
    head = f"{clock.now():%Y-%m-%d %H:%M:%SZ} {about}".rstrip()
    trace = "".join(traceback.format_exception(error))
    new = f"{head}\n{trace}\n".encode("utf-8", "backslashreplace")
    content = (new + _read(path))[:_LARGEST]
    with contextlib.suppress(FileNotFoundError):
        os.unlink(temporary)
    fd = os.open(temporary, _MAKE, 0o600)
    try:
        with os.fdopen(fd, "wb") as file:
            file.write(content)
        os.rename(temporary, path)
    except OSError:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise
    return path


def noted(state: str) -> str | None:
    """That there are such traces, as a sentence that says how to end it; None if there are none."""
    path = f"{state}/{NAME}"
    try:
        entry = os.lstat(path)
    except OSError:
        return None
    at = datetime.fromtimestamp(entry.st_mtime, UTC)
    return (
        f"a defect of this program was met, last at {at:%Y-%m-%d %H:%M:%SZ}; please report it with its trace "
        f"in {path}; to end this note: rm {path}"
    )


def _read(path: str) -> bytes:
    try:
        fd = os.open(path, _READ)
    except OSError:
        return b""
    with os.fdopen(fd, "rb") as file:
        return file.read(_LARGEST) if stat.S_ISREG(os.fstat(fd).st_mode) else b""
