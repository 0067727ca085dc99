"""The file of the renewal log: whole lines at its end, whoever moves it away; and its rotation by ourselves.

Everything here raises OSError; what is said of it is the journal's affair.
"""

import contextlib
import errno
import fcntl
import os
import stat
from collections.abc import Iterator

from renewer import durable, ownership
from renewer.model.value import Value

MODE = 0o640
_TRIES = 100  # to have a file that others move away meanwhile
_BEGINNING = b'{"at":'  # of a line of the log
_OPEN = os.O_RDWR | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY


class Rotation(Value):
    """A log gives way to a new one before it grows beyond `size` bytes (0: never); `keep` old ones stay."""

    size: int = 0
    keep: int = 5


class LogFile:
    """Appends lines to what stands at `path`, each by one write.

    Only a regular file is written: one that is none (a pipe without a reader) would hold up the run. The path
    is looked at before each line, so that one that logrotate moved away is opened anew, and nothing is lost.
    """

    def __init__(self, path: str, rotation: Rotation, group: str | None = None) -> None:
        self.path = path
        self._rotation = rotation
        self._group = group
        self._fd: int | None = None
        self._torn = False  # whether the last byte is in the middle of a line
        self.fault: OSError | None = None  # why it was not rotated though it is too large

    def write(self, line: bytes) -> None:
        """Append a line (with its end); one that a full disk cut off is ended before the next one."""
        fd = self._current()
        if self._rotation.size and self._size(fd) + len(line) > self._rotation.size:
            fd = self._rotated(fd)
        line = b"\n" + line if self._torn else line
        written = os.write(fd, line)
        self._torn = written < len(line)
        if self._torn:
            os.write(fd, b"\n")
            self._torn = False
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def close(self) -> None:
        """Bring what was written to the disk."""
        fd, self._fd = self._fd, None
        if fd is not None:
            try:
                os.fsync(fd)
            finally:
                os.close(fd)

    def _current(self) -> int:
        """The file that stands at the path now."""
        if self._fd is not None:
            if _stands(self.path, os.fstat(self._fd)):
                return self._fd
            self.close()
        with _place(self.path) as place:
            self._fd = self._open(place)
        return self._fd

    def _open(self, place: ownership.Place, like: os.stat_result | None = None) -> int:
        """What stands there, or a new file; others may make it before us, and take it away again."""
        for _ in range(_TRIES):
            with contextlib.suppress(FileNotFoundError):
                return self._standing(place)
            with contextlib.suppress(FileExistsError):
                return self._create(place, like)
        raise OSError(errno.EBUSY, "it is taken away as soon as it is there")

    def _standing(self, place: ownership.Place) -> int:
        try:
            fd = os.open(place.name, _OPEN, dir_fd=place.fd)
        except OSError as error:
            if error.errno == errno.ENXIO:  # a pipe that nobody reads, a socket
                raise _no_file() from None
            raise
        try:
            entry = _check(fd, place)
            self._torn = entry.st_size > 0 and os.pread(fd, 1, entry.st_size - 1) != b"\n"
        except BaseException:
            os.close(fd)
            raise
        return fd

    def _create(self, place: ownership.Place, like: os.stat_result | None) -> int:
        """A new file, for its owner and the group; as far as we may, with the rights of the one before."""
        fd = os.open(place.name, _OPEN | os.O_CREAT | os.O_EXCL, MODE, dir_fd=place.fd)
        os.fchmod(fd, stat.S_IMODE(like.st_mode) & 0o666 if like else MODE)  # whatever the umask is
        owner, group = (like.st_uid, like.st_gid) if like else (-1, _number(self._group))
        try:
            os.fchown(fd, owner, group)
        except OSError:  # not root, or no member: it stays ours
            os.fchmod(fd, MODE)
        self._torn = False
        os.fsync(place.fd)
        return fd

    def _size(self, fd: int) -> int:
        return os.fstat(fd).st_size

    def _rotated(self, fd: int) -> int:
        """The file to go on with: a new one, or this one if another process rotates, or it cannot be done.

        The lock on the file keeps two from moving the same ones: who gets it looks whether it still stands at
        the path, and the last move takes it away from there. The lock on the directory keeps two apart that
        hold different files because something else moved one away in between.
        """
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return fd
        try:
            new = self._turned(fd)
        except OSError as error:
            self.fault = error
            new = fd
        finally:
            fcntl.flock(fd, fcntl.LOCK_UN)
        if new is None:
            return self._current()
        if new != fd:
            os.close(fd)
            self._fd = new
        return new

    def _turned(self, fd: int) -> int | None:
        """A new file in its place, or this one if it stays; None if it does not stand there any more."""
        entry = os.fstat(fd)
        if entry.st_size == 0:
            return fd
        if not _stands(self.path, entry):
            return None
        os.fsync(fd)
        with _place(self.path) as place:
            # whoever may rename on the way may have put another directory there since we looked
            if not _alone(place.fd) or not _stands(place.name, entry, place.fd):
                return fd
            _shift(place, self._rotation.keep)
            return self._open(place, like=entry)


