"""The state directory and what lies in it: opened, checked, read, written.

Every name is relative to an open directory (dir_fd) and never followed if it is a link (O_NOFOLLOW); what is
opened must belong to us or to root and be writable by nobody else. Whatever the system refuses becomes a
StateError that names the path and says what to do.
"""

import errno
import fcntl
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Self

from renewer import clock, durable
from renewer.errors import RetryLater, StateError, shortage
from renewer.ownership import Place, danger, hint_for_foreign, user_name

MAX_FILE = 1024 * 1024  # bytes; nothing that is read whole here is a tenth of it

_LOCK_SECONDS = 60.0
_RENAME_EXCHANGE = 2  # linux/fs.h
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC  # NONBLOCK: a pipe must not stop us


class StateDirectory:
    """An open directory, to be used in a `with`; `path` is only for messages.

    Every method raises StateError if the system refuses or the place is not safe.
    """

    __slots__ = ("fd", "path")

    def __init__(self, fd: int, path: str) -> None:
        self.fd = fd
        self.path = path

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self.fd)

    # reading

    def find(self, name: str) -> "StateDirectory | None":
        """Open a directory in this one; None if there is nothing of that name."""
        with told(path := f"{self.path}/{name}"):
            try:
                fd = os.open(name, _DIRECTORY | os.O_NOFOLLOW, dir_fd=self.fd)
            except FileNotFoundError:
                return None
            return _checked(fd, path)

    def open(self, name: str) -> "StateDirectory":
        """Open a directory in this one that must be there."""
        found = self.find(name)
        if found is None:
            raise StateError(f"{self.path}/{name} is missing", kind="missing")
        return found

    def read(self, name: str) -> bytes:
        """A file, whole. Raises StateError if it is missing, unsafe or longer than a mebibyte."""
        content = self.peek(name)
        if content is None:
            raise StateError(f"{self.path}/{name} is missing", kind="missing")
        return content

    def peek(self, name: str) -> bytes | None:
        """A file, whole; None if there is none. Raises StateError as `read` does."""
        path = f"{self.path}/{name}"
        with told(path):
            try:
                fd = os.open(name, _READ, dir_fd=self.fd)
            except FileNotFoundError:
                return None
            try:
                status = os.fstat(fd)
                check_owner(status, path)
                if not stat.S_ISREG(status.st_mode):
                    raise _unsafe(path, "is not a plain file")
                if status.st_size > MAX_FILE:
                    raise _unsafe(path, f"has {status.st_size} bytes, too many to be ours")
                return _read_all(fd)
            finally:
                os.close(fd)

    def names(self) -> list[str]:
        """Everything in it, sorted."""
        with told(self.path):
            return sorted(os.listdir(self.fd))

    def directories(self) -> list[str]:
        """The directories in it, links left out, sorted."""
        with told(self.path), os.scandir(self.fd) as entries:
            return sorted(entry.name for entry in entries if entry.is_dir(follow_symlinks=False))

    def mode(self, name: str) -> int | None:
        """Type and mode of what has that name, links not followed; None if there is nothing."""
        with told(f"{self.path}/{name}"):
            try:
                return os.stat(name, dir_fd=self.fd, follow_symlinks=False).st_mode
            except FileNotFoundError:
                return None

    def link(self, name: str) -> str | None:
        """Where a symbolic link points; None if there is none of that name."""
        with told(f"{self.path}/{name}"):
            try:
                return os.readlink(name, dir_fd=self.fd)
            except FileNotFoundError:
                return None
            except OSError as error:
                if error.errno == errno.EINVAL:
                    raise _unsafe(f"{self.path}/{name}", "is not a symbolic link") from None
                raise

    # writing

    def ensure(self, name: str, mode: int, group: int | None = None) -> "StateDirectory":
        """Open a directory, made if need be; its mode (and group) are put right if they are not."""
        path = f"{self.path}/{name}"
        with told(path):
            try:
                os.mkdir(name, mode, dir_fd=self.fd)
                made = True
            except FileExistsError:
                made = False
            _settle(name, self.fd, mode, group)
            if made:
                durable.synced(self.fd)
        return self.open(name)

    def write(self, name: str, content: bytes, mode: int, group: int | None = None) -> None:
        """Make a file that was not there: born with its final mode before it has content, and on the disk."""
        with told(f"{self.path}/{name}"):
            settle = durable.with_mode(self.path, mode, group)
            with durable.created(self.fd, name, content, settle):
                pass

    def put(self, name: str, content: bytes, mode: int = 0o600) -> None:
        """Put a file in the place of what may have that name; the caller holds a lock."""
        with told(path := f"{self.path}/{name}"):
            place = Place(fd=self.fd, name=name, guarded=True, moved=False)
            durable.put(place, path, content, durable.with_mode(self.path, mode))

    def symlink(self, name: str, target: str) -> None:
        """Make a symbolic link that was not there."""
        with told(f"{self.path}/{name}"):
            os.symlink(target, name, dir_fd=self.fd)

    def move(self, name: str, to: "StateDirectory", as_name: str) -> None:
        """Rename into another directory, over what may be there, and durably so."""
        with told(f"{to.path}/{as_name}"):
            durable.move(self.fd, name, to.fd, as_name)

    def rename(self, name: str, new: str) -> None:
        """Give it another name, over what may have that, and durably so."""
        self.move(name, self, new)

    def exchange(self, name: str, other: str) -> None:
        """Let two names change places by one step, durably: renameat2(2), which Python does not offer."""
        import ctypes

        system = ctypes.CDLL(None, use_errno=True)
        with told(f"{self.path}/{other}"):
            if system.renameat2(self.fd, name.encode(), self.fd, other.encode(), _RENAME_EXCHANGE):
                number = ctypes.get_errno()
                raise OSError(number, os.strerror(number))
        self.sync()

    def discard(self, name: str) -> None:
        """Remove a file, a link, or a directory with all in it; what is gone already is no error."""
        with told(f"{self.path}/{name}"):
            try:
                if not stat.S_ISDIR(os.stat(name, dir_fd=self.fd, follow_symlinks=False).st_mode):
                    os.unlink(name, dir_fd=self.fd)
                    return
                if self.discard_empty(name):
                    return  # also one that could not be opened, because it never got its mode
                with _checked(
                    os.open(name, _DIRECTORY | os.O_NOFOLLOW, dir_fd=self.fd), f"{self.path}/{name}"
                ) as inner:
                    for each in inner.names():
                        inner.discard(each)
                os.rmdir(name, dir_fd=self.fd)
            except FileNotFoundError:
                return

    def discard_empty(self, name: str) -> bool:
        """Remove a directory if nothing is in it; whether it is gone."""
        with told(f"{self.path}/{name}"):
            try:
                os.rmdir(name, dir_fd=self.fd)
            except FileNotFoundError:
                return True
            except OSError as error:
                if error.errno in (errno.ENOTEMPTY, errno.EEXIST):
                    return False
                raise
            return True

    def sync(self) -> None:
        """Make what was done in it durable."""
        with told(self.path):
            durable.synced(self.fd)


