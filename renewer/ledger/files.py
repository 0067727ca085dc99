"""The ledger's file: made private, checked before it is opened, moved aside when it is damaged."""

import errno
import os
import sqlite3
import stat
from typing import NamedTuple

from renewer import clock
from renewer.durable import created, with_mode
from renewer.errors import RenewerError, StateError, shortage
from renewer.ledger.contract import UNWRITABLE
from renewer.ownership import hint_for_foreign, open_place

_NEEDED = 4  # files that SQLite opens at once: database, WAL, its index, the directory
_COMPANIONS = ("-wal", "-shm", "-journal")


class Stamp(NamedTuple):
    """What tells whether the file changed; all zeros if there is none.

    `quiet` is whether no writer is at work, or was killed at it.
    """

    inode: int
    size: int
    mtime: int
    quiet: bool


def stamp(path: str) -> Stamp:
    """The file's stamp. Raises StateError if we may not look."""
    try:
        status = os.lstat(path)
    except FileNotFoundError:
        return Stamp(0, 0, 0, quiet=True)
    except OSError as error:
        raise _failed(path, error) from error
    quiet = not any(os.path.lexists(path + suffix) for suffix in ("-wal", "-journal"))
    return Stamp(status.st_ino, status.st_size, status.st_mtime_ns, quiet=quiet)


def uri(path: str, *, immutable: bool) -> str:
    """How SQLite is told to read only."""
    for character in "%?#":  # sqlite.org/uri.html; the percent sign first
        path = path.replace(character, f"%{ord(character):02x}")
    return f"file:{path}?mode=ro" + ("&immutable=1" if immutable else "")


def demand_safe(path: str) -> None:
    """Raise StateError unless the file is a plain one of ours or root's that nobody else may write to."""
    try:
        status = os.lstat(path)
    except OSError as error:
        raise _failed(path, error) from error
    plain = stat.S_ISREG(status.st_mode) and status.st_uid in (0, os.geteuid())
    if not plain or status.st_mode & 0o022:
        raise StateError(
            f"{path} is not a file that only we can write to",
            hint=hint_for_foreign(status.st_uid, path)
            if status.st_uid not in (0, os.geteuid())
            else f"look who put it there, and move it away: ls -l {path}",
            kind="unsafe-state",
        )


def header_is_sound(path: str) -> bool:
    """Whether the file begins as SQLite's do (sqlite.org/fileformat.html, 1.3); an empty one is one."""
    try:
        with open(path, "rb") as file:
            head = file.read(100)
    except OSError:
        return True  # that is another trouble
    versions = head[18:20]
    return not head or (head[:16] == b"SQLite format 3\0" and set(versions) <= {1, 2} and len(versions) == 2)


def prepare(path: str) -> None:
    """Make the file, empty and 0600, unless it is there: SQLite gives its companions the same mode.

    Raises StateError if it, or what lies in the place of a companion, is not a file of ours.
    """
    for suffix in _COMPANIONS:
        if os.path.lexists(path + suffix):
            demand_safe(path + suffix)
    try:
        with open_place(path) as place, created(place.fd, place.name, b"", with_mode(path)):
            pass
    except FileExistsError:
        demand_safe(path)
    except OSError as error:
        raise _failed(path, error) from error


def set_aside(path: str) -> str:
    """Move a damaged ledger and its companions away, and say so in a sentence."""
    name = f"{path}.damaged-{clock.now():%Y%m%dT%H%M%SZ}"
    unique, number = name, 1
    while os.path.lexists(unique):
        number += 1
        unique = f"{name}-{number}"
    try:
        for suffix in _COMPANIONS:
            if os.path.lexists(path + suffix):
                os.rename(path + suffix, unique + suffix)
        os.rename(path, unique)
    except OSError as error:
        raise _failed(path, error) from error
    return f"{path} was damaged and is kept as {unique}; history is lost, no certificate is"


