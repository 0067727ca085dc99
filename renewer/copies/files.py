"""One file elsewhere: read, replaced, removed; what the system refuses is told with the path."""

import contextlib
import errno
import os
import stat
from collections.abc import Iterator

from renewer import durable, ownership
from renewer.copies.rights import ACL, KEPT_ATTRIBUTES, Rights
from renewer.errors import GiveUp, RenewerError, RetryLater
from renewer.model.value import Value

MAX_BYTES = 1 << 20  # what stands at a copy's path is some KiB, or nothing that we would read whole
_ABSENT = (errno.ENODATA, errno.ENOTSUP)
_READ = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY
_WRITE = os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY
_STAYS = (errno.EACCES, errno.EPERM, errno.EROFS, errno.EBUSY, errno.ENOTSUP, errno.ENAMETOOLONG)


class Former(Value):
    """What stands at a copy's path. Its repr says nothing of the content, which may be a key.

    `guarded` is whether only root and we could have put it there, `moved` is as in `ownership.Place`. Of a
    symbolic link `link` is its text, and the content is that of the file it leads to, if we may follow it.
    """

    content: bytes
    rights: Rights
    guarded: bool = True
    link: str | None = None
    inode: int = 0
    moved: bool = False

    def __repr__(self) -> str:
        return "Former(…)"


@contextlib.contextmanager
def told(path: str) -> Iterator[None]:
    """What the system refuses becomes RetryLater or GiveUp, with the path and what to do."""
    try:
        yield
    except OSError as error:
        raise refusal(path, error) from None


def refusal(path: str, error: OSError) -> RenewerError:
    """What the system refuses, as an error with the path and what to do."""
    if isinstance(error, ownership.LinkError):
        text = f"a symbolic link on the way to {path} is not followed: {error.danger.text}"
        return GiveUp(text, hint=f"name the real path under copies; or {error.danger.hint}")
    text, other = f"the copy {path} cannot be written: ", ", or name another path under copies"
    if isinstance(error, FileNotFoundError | NotADirectoryError):
        return GiveUp(f"{text}its directory does not exist", hint=f"create {os.path.dirname(path)}{other}")
    hint = durable.REMEDIES.get(error.errno or 0, "")
    if error.errno in (errno.EACCES, errno.EPERM):
        hint += other
    if error.errno == errno.EBUSY:
        hint += "; or write into it: in_place = true"
    kind = GiveUp if error.errno in _STAYS else RetryLater
    return kind(f"{text}{error.strerror}", hint=hint)


def find(path: str) -> Former | None:
    """The regular file or link at a path, or None. Raises OSError, and GiveUp for anything else there."""
    try:
        with ownership.open_place(path) as place:
            try:
                file = os.open(place.name, _READ | os.O_NOFOLLOW, dir_fd=place.fd)
            except OSError as error:
                if error.errno == errno.ENXIO:  # a socket
                    raise _no_file(path) from None
                if error.errno != errno.ELOOP:
                    raise
                return _link(place)
    except FileNotFoundError:
        return None
    try:
        entry = os.fstat(file)
        if not stat.S_ISREG(entry.st_mode) or entry.st_size > MAX_BYTES:
            raise _no_file(path)
        content = os.read(file, MAX_BYTES)
        rights = Rights(
            owner=entry.st_uid,
            group=entry.st_gid,
            mode=stat.S_IMODE(entry.st_mode),
            attributes=tuple((name, value) for name in KEPT_ATTRIBUTES if (value := _attribute(file, name))),
        )
    finally:
        os.close(file)
    return Former(
        content=content, rights=rights, guarded=place.guarded, inode=entry.st_ino, moved=place.moved
    )


def _no_file(path: str) -> GiveUp:
    return GiveUp(
        f"{path} is not a file that a certificate may replace", hint="name another path under copies"
    )


def _link(place: ownership.Place) -> Former:
    """A link at the path itself; it is replaced, and where it leads is only read, if it is root's or ours."""
    text, content = os.readlink(place.name, dir_fd=place.fd), b""
    inode = os.stat(place.name, dir_fd=place.fd, follow_symlinks=False).st_ino
    if place.guarded:
        with contextlib.suppress(OSError):
            file = os.open(place.name, _READ, dir_fd=place.fd)
            try:
                if stat.S_ISREG(os.fstat(file).st_mode):
                    content = os.read(file, MAX_BYTES)
            finally:
                os.close(file)
    return Former(
        content=content, rights=Rights(), guarded=place.guarded, link=text, inode=inode, moved=place.moved
    )


def replace(path: str, content: bytes, rights: Rights, was: int = 0) -> durable.Stamp:
    """Put a file there with its final rights before it has content; its stamp. Raises as durable.replace."""
    return durable.replace(path, content, lambda file: _settle(file, rights, path), was=was)