def find_root(path: str) -> StateDirectory | None:
    """Open the state directory; None if it does not exist. Links on the way to it are the operator's."""
    with told(path):
        try:
            fd = os.open(path, _DIRECTORY)
        except FileNotFoundError:
            return None
        return _checked(fd, path)


def ensure_root(path: str, mode: int, group: int | None = None) -> StateDirectory:
    """Open the state directory, made with its parents if need be (0755), with the right mode and group.

    Raises StateError also if somebody else could replace it from above.
    """
    with told(path):
        try:
            os.makedirs(os.path.dirname(os.path.abspath(path)), 0o755, exist_ok=True)
            os.mkdir(path, mode)
        except FileExistsError:
            pass
        found = danger(path)
        owner = os.stat(path).st_uid
        if found and owner not in (0, os.geteuid()):
            raise StateError(
                f"the state directory {path} belongs to {user_name(owner)}, not to us or to root",
                hint=hint_for_foreign(owner, path),
                kind="unsafe-state",
            )
        if found:
            raise StateError(
                f"the state directory is not safe: {found.text}", hint=found.hint, kind="unsafe-state"
            )
        _settle(path, None, mode, group)
    root = find_root(path)
    if root is None:
        raise StateError(f"{path} vanished", kind="missing")
    return root


@contextmanager
def held(state: str, *parts: str) -> Iterator[StateDirectory]:
    """A directory of ours alone below `state`, made if need be, held against other threads and processes.

    Raises StateError if it cannot be had, RetryLater if somebody holds it for a minute.
    """
    found = find_root(state)
    if found is None:
        hint = "the state directory must exist: a run makes it when it takes the lock"
        raise StateError(f"{state}: {os.strerror(errno.ENOENT)}", hint=hint, kind="missing")
    for part in parts:
        with found:
            found = found.ensure(part, 0o700)
    with found:
        _lock(found)
        yield found  # closing it unlocks it


