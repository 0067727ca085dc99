"""The one way to a durable file: made with its final rights, filled, on the disk, then renamed into place.

Names are relative to an open directory and never followed if they are links, so that nobody leads us
elsewhere. Each mutation is one plain `os` call: killed between any two, the former file stands or the new.
"""

import errno
import os
import threading
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from renewer.errors import GiveUp, RetryLater, StateError
from renewer.ownership import MODELESS, Place, open_place, rights_not_kept

_CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_LONGEST = 255  # octets of a name, on every file system that servers are run from

REMEDIES = {
    errno.ENOSPC: "make room there",
    errno.EDQUOT: "the quota is used up: make room, or raise it (quota -v)",
    errno.EFBIG: "a limit on the size of files is in force: raise it (ulimit -f, LimitFSIZE=)",
    errno.EROFS: "mount it writable; if only the timer fails, older units forbid it: renewer timer install",
    errno.EBUSY: "the file is a mount of its own (a bind mount of one file): mount its directory instead",
    errno.EIO: "the disk reports an error: look at the kernel's log (dmesg)",
    errno.ELOOP: "something else than a directory stands on the way: look at it with namei -l",
    errno.ENAMETOOLONG: "choose a shorter name",
    errno.ENOTSUP: "its file system has no such rights (access lists, SELinux): mount it with them",
    errno.ESTALE: "the file server has forgotten it: mount it again",
    errno.EACCES: "let the agent's user write there",
    errno.EPERM: "let the agent's user write there (chattr, SELinux and AppArmor can forbid it, too)",
}
"""What to do about what the system says, by errno."""

Stamp = tuple[int, ...]
"""What tells whether a file was changed: inode, size, mtime in ns; empty if there is none."""
Settle = Callable[[int], None]
"""What gives an open, empty file its owner and mode."""


class RenamedError(OSError):
    """The new file stands at its path, and that may not be on the disk yet; `stamp` is its own."""

    stamp: Stamp = ()


def replace(
    path: str, content: bytes, settle: Settle, *, was: int | None = None, alone: bool = True
) -> Stamp:
    """Put a file at an absolute path, whole or not at all, durable on return; its stamp.

    `was` is the inode of what is to be replaced, 0 if nothing is, None if it may be anything; `alone` is
    whether no other process or thread writes that file now. Raises OSError, RenamedError from the rename on,
    what `settle` raises, GiveUp if something else stands there that may be anybody's, and RetryLater if
    somebody else replaced it.
    """
    with open_place(path) as place:
        return put(place, path, content, settle, was=was, alone=alone)


def put(  # noqa: PLR0913  each by its name
    place: Place, path: str, content: bytes, settle: Settle, *, was: int | None = None, alone: bool = True
) -> Stamp:
    """The same in a directory that is open already; `path` is for messages."""
    made: Stamp = ()
    try:
        with (
            _drafted(place, path, was=was, alone=alone) as draft,
            created(place.fd, draft, content, settle) as fd,
        ):
            os.rename(draft, place.name, src_dir_fd=place.fd, dst_dir_fd=place.fd)
            _demand_same(place, fd, path)
            made = stamp_of(os.fstat(fd))
    except RenamedError as error:
        error.stamp = made
        raise
    return made


@contextmanager
def created(directory: int, name: str, content: bytes, settle: Settle) -> Iterator[int]:
    """A file that was not there, whole and on the disk: its descriptor. Raises OSError, and as `settle`."""
    fd = os.open(name, _CREATE, 0o600, dir_fd=directory)
    try:
        try:
            settle(fd)
            write_all(fd, content)
            os.fsync(fd)
        except Exception:
            with suppress(OSError):
                os.unlink(name, dir_fd=directory)
            raise
        yield fd
    finally:
        os.close(fd)


def replace_by_link(path: str, target: str, *, was: int | None = None) -> None:
    """Put a symbolic link at an absolute path, durable on return. Raises as `replace` does."""
    with open_place(path) as place, _drafted(place, path, was=was, alone=True) as draft:
        os.symlink(target, draft, dir_fd=place.fd)
        os.rename(draft, place.name, src_dir_fd=place.fd, dst_dir_fd=place.fd)


