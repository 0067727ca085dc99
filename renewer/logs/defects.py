"""Traces of this program's defects, kept for who mends it: one file in the state directory, bounded."""

import os
import stat
import traceback
from datetime import UTC, datetime

from renewer import clock, durable

NAME = "defects.log"
_LARGEST = 64 * 1024  # bytes: the newest traces
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK


def keep(state: str, error: Exception, about: str = "") -> str:
    """Put a trace before those that are there; the file's path (0600). Raises OSError or RenewerError."""
    path = f"{state}/{NAME}"
    head = f"{clock.now():%Y-%m-%d %H:%M:%SZ} {about}".rstrip()
    trace = "".join(traceback.format_exception(error))
    new = f"{head}\n{trace}\n".encode("utf-8", "backslashreplace")
    content = (new + _read(path))[:_LARGEST]
    durable.replace(path, content, durable.with_mode(path), alone=False)
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
