"""Files in other places that follow the live version; each is replaced by one rename.

A file that we did not write is kept once as NAME.before-renewer. What was replaced can be put back.
"""

import contextlib
import grp
import hashlib
import os
import pwd
import stat
from collections.abc import Iterator

from renewer.errors import GiveUp, RenewerError, RetryLater
from renewer.model.desired import Copy, CopyPart
from renewer.model.value import Value
from renewer.safety import danger
from renewer.store.contract import Material

PUBLIC_MODE = 0o644
KEY_MODE = 0o600
_SECRET_PARTS = (CopyPart.KEY, CopyPart.COMBINED)
_STEP = os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_MAX_LINKS = 40  # as many as Linux follows
_MAX_BYTES = 1 << 20  # what stands at a copy's path is a PEM file, or nothing that we would read whole


class Written(Value):
    """A file as it now stands, and what stood there before (None if nothing did).

    `note` is set if the file was left alone, and says why.
    """

    path: str
    sha256: str
    stamp: tuple[int, ...]
    before: "Former | None" = None
    unchanged: bool = False
    note: str = ""


class Former(Value):
    """What a copy replaced. Its repr says nothing of the content, which may be a key."""

    content: bytes
    mode: int
    owner: int
    group: int

    def __repr__(self) -> str:
        return "Former(…)"


def put(copy: Copy, material: Material, ours: dict[str, str]) -> list[Written]:
    """Write every file of a copy, the key first; `ours` is path → SHA-256 of what we wrote there before.

    Files of somebody else's later certificate are left alone, which their `note` says. Raises RetryLater or
    GiveUp with the path; what was written before the error is put back.
    """
    if later := _later_there(copy, material, ours):
        note = f"{later} holds a certificate that ends later than ours: this copy is left alone"
        return [
            Written(path=path, sha256="", stamp=_stamp_if_there(path), unchanged=True, note=note)
            for _, path in copy.paths
        ]
    done: list[Written] = []
    try:
        for part, path in sorted(copy.paths, key=lambda pair: list(CopyPart).index(pair[0])):
            done.append(_put_one(copy, part, path, _content(part, material), ours.get(path)))
    except RenewerError:
        undo(done)
        raise
    return done


def undo(written: list[Written]) -> tuple[list[Written], list[str]]:
    """Put back what stood there before: the files as they now stand, and what could not be, as sentences."""
    restored: list[Written] = []
    faults: list[str] = []
    for one in reversed(written):
        former = one.before
        try:
            if one.note:
                continue
            if former is None:
                with contextlib.suppress(FileNotFoundError), _place(one.path) as (there, name):
                    os.unlink(name, dir_fd=there)
                continue
            if not one.unchanged:
                replace(one.path, former.content, former.mode, former.owner, former.group)
            sha256 = hashlib.sha256(former.content).hexdigest()
            restored.append(Written(path=one.path, sha256=sha256, stamp=_stamp(one.path)))
        except OSError as error:
            faults.append(f"{one.path} could not be put back: {error.strerror}")
        except RenewerError as error:
            faults.append(f"{one.path} could not be put back: {error.text}")
    return restored, faults


def _later_there(copy: Copy, material: Material, ours: dict[str, str]) -> str | None:
    """The path where somebody else put a certificate that ends later than ours, if any."""
    from renewer import x509

    for part, path in copy.paths:
        if part in (CopyPart.KEY, CopyPart.CHAIN):
            continue
        try:
            there = _read(path).content
            foreign = hashlib.sha256(there).hexdigest() != ours.get(path)
            if foreign and x509.leaf(there).not_after > x509.leaf(material.cert).not_after:
                return path
        except (OSError, ValueError, RenewerError):
            continue  # nothing there, or nothing that is a certificate
    return None


def _content(part: CopyPart, material: Material) -> bytes:
    match part:
        case CopyPart.KEY:
            return material.privkey
        case CopyPart.CERT:
            return material.cert
        case CopyPart.CHAIN:
            return material.chain
        case CopyPart.FULLCHAIN:
            return material.fullchain
        case CopyPart.COMBINED:  # haproxy's order: leaf, chain, key
            return material.fullchain + material.privkey


def _put_one(copy: Copy, part: CopyPart, path: str, content: bytes, ours: str | None) -> Written:
    secret = part in _SECRET_PARTS
    mode = copy.mode if copy.mode is not None else KEY_MODE
    if not secret:
        mode = (copy.mode | 0o444) & PUBLIC_MODE if copy.mode is not None else PUBLIC_MODE
    sha256 = hashlib.sha256(content).hexdigest()
    try:
        owner, group = _owner(copy.owner), _group(copy.group)
        before = _former(path)
        if before and before.content == content and _as_wished(before, mode, owner, group):
            return Written(path=path, sha256=sha256, stamp=_stamp(path), before=before, unchanged=True)
        if before and hashlib.sha256(before.content).hexdigest() != ours:
            _keep_foreign(path, before)
        replace(path, content, mode, owner, group)
        return Written(path=path, sha256=sha256, stamp=_stamp(path), before=before)
    except PermissionError as error:
        text = f"the copy {path} cannot be written: {error.strerror}"
        raise GiveUp(text, hint="let the agent write there, or name another path under copies") from None
    except FileNotFoundError:
        text = f"the copy {path} cannot be written: its directory does not exist"
        raise GiveUp(
            text, hint=f"create {os.path.dirname(path)}, or name another path under copies"
        ) from None
    except OSError as error:
        raise RetryLater(
            f"the copy {path} cannot be written: {error.strerror}", hint="make room there"
        ) from None


