"""One file elsewhere: read, replaced, removed; what the system refuses is told with the path."""

import contextlib
import errno
import os
import stat
from collections.abc import Iterator

from renewer.copies import place
from renewer.copies.rights import ACL, KEPT_ATTRIBUTES, KEY_MODE, Rights
from renewer.errors import GiveUp, RetryLater
from renewer.model.value import Value

MAX_BYTES = 1 << 20  # what stands at a copy's path is some KiB, or nothing that we would read whole
_ABSENT = (errno.ENODATA, errno.ENOTSUP)


class Former(Value):
    """What stands at a copy's path. Its repr says nothing of the content, which may be a key.

    `guarded` is whether only its directory's owner and root could have put it there.
    """

    content: bytes
    rights: Rights
    guarded: bool = True

    def __repr__(self) -> str:
        return "Former(…)"


@contextlib.contextmanager
def told(path: str) -> Iterator[None]:
    """What the system refuses becomes RetryLater or GiveUp, with the path and what to do."""
    try:
        yield
    except PermissionError as error:
        text = f"the copy {path} cannot be written: {error.strerror}"
        raise GiveUp(text, hint="let the agent write there, or name another path under copies") from None
    except (FileNotFoundError, NotADirectoryError):
        text = f"the copy {path} cannot be written: its directory does not exist"
        raise GiveUp(
            text, hint=f"create {os.path.dirname(path)}, or name another path under copies"
        ) from None
    except OSError as error:
        raise RetryLater(
            f"the copy {path} cannot be written: {error.strerror}", hint="make room there"
        ) from None


def find(path: str) -> Former | None:
    """The regular file at a path, or None. Raises OSError, and GiveUp for anything else there."""
    try:
        with place.opened(path) as (there, name):
            open_to_others = os.fstat(there).st_mode & (stat.S_IWGRP | stat.S_IWOTH)
            file = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK, dir_fd=there)
    except FileNotFoundError:
        return None
    try:
        entry = os.fstat(file)
        if not stat.S_ISREG(entry.st_mode) or entry.st_size > MAX_BYTES:
            raise GiveUp(
                f"{path} is not a file that a certificate may replace", hint="name another path under copies"
            )
        content = os.read(file, MAX_BYTES)
        rights = Rights(
            owner=entry.st_uid,
            group=entry.st_gid,
            mode=stat.S_IMODE(entry.st_mode),
            attributes=tuple((name, value) for name in KEPT_ATTRIBUTES if (value := _attribute(file, name))),
        )
    finally:
        os.close(file)
    return Former(content=content, rights=rights, guarded=not open_to_others)


def replace(path: str, content: bytes, rights: Rights) -> None:
    """Write a dot-file beside, with its final rights before it has content, and rename it over."""
    with place.opened(path) as (there, name):
        draft = f".{name}.renewer"
        try:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(draft, dir_fd=there)
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
            file = os.open(draft, flags, KEY_MODE, dir_fd=there)
            try:
                _settle(file, rights, path)
                _write_all(file, content)
                os.fsync(file)
            finally:
                os.close(file)
            os.rename(draft, name, src_dir_fd=there, dst_dir_fd=there)
            os.fsync(there)
        finally:
            with contextlib.suppress(OSError):
                os.unlink(draft, dir_fd=there)


def remove(path: str) -> None:
    """Remove a file, durably; gone already is no error."""
    with contextlib.suppress(FileNotFoundError), place.opened(path) as (there, name):
        os.unlink(name, dir_fd=there)
        os.fsync(there)


def stamp(path: str) -> tuple[int, ...]:
    """What tells whether a file was changed (inode, size, mtime in ns); empty if it is not there."""
    try:
        entry = os.stat(path)
    except OSError:
        return ()
    return (entry.st_ino, entry.st_size, entry.st_mtime_ns)


def _settle(file: int, rights: Rights, path: str) -> None:
    """Owner, attributes, then mode: it also bounds what an access list gives."""
    if rights.owner != -1 or rights.group != -1:
        try:
            os.fchown(file, rights.owner, rights.group)
        except PermissionError:
            text = f"the copy {path} cannot be given to user {rights.owner} and group {rights.group}"
            hint = "the agent must be root for that; or give the file that is there to the agent's user"
            raise GiveUp(text, hint=hint) from None
    wished = dict(rights.attributes)
    for name in KEPT_ATTRIBUTES:
        here, value = _attribute(file, name), wished.get(name)
        if value is not None and value != here:
            os.setxattr(file, name, value)
        elif value is None and here is not None and name == ACL:
            os.removexattr(file, name)  # inherited: who owns the directory does not say who reads a key
    os.fchmod(file, rights.mode)


def _attribute(file: int, name: str) -> bytes | None:
    try:
        return os.getxattr(file, name)
    except OSError as error:
        if error.errno in _ABSENT:
            return None
        raise


def _write_all(file: int, content: bytes) -> None:
    while content:
        content = content[os.write(file, content) :]