NO_ROOM = (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY)
"""Codes of SQLite that tell of a file that cannot be written, whatever the reason."""
_SHORT = (errno.EMFILE, errno.ENFILE, errno.ENOMEM)
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EFBIG, errno.EIO)


def refused(path: str, error: sqlite3.Error) -> StateError:
    """What SQLite could not do, and what to do about it."""
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    hints = {
        sqlite3.SQLITE_FULL: "make room on that file system (df -h), then run again",
        sqlite3.SQLITE_IOERR: "look for a full disk (df -h) or a failing one (dmesg), then run again",
        sqlite3.SQLITE_BUSY: "another process holds it for long; look which: fuser -v " + path,
        sqlite3.SQLITE_READONLY: "run as root or as its owner",
        sqlite3.SQLITE_CANTOPEN: "run as root or as its owner; is its file system mounted writable?",
        sqlite3.SQLITE_PERM: "run as root or as its owner",
    }
    if code == sqlite3.SQLITE_CANTOPEN and (want := _no_more_files()):
        return StateError(f"the ledger {path} cannot be used: {want.text}", hint=want.hint, kind=want.kind)
    kind = UNWRITABLE if code in NO_ROOM else "ledger"
    return StateError(f"the ledger {path} cannot be used: {error}", hint=hints.get(code, ""), kind=kind)


def _no_more_files() -> RenewerError | None:
    """SQLite keeps the cause for itself: one may be that nothing can be opened any more, it needs a few."""
    opened: list[int] = []
    try:
        for _ in range(_NEEDED):
            opened.append(os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC))  # noqa: PERF401  closed if it ends early
    except OSError as error:
        return shortage(error)
    finally:
        for fd in opened:
            os.close(fd)
    return None


def _failed(path: str, error: OSError) -> StateError:
    hint = f"run as root or as the owner of the state directory; look at: namei -l {path}"
    if isinstance(error, FileNotFoundError):
        hint = "the state directory is missing: a run makes it when it takes the lock"
    if error.errno in _FULL + _SHORT and (want := shortage(error)):
        kind = UNWRITABLE if error.errno in _FULL else want.kind
        return StateError(f"{path}: {want.text}", hint=want.hint, kind=kind)
    return StateError(f"{path}: {os.strerror(error.errno or 0)}", hint=hint, kind="ledger")


# Shared memory between hosts does not exist, and WAL's index is shared memory (sqlite.org/wal.html)
_NETWORK = frozenset(
    {
        *(
            "9p",
            "afs",
            "beegfs",
            "ceph",
            "cifs",
            "davfs",
            "gfs2",
            "glusterfs",
            "lustre",
            "ncpfs",
            "nfs",
            "nfs4",
        ),
        *("ocfs2", "orangefs", "smb3", "smbfs", "virtiofs"),
        *("fuse.ceph-fuse", "fuse.davfs2", "fuse.gcsfuse", "fuse.glusterfs", "fuse.s3fs", "fuse.sshfs"),
    }
)
_MOUNTS = "/proc/self/mounts"


def network_filesystem(path: str, mounts: str = _MOUNTS) -> str | None:
    """The type of the network file system that a path lies on; None if it is local, or nobody knows."""
    try:
        with open(mounts, encoding="utf-8", errors="surrogateescape") as file:
            lines = file.read().splitlines()
    except OSError:
        return None
    real = os.path.realpath(path)
    best, found = "", ""
    for line in lines:
        fields = line.split(" ")
        if len(fields) < 3:
            continue
        point = _unescape(fields[1])
        inside = point in ("/", real) or real.startswith(f"{point}/")
        if inside and len(point) >= len(best):  # the last of equals lies on top
            best, found = point, fields[2]
    return found if found in _NETWORK else None


def _unescape(text: str) -> str:
    """Spaces, tabs, newlines and backslashes stand there in octal (getmntent(3))."""
    for octal, character in (("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")):
        text = text.replace(octal, character)
    return text