def _as_wished(found: Former, mode: int, owner: int, group: int) -> bool:
    return found.mode == mode and owner in (-1, found.owner) and group in (-1, found.group)


def _keep_foreign(path: str, before: Former) -> None:
    kept = f"{path}.before-renewer"
    if not os.path.lexists(kept):
        replace(kept, before.content, KEY_MODE, before.owner, before.group)


def _former(path: str) -> Former | None:
    try:
        return _read(path)
    except FileNotFoundError:
        return None


def _read(path: str) -> Former:
    """A regular file's content and rights."""
    with _place(path) as (there, name):
        file = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK, dir_fd=there)
    try:
        entry = os.fstat(file)
        if not stat.S_ISREG(entry.st_mode) or entry.st_size > _MAX_BYTES:
            raise GiveUp(
                f"{path} is not a file that a certificate may replace", hint="name another path under copies"
            )
        content = os.read(file, _MAX_BYTES)
    finally:
        os.close(file)
    return Former(content=content, mode=stat.S_IMODE(entry.st_mode), owner=entry.st_uid, group=entry.st_gid)


def replace(path: str, content: bytes, mode: int, owner: int = -1, group: int = -1) -> None:
    """Write a dot-file beside, with its final owner and mode before it has content, and rename it over.

    Raises OSError, and GiveUp if somebody else could lead us astray on the way there.
    """
    with _place(path) as (there, name):
        draft = f".{name}.renewer"
        try:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(draft, dir_fd=there)
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
            file = os.open(draft, flags, 0o600, dir_fd=there)
            try:
                if owner != -1 or group != -1:
                    os.fchown(file, owner, group)
                os.fchmod(file, mode)
                _write_all(file, content)
                os.fsync(file)
            finally:
                os.close(file)
            os.rename(draft, name, src_dir_fd=there, dst_dir_fd=there)
            os.fsync(there)
        finally:
            with contextlib.suppress(OSError):
                os.unlink(draft, dir_fd=there)


@contextlib.contextmanager
def _place(path: str) -> Iterator[tuple[int, str]]:
    """The directory where a copy lies, opened, and its name there. Raises OSError, GiveUp.

    Links are followed, as by the server that reads it, but no link of anybody else's: whoever owns a copy's
    directory, as databases do, could lead us to any file of the system.
    """
    directory, name = os.path.split(_real(path))
    there = os.open("/", os.O_RDONLY | _STEP)
    try:
        parts = [part for part in directory.split("/") if part]
        for number, part in enumerate(parts, 1):  # no link is left in it, and none may come in between
            way = os.O_RDONLY if number == len(parts) else os.O_PATH
            above, there = there, os.open(part, way | _STEP, dir_fd=there)
            os.close(above)
        yield there, name
    finally:
        os.close(there)


def _real(path: str) -> str:
    """The path without links. Raises GiveUp if somebody else could have put one of them there."""
    for _ in range(_MAX_LINKS):
        above, name = os.path.split(path)
        directory = os.path.realpath(above)
        found = f"{directory.rstrip('/')}/{name}"
        linked = os.path.islink(found)
        if (linked or directory != above) and (fault := danger(above)):
            hint = f"name the real path in the config; or {fault.hint}"
            raise GiveUp(f"a symbolic link on the way to {path} is not followed: {fault.text}", hint=hint)
        if not linked:
            return found
        path = os.path.join(directory, os.readlink(found))
    raise GiveUp(f"{path} leads through too many symbolic links", hint="name the real path in the config")


def _write_all(file: int, content: bytes) -> None:
    while content:
        content = content[os.write(file, content) :]


def _stamp_if_there(path: str) -> tuple[int, ...]:
    try:
        return _stamp(path)
    except OSError:
        return ()


def _stamp(path: str) -> tuple[int, ...]:
    entry = os.stat(path)
    return (entry.st_ino, entry.st_size, entry.st_mtime_ns)


def _owner(name: str | None) -> int:
    if name is None:
        return -1
    try:
        return int(name) if name.isdigit() else pwd.getpwnam(name).pw_uid
    except KeyError:
        raise GiveUp(
            f"there is no user '{name}', the owner of a copy", hint="create it, or correct `owner`"
        ) from None


def _group(name: str | None) -> int:
    if name is None:
        return -1
    try:
        return int(name) if name.isdigit() else grp.getgrnam(name).gr_gid
    except KeyError:
        raise GiveUp(
            f"there is no group '{name}', the group of a copy", hint="create it, or correct `group`"
        ) from None