def rename(path: str, to: str) -> None:
    """Give a file another name in its directory (absolute paths), durable on return. Raises OSError."""
    with open_place(path) as place:
        move(place.fd, place.name, place.fd, os.path.basename(to))


def move(directory: int, name: str, to: int, as_name: str) -> None:
    """Rename into an open directory, over what may be there, durable on return. Raises OSError."""
    os.rename(name, as_name, src_dir_fd=directory, dst_dir_fd=to)
    synced(to)


@contextmanager
def _drafted(place: Place, path: str, *, was: int | None, alone: bool) -> Iterator[str]:
    """The name of a draft that is renamed over the file inside; then the directory is synced.

    A draft that was not renamed is removed. Who is `alone` at work there (holds a lock) always uses the same
    name, so that one that a killed process left is found again.
    """
    draft = draft_of(place.name if alone else f"{place.name}.{threading.get_native_id()}")
    demand_expected(place, was, path)
    try:
        with suppress(FileNotFoundError):
            os.unlink(draft, dir_fd=place.fd)
        yield draft
        synced(place.fd)
    finally:
        with suppress(OSError):
            os.unlink(draft, dir_fd=place.fd)


def draft_of(name: str) -> str:
    """The name under which a file is made before it is renamed to `name`, in the same directory."""
    draft = f".{name}.renewer"
    if len(os.fsencode(draft)) > _LONGEST:
        draft = f".{zlib.crc32(os.fsencode(name)):08x}.renewer"
    return draft


def with_mode(path: str, mode: int = 0o600, group: int | None = None) -> Settle:
    """This mode whatever the umask is, and this group; a StateError if the file system does not keep it."""

    def settle(fd: int) -> None:
        if group is not None:
            os.fchown(fd, -1, group)
        os.fchmod(fd, mode)  # the umask may have taken bits away, and the group was not ours before
        if fault := rights_not_kept(os.fstat(fd), -1, mode):
            raise StateError(f"{path}: {fault.text}", hint=fault.hint, kind=MODELESS)

    return settle


def demand_expected(place: Place, was: int | None, path: str) -> None:
    """That in a directory of root's that others could have put there nothing else is replaced or removed."""
    if not place.moved or was is None:
        return
    try:
        found = os.stat(place.name, dir_fd=place.fd, follow_symlinks=False).st_ino
    except FileNotFoundError:
        return
    if found != was:
        raise GiveUp(
            f"{path} is left alone: it is not what stood there, and others may put another directory there",
            hint="name a path under directories of root's, or give its directory to whom that above belongs",
        )


def _demand_same(place: Place, fd: int, path: str) -> None:
    """That what stands there now is what we wrote: who owns the directory may have put something else."""
    try:
        same = os.path.samestat(os.stat(place.name, dir_fd=place.fd, follow_symlinks=False), os.fstat(fd))
    except FileNotFoundError:
        same = False
    if not same:
        raise swapped(path)


def swapped(path: str) -> RetryLater:
    """The error for a file that is not the one that we wrote, or were to write into."""
    return RetryLater(
        f"{path} was replaced by somebody else at the moment it was written",
        hint=f"find out who changes files there: ls -la {os.path.dirname(path)}",
    )


def synced(directory: int) -> None:
    """Bring what was renamed or removed in a directory to the disk. Raises RenamedError."""
    try:
        os.fsync(directory)
    except OSError as error:
        raise RenamedError(error.errno, error.strerror) from None


def stamp_of(entry: os.stat_result) -> Stamp:
    """A file's stamp."""
    return (entry.st_ino, entry.st_size, entry.st_mtime_ns)


def refill(fd: int, content: bytes) -> None:
    """Give an open file other content, on the disk on return. Not atomic, for what must stay that file."""
    os.lseek(fd, 0, os.SEEK_SET)
    write_all(fd, content)
    os.ftruncate(fd, len(content))
    os.fsync(fd)


def write_all(fd: int, content: bytes) -> None:
    """Write all of it, in as many calls as it takes."""
    rest = memoryview(content)
    while rest:
        rest = rest[os.write(fd, rest) :]
