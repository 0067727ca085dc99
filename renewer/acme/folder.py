"""The account's directory on disk: by directory handles, never through a link, durable on return."""

import contextlib
import fcntl
import os
import stat
from collections.abc import Iterator, Sequence
from typing import Self

from renewer import clock
from renewer.errors import RetryLater, StateError
from renewer.ownership import hint_for_foreign, user_name

KEY = "key.pem"
ACCOUNT = "account.json"

_LOCK_SECONDS = 60.0
_MAX_FILE = 1 << 16
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class Folder:
    """A directory that is ours alone (0700); `path` is for messages."""

    def __init__(self, handle: int, path: str) -> None:
        self._handle = handle
        self.path = path

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._handle)

    def names(self) -> list[str]:
        """The files in it, sorted."""
        return sorted(name for name in os.listdir(self._handle) if not name.startswith("."))

    def rename(self, old: str, new: str) -> None:
        """Give a file another name, in the place of whatever had it. Raises StateError."""
        try:
            os.rename(old, new, src_dir_fd=self._handle, dst_dir_fd=self._handle)
            os.fsync(self._handle)
        except OSError as error:
            raise _failure(error, f"{self.path}/{new}") from error

    def remove(self, name: str) -> None:
        """Remove a file. Raises StateError."""
        try:
            os.unlink(name, dir_fd=self._handle)
            os.fsync(self._handle)
        except OSError as error:
            raise _failure(error, f"{self.path}/{name}") from error

    def read(self, name: str) -> bytes | None:
        """A file's octets; None if there is none. Raises StateError if it is not ours or cannot be read."""
        try:
            handle = os.open(
                name, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK, dir_fd=self._handle
            )
        except FileNotFoundError:
            return None
        except OSError as error:
            raise _failure(error, f"{self.path}/{name}") from error
        with os.fdopen(handle, "rb") as file:
            facts = os.fstat(handle)
            if not stat.S_ISREG(facts.st_mode) or facts.st_uid not in (0, os.geteuid()):
                raise StateError(f"{self.path}/{name} is not a file of ours", kind="owner")
            return file.read(_MAX_FILE)

    def write(self, name: str, data: bytes) -> None:
        """Put a file (0600) there whole or not at all. Raises StateError."""
        temporary = f".{name}.{os.getpid()}"
        try:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(temporary, dir_fd=self._handle)
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
            with os.fdopen(os.open(temporary, flags, 0o600, dir_fd=self._handle), "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            os.rename(temporary, name, src_dir_fd=self._handle, dst_dir_fd=self._handle)
            os.fsync(self._handle)
        except OSError as error:
            with contextlib.suppress(OSError):
                os.unlink(temporary, dir_fd=self._handle)
            raise _failure(error, f"{self.path}/{name}") from error


@contextlib.contextmanager
def locked(state: str, parts: Sequence[str]) -> Iterator[Folder]:
    """The directory `parts` below `state`, made if need be and held for us alone among threads and processes.

    Raises StateError if it cannot be had, RetryLater if somebody holds it for a minute.
    """
    path = state
    handle = None
    try:
        handle = os.open(state, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        for part in parts:
            path = f"{path}/{part}"
            handle, above = _enter(handle, part), handle
            os.close(above)
            _check_owner(handle, path)
        _lock(handle, path)
    except OSError as error:
        if handle is not None:
            os.close(handle)
        raise _failure(error, path) from error
    except BaseException:
        if handle is not None:
            os.close(handle)
        raise
    try:
        yield Folder(handle, path)
    finally:
        os.close(handle)  # and so unlocks


def peek(state: str, parts: Sequence[str]) -> Folder | None:
    """The directory to look into, if it is there; makes nothing and waits for nobody."""
    handle = None
    try:
        handle = os.open(state, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        for part in parts:
            above = handle
            handle = os.open(part, _DIRECTORY, dir_fd=above)
            os.close(above)
    except OSError:
        if handle is not None:
            os.close(handle)
        return None
    return Folder(handle, "/".join((state, *parts)))


def _enter(above: int, name: str) -> int:
    with contextlib.suppress(FileExistsError):
        os.mkdir(name, 0o700, dir_fd=above)
        os.fsync(above)
    return os.open(name, _DIRECTORY, dir_fd=above)


def _check_owner(handle: int, path: str) -> None:
    owner = os.fstat(handle).st_uid
    if owner not in (0, os.geteuid()):
        hint = hint_for_foreign(owner, path)
        raise StateError(f"{path} belongs to {user_name(owner)}", hint=hint, kind="owner")


def _lock(handle: int, path: str) -> None:
    end = clock.monotonic() + _LOCK_SECONDS
    while True:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if clock.monotonic() > end:
                raise RetryLater(f"another process holds {path}", kind="locked") from None
            clock.sleep(0.05)
        else:
            return


def _failure(error: OSError, path: str) -> StateError:
    return StateError(
        f"{path}: {error.strerror or error}",
        kind="state",
        hint="the state directory must exist and belong to the user that runs renewer; check also free space",
    )