def _stands(path: str, entry: os.stat_result, directory: int | None = None) -> bool:
    """Whether that very file is there."""
    try:
        return os.path.samestat(os.stat(path, dir_fd=directory, follow_symlinks=False), entry)
    except FileNotFoundError:
        return False


def _alone(directory: int) -> bool:
    """Whether nobody else rotates here, until it is closed; network file systems may know no such lock."""
    try:
        fcntl.flock(directory, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        pass
    return True


def shift(path: str, keep: int) -> None:
    """Make room at `path`: it becomes `path.1`, that one `path.2`, and so on; the last of `keep` is let go.

    Each move is one rename, from the far end on, and none beyond the first gap: killed at any instant, every
    line is still there, and doing it again goes on.
    """
    with _place(path) as place:
        _shift(place, keep)


def _shift(place: ownership.Place, keep: int) -> None:
    there, name = place.fd, place.name
    gap = next((number for number in range(1, keep) if not _exists(f"{name}.{number}", there)), keep)
    for number in range(gap, 1, -1):
        durable.move(there, f"{name}.{number - 1}", there, f"{name}.{number}")
    durable.move(there, name, there, f"{name}.1")


def _exists(name: str, directory: int) -> bool:
    try:
        os.stat(name, dir_fd=directory, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return True


@contextlib.contextmanager
def _place(path: str) -> Iterator[ownership.Place]:
    """The log's directory, made if need be; whoever swaps a part of the way for a link leads us nowhere."""
    path = os.path.abspath(path)
    _make(os.path.dirname(path))
    with ownership.open_place(path) as place:
        yield place


def _make(directory: str) -> None:
    """Make a directory and what is missing above it."""
    if os.path.isdir(directory):
        return
    _make(os.path.dirname(directory))
    with ownership.open_place(directory) as place, contextlib.suppress(FileExistsError):
        os.mkdir(place.name, 0o750, dir_fd=place.fd)


def _number(group: str | None) -> int:
    """The group's number; -1, which changes nothing, if there is none."""
    import grp

    try:
        return grp.getgrnam(group).gr_gid if group else -1
    except KeyError:
        return -1


def _check(fd: int, place: ownership.Place) -> os.stat_result:
    """That it is a regular file, and where others may put files, a log with one name; what it is."""
    entry = os.fstat(fd)
    if not stat.S_ISREG(entry.st_mode):
        raise _no_file()
    if place.guarded or entry.st_size == 0:
        return entry
    if entry.st_nlink > 1:
        raise OSError(errno.EMLINK, "it has a second name, and others may write to its directory")
    if os.pread(fd, len(_BEGINNING), 0) != _BEGINNING:
        raise OSError(errno.EINVAL, "it does not begin as our log, and others may write to its directory")
    return entry


def _no_file() -> OSError:
    return OSError(errno.EINVAL, "it is no regular file")