def overwrite(  # noqa: PLR0913  each by its name
    path: str, content: bytes, rights: Rights, was: int, *, ours: bool, secret: bool
) -> durable.Stamp:
    """Write into the file with that inode, which stays the same file; its stamp.

    Not atomic: who reads meanwhile may see a part of each. If it fails, what was there is written back as far
    as possible. `ours` is whether we wrote what is there, `secret` whether a key is to be written. Raises
    OSError, and GiveUp or RetryLater with the path.
    """
    with ownership.open_place(path) as place:
        file = os.open(place.name, _WRITE, dir_fd=place.fd)
        try:
            _demand_own(place, os.fstat(file), path, was, ours=ours, secret=secret)
            before = os.pread(file, MAX_BYTES, 0)
            _settle(file, rights, path)
            try:
                durable.refill(file, content)
            except OSError:
                with contextlib.suppress(OSError):
                    durable.refill(file, before)
                raise
            return durable.stamp_of(os.fstat(file))
        finally:
            os.close(file)


def _demand_own(  # noqa: PLR0913  each by its name
    place: ownership.Place, entry: os.stat_result, path: str, was: int, *, ours: bool, secret: bool
) -> None:
    """That nothing else is written into: who may change the directory could have put any file there."""
    if entry.st_ino != was or not stat.S_ISREG(entry.st_mode):
        raise durable.swapped(path)
    if place.guarded:
        return
    why = ""
    if secret:
        why = "others may put another file there, and a key is to be written"
    elif entry.st_nlink != 1:
        why = "others may put files there, and it has several names (hard links)"
    elif not ours and entry.st_uid != os.fstat(place.fd).st_uid:
        why = "others may put files there, and it belongs neither to them nor to us"
    if why:
        hint = "let its directory belong to root, with nobody else writing there; or leave in_place out"
        raise GiveUp(f"{path} is not written in place: {why}", hint=hint)


def put_back(path: str, former: Former, was: int) -> durable.Stamp:
    """What stood there before, as it was; its stamp, of a link none. Raises as `replace` does."""
    if former.link is None:
        return replace(path, former.content, former.rights, was)
    durable.replace_by_link(path, former.link, was=was)
    return ()


def marked(path: str, mark: bytes) -> int:
    """The inode of a file that holds this text near its beginning; 0 if there is none. Raises OSError."""
    with ownership.open_place(path) as place:
        try:
            file = os.open(place.name, _READ | os.O_NOFOLLOW, dir_fd=place.fd)
        except OSError:
            return 0
        try:
            entry = os.fstat(file)
            return entry.st_ino if stat.S_ISREG(entry.st_mode) and mark in os.read(file, 4096) else 0
        finally:
            os.close(file)


def sweep(path: str) -> None:
    """Remove the draft that a killed run may have left beside a file. Raises OSError."""
    with ownership.open_place(path) as place, contextlib.suppress(FileNotFoundError):
        os.unlink(durable.draft_of(place.name), dir_fd=place.fd)


def link(path: str) -> str | None:
    """The text of a symbolic link at a path; None if there is none. Raises OSError."""
    with ownership.open_place(path) as place:
        try:
            return os.readlink(place.name, dir_fd=place.fd)
        except OSError as error:
            if error.errno in (errno.EINVAL, errno.ENOENT):
                return None
            raise


def remove(path: str, was: int) -> None:
    """Remove the file with that inode, durably; gone already is no error.

    Raises OSError, RenamedError once it is gone, and GiveUp.
    """
    with contextlib.suppress(FileNotFoundError), ownership.open_place(path) as place:
        durable.demand_expected(place, was, path)
        os.unlink(place.name, dir_fd=place.fd)
        durable.synced(place.fd)


def stamp(path: str) -> durable.Stamp:
    """The stamp of what stands at a path; empty if it is not there."""
    try:
        return durable.stamp_of(os.lstat(path))
    except OSError:
        return ()


def _settle(file: int, rights: Rights, path: str) -> None:
    """Owner, attributes, then mode: it also bounds what an access list gives. What was asked is read back."""
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
    refused: OSError | None = None
    try:
        os.fchmod(file, rights.mode)
    except PermissionError as error:
        refused = error  # a mount without modes says so, or says nothing
    if fault := ownership.rights_not_kept(os.fstat(file), rights.owner, rights.mode):
        text = f"the copy {path} is not written: {fault.text}"
        raise GiveUp(text, hint=fault.hint, kind=ownership.MODELESS)
    if refused is not None and stat.S_IMODE(os.fstat(file).st_mode) != rights.mode:
        raise refused


def _attribute(file: int, name: str) -> bytes | None:
    try:
        return os.getxattr(file, name)
    except OSError as error:
        if error.errno in _ABSENT:
            return None
        raise
