"""Open directories and what is done in them, so that nobody else can lead us elsewhere.

Every name is relative to an open directory (dir_fd) and never followed if it is a link (O_NOFOLLOW); what is
opened must belong to us or to root and be writable by nobody else. Each mutation is one plain `os` call.
Whatever the system refuses becomes a StateError that names the path and says what to do.
"""

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Self

from renewer.errors import StateError, shortage
from renewer.ownership import MODELESS, danger, hint_for_foreign, rights_not_kept, user_name

MAX_FILE = 1024 * 1024  # bytes; nothing that is read whole here is a tenth of it

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC  # NONBLOCK: a pipe must not stop us
_CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


class Directory:
    """An open directory, to be used in a `with`; `path` is only for messages.

    Every method raises StateError if the system refuses or the place is not safe.
    """

    __slots__ = ("fd", "path")

    def __init__(self, fd: int, path: str) -> None:
        self.fd = fd
        self.path = path

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.close(self.fd)

    # reading

    def find(self, name: str) -> "Directory | None":
        """Open a directory in this one; None if there is nothing of that name."""
        path = f"{self.path}/{name}"
        with told(path):
            try:
                fd = os.open(name, _DIRECTORY | os.O_NOFOLLOW, dir_fd=self.fd)
            except FileNotFoundError:
                return None
            return _checked(fd, path)

    def open(self, name: str) -> "Directory":
        """Open a directory in this one that must be there."""
        found = self.find(name)
        if found is None:
            raise StateError(f"{self.path}/{name} is missing", kind="missing")
        return found

    def read(self, name: str) -> bytes:
        """A file, whole. Raises StateError if it is missing, unsafe or longer than a mebibyte."""
        path = f"{self.path}/{name}"
        with told(path):
            try:
                fd = os.open(name, _READ, dir_fd=self.fd)
            except FileNotFoundError:
                raise StateError(f"{path} is missing", kind="missing") from None
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

    def ensure(self, name: str, mode: int, group: int | None = None) -> "Directory":
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
                os.fsync(self.fd)
        return self.open(name)

    def write(self, name: str, content: bytes, mode: int, group: int | None = None) -> None:
        """Make a file that was not there: born with its final mode before it has content, and on the disk."""
        with told(f"{self.path}/{name}"):
            fd = os.open(name, _CREATE, mode & 0o600, dir_fd=self.fd)
            try:
                if group is not None:
                    os.fchown(fd, -1, group)
                os.fchmod(fd, mode)  # the umask may have taken bits away, and the group was not ours before
                if fault := rights_not_kept(os.fstat(fd), -1, mode):
                    os.unlink(name, dir_fd=self.fd)
                    raise StateError(f"{self.path}: {fault.text}", hint=fault.hint, kind=MODELESS)
                _write_all(fd, content)
                os.fsync(fd)
            finally:
                os.close(fd)

    def symlink(self, name: str, target: str) -> None:
        """Make a symbolic link that was not there."""
        with told(f"{self.path}/{name}"):
            os.symlink(target, name, dir_fd=self.fd)

    def move(self, name: str, to: "Directory", as_name: str) -> None:
        """Rename into another directory, over what may be there, and durably so."""
        with told(f"{to.path}/{as_name}"):
            os.rename(name, as_name, src_dir_fd=self.fd, dst_dir_fd=to.fd)
            os.fsync(to.fd)

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
            os.fsync(self.fd)


def find_root(path: str) -> Directory | None:
    """Open the state directory; None if it does not exist. Links on the way to it are the operator's."""
    with told(path):
        try:
            fd = os.open(path, _DIRECTORY)
        except FileNotFoundError:
            return None
        return _checked(fd, path)


def ensure_root(path: str, mode: int, group: int | None = None) -> Directory:
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
            hint=_hint(error.errno, path),
            kind=errno.errorcode.get(error.errno or 0, "os").lower(),
        ) from error


_HINTS = {
    (errno.ENOSPC,): "make room there (df -h, df -i), then run again: nothing is half done",
    (errno.EDQUOT,): "the quota is used up: make room, or raise it (quota -v): nothing is half done",
    (
        errno.EFBIG,
    ): "a limit on the size of files is in force: raise it (ulimit -f, LimitFSIZE=): nothing is half done",
    (errno.EBUSY,): "something is mounted there: look at it with findmnt; mount the whole state directory",
    (
        errno.EACCES,
        errno.EPERM,
    ): "run as root or as the owner of the state directory; look at: namei -l {path}",
    (
        errno.EROFS,
    ): "the file system is read-only: mount it writable; under systemd add it to ReadWritePaths=",
    (errno.ELOOP, errno.ENOTDIR): "something else than a directory of ours stands there: namei -l {path}",
    (
        errno.ENOTEMPTY,
        errno.EISDIR,
        errno.EEXIST,
    ): "something that we did not put there is in the way; move it away",
    (errno.EIO,): "the disk reports an error; look at the kernel's log (dmesg)",
}


def _hint(number: int | None, path: str) -> str:
    return next((text.format(path=path) for numbers, text in _HINTS.items() if number in numbers), "")


def _unsafe(path: str, why: str) -> StateError:
    return StateError(f"{path} {why}", hint=f"look who put it there: ls -ld {path}", kind="unsafe-state")


def _checked(fd: int, path: str) -> Directory:
    try:
        check_owner(os.fstat(fd), path)
    except BaseException:
        os.close(fd)
        raise
    return Directory(fd, path)


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


def _write_all(fd: int, content: bytes) -> None:
    rest = memoryview(content)
    while rest:
        rest = rest[os.write(fd, rest) :]
