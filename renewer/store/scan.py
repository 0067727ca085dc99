"""A quick look at what lies of one certificate: done for each of thousands at every run."""

import errno
import os
import stat

from renewer import statedir
from renewer.errors import StateError
from renewer.model.names import CERTIFICATE_NAME
from renewer.statedir import check_owner, told
from renewer.store import layout
from renewer.store.contract import Found, Shelf
from renewer.store.workspace import Bench, demand, discard, fresh

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILES = (layout.PRIVKEY, layout.CERT, layout.CHAIN, layout.FULLCHAIN, layout.ABOUT)
_PREFIX = f"{layout.VERSIONS}/"
_EMPTY = Shelf(live=None, found=(), pending=())


def well_named(name: str) -> bool:
    """Whether a certificate can have that name."""
    return CERTIFICATE_NAME.fullmatch(name) is not None


def look(path: str) -> Shelf:
    """The shelf of the certificate in this directory; an empty one if there is none. Opens no file."""
    try:
        fd = os.open(path, _DIRECTORY)
    except FileNotFoundError:
        return _EMPTY
    except OSError:
        _tell_of_a_renaming(path)
        with told(path):
            raise
    try:
        with told(path):
            check_owner(os.fstat(fd), path)
            live, blocked = _live(fd, f"{path}/{layout.LIVE}")
            return Shelf(
                live=live,
                blocked=blocked,
                found=_versions(fd, f"{path}/{layout.VERSIONS}"),
                pending=_pending(fd, f"{path}/{layout.PENDING}"),
            )
    finally:
        os.close(fd)


def _tell_of_a_renaming(path: str) -> None:
    """Raise StateError if the directory is one that has another name now."""
    try:
        new = os.readlink(path)
    except OSError:
        return
    if well_named(new):
        name = os.path.basename(path)
        raise StateError(
            f"{name} was renamed: {path} leads to {new}",
            hint=f"to undo that: renewer rename {new} {name}; to begin anew: renewer forget {name}",
            kind="renamed",
        )


def _live(home: int, path: str) -> tuple[str | None, str | None]:
    """The version that the link names, None without one; and what stands in its place if that is no link."""
    try:
        target = os.readlink(layout.LIVE, dir_fd=home)
    except OSError as error:
        if error.errno != errno.EINVAL:
            return None, None
        kind = stat.S_ISDIR(os.stat(layout.LIVE, dir_fd=home, follow_symlinks=False).st_mode)
        what = "a directory" if kind else "a file"
        return None, f"{path} is {what} and not the link to a version (a restore that followed links?)"
    version = target.removeprefix(_PREFIX)
    return (version if version != target and layout.VERSION_ID.fullmatch(version) else None), None


def _versions(home: int, path: str) -> tuple[Found, ...]:
    try:
        fd = os.open(layout.VERSIONS, _DIRECTORY, dir_fd=home)
    except FileNotFoundError:
        return ()
    try:
        check_owner(os.fstat(fd), path)
        return tuple(_found(fd, name) for name in sorted(os.listdir(fd)) if layout.VERSION_ID.fullmatch(name))
    finally:
        os.close(fd)


def _found(versions: int, name: str) -> Found:
    files = [_status(versions, f"{name}/{file}") for file in _FILES]
    place = _status(versions, name)
    stamp: tuple[int, ...] = ()
    for one in files:
        stamp += (one.st_ino, one.st_size, one.st_mtime_ns) if one else (0, 0, 0)
    rights = tuple((stat.S_IMODE(one.st_mode), one.st_gid) if one else None for one in (place, *files))
    return Found(id=name, stamp=stamp, rights=rights)


def _status(versions: int, name: str) -> os.stat_result | None:
    try:
        return os.stat(name, dir_fd=versions, follow_symlinks=False)
    except (FileNotFoundError, NotADirectoryError):
        return None


def _pending(home: int, path: str) -> tuple[str, ...]:
    try:
        fd = os.open(layout.PENDING, _DIRECTORY, dir_fd=home)
    except FileNotFoundError:
        return ()
    try:
        check_owner(os.fstat(fd), path)
        return tuple(sorted(name for name in os.listdir(fd) if layout.PENDING_ID.fullmatch(name)))
    finally:
        os.close(fd)


_NAMED = (layout.PRIVKEY, layout.CERT, layout.CHAIN, layout.FULLCHAIN)


def ensure(bench: Bench, certificate: str, *, key: bool = True) -> str:
    """Make the directory, or put it right link by link; returns its path. Done before is done."""
    demand(CERTIFICATE_NAME, certificate, "certificate")
    with (
        bench.shelves() as (_, tmp),
        statedir.ensure_root(bench.state, bench.mode, bench.group) as root,
        root.ensure(layout.LINEAGES, bench.mode, bench.group) as lineages,
        lineages.ensure(certificate, bench.mode, bench.group) as home,
    ):
        for file in _NAMED:
            target = f"../../{layout.CERTIFICATES}/{certificate}/{layout.LIVE}/{file}"
            if not key and file == layout.PRIVKEY:
                home.discard(file)
                continue
            if home.link(file) == target:
                continue
            with fresh(tmp) as name:
                tmp.symlink(name, target)
                tmp.move(name, home, file)
        return home.path


def there(bench: Bench, certificate: str) -> bool:
    """Whether a certificate has one."""
    root = statedir.find_root(bench.state)
    if root is None:
        return False
    with root:
        lineages = root.find(layout.LINEAGES)
        if lineages is None:
            return False
        with lineages:
            return lineages.mode(certificate) is not None


def forget(bench: Bench, certificate: str) -> None:
    """Remove the directory of a certificate; one that is not there is no error."""
    if not there(bench, certificate):
        return
    with (
        bench.shelves() as (_, tmp),
        statedir.ensure_root(bench.state, bench.mode, bench.group) as root,
        root.ensure(layout.LINEAGES, bench.mode, bench.group) as lineages,
    ):
        discard(lineages, certificate, tmp)
        lineages.sync()