def look(state: str, *parts: str) -> StateDirectory | None:
    """A directory below `state` to look into; None if it is not there, or not for us. Makes nothing."""
    with suppress(StateError):
        found = find_root(state)
        for part in parts:
            if found is None:
                return None
            with found:
                found = found.find(part)
        return found
    return None


def _lock(directory: StateDirectory) -> None:
    end = clock.monotonic() + _LOCK_SECONDS
    while True:
        try:
            with told(directory.path):
                fcntl.flock(directory.fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except StateError as error:
            if error.kind != "eagain":
                raise
            if clock.monotonic() > end:
                raise RetryLater(f"another process holds {directory.path}", kind="locked") from None
            clock.sleep(0.05)
        else:
            return


def check_owner(status: os.stat_result, path: str) -> None:
    """Raise StateError unless it belongs to us or to root and nobody else may write to it."""
    if status.st_uid not in (0, os.geteuid()):
        raise StateError(
            f"{path} belongs to user {status.st_uid}, not to us or to root",
            hint=hint_for_foreign(status.st_uid, path),
            kind="unsafe-state",
        )
    if status.st_mode & 0o022 and not stat.S_ISLNK(status.st_mode):
        raise StateError(
            f"others may write to {path}, so that what lies there cannot be trusted",
            hint=f"look whether it is as it should be, then: chmod go-w {path}",
            kind="unsafe-state",
        )


@contextmanager
def told(path: str) -> Iterator[None]:
    """Turn what the system refuses into a StateError about this path that says what to do."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.EMFILE, errno.ENFILE, errno.ENOMEM) and (want := shortage(error)):
            raise StateError(f"{path}: {want.text}", hint=want.hint, kind=want.kind) from error
        raise StateError(
            f"{path}: {os.strerror(error.errno) if error.errno else error}",
            hint=_hint(error.errno or 0, path),
            kind=errno.errorcode.get(error.errno or 0, "os").lower(),
        ) from error


_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_HINTS = {  # where the state directory needs other words than any file
    errno.ENOSPC: "make room there (df -h, df -i), then run again",
    **dict.fromkeys(
        (errno.EACCES, errno.EPERM),
        "run as root or as the owner of the state directory; look at: namei -l {path}",
    ),
    errno.EBUSY: "something is mounted there: look at it with findmnt; mount the whole state directory",
    **dict.fromkeys(
        (errno.ELOOP, errno.ENOTDIR), "something else than a directory of ours stands there: namei -l {path}"
    ),
    **dict.fromkeys(
        (errno.ENOTEMPTY, errno.EISDIR, errno.EEXIST),
        "something that we did not put there is in the way; move it away",
    ),
}


def _hint(number: int, path: str) -> str:
    text = _HINTS.get(number) or durable.REMEDIES.get(number, "")
    return text.format(path=path) + (": nothing is half done" if number in _FULL else "")


def _unsafe(path: str, why: str) -> StateError:
    return StateError(f"{path} {why}", hint=f"look who put it there: ls -ld {path}", kind="unsafe-state")


def _checked(fd: int, path: str) -> StateDirectory:
    try:
        check_owner(os.fstat(fd), path)
    except BaseException:
        os.close(fd)
        raise
    return StateDirectory(fd, path)


def _settle(name: str, dir_fd: int | None, mode: int, group: int | None) -> None:
    """Give a directory of ours its mode and group: the umask, or a crash, may have kept them from it.

    By name, because an empty mode cannot be opened; only we can write where it lies, so it stays the same.
    Bits that let others write are not taken away in silence: the check that follows tells of them.
    """
    status = os.stat(name, dir_fd=dir_fd, follow_symlinks=dir_fd is None)
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.geteuid() or status.st_mode & 0o022:
        return
    if group is not None and status.st_gid != group:
        os.chown(name, -1, group, dir_fd=dir_fd, follow_symlinks=dir_fd is None)
    if stat.S_IMODE(status.st_mode) != mode:
        os.chmod(name, mode, dir_fd=dir_fd)


def _read_all(fd: int) -> bytes:
    parts: list[bytes] = []
    while part := os.read(fd, MAX_FILE):
        parts.append(part)
    return b"".join(parts)
