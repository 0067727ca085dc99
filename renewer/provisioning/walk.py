"""The directories below a webroot, walked one component at a time by descriptor, following no link.

Which of them this process made is remembered, for only those may be removed again.
"""

import contextlib
import errno
import os
import threading
from collections.abc import Iterator

from renewer import ownership

PARTS = (".well-known", "acme-challenge")

Identity = tuple[int, int]

# Which directories this process made: (the webroot's identity, depth) → the directory's identity. One for
# the whole process, since several solvers may share a webroot; the lock also keeps one thread from
# removing a directory between another one's opening it and writing into it.
_made: dict[tuple[Identity, int], Identity] = {}
lock = threading.Lock()


def identity(fd: int) -> Identity:
    """What a directory is known by, whatever its path."""
    found = os.fstat(fd)
    return found.st_dev, found.st_ino


@contextlib.contextmanager
def directories(root: str, *, make: bool = False) -> Iterator[list[int]]:
    """Descriptors of the webroot and of the directories below it, as deep as they exist (or all, made).

    Raises OSError with the full path of what is in the way.
    """
    opened = [_root(root)]
    try:
        for depth in range(len(PARTS)):
            try:
                opened.append(_step(root, opened, depth, make=make))
            except FileNotFoundError:
                if make:
                    raise
                break
        yield opened
    finally:
        for fd in opened:
            os.close(fd)


def _root(root: str) -> int:
    try:
        with ownership.open_directory(root) as found:
            return os.dup(found)
    except ownership.LinkError:
        raise
    except OSError as error:
        raise OSError(error.errno, error.strerror, root) from error


def _step(root: str, opened: list[int], depth: int, *, make: bool) -> int:
    """Open (or make) the next directory; one of ours gets the mode that the web server needs."""
    part, parent = PARTS[depth], opened[-1]
    path = "/".join((root.rstrip("/"), *PARTS[: depth + 1]))
    key = (identity(opened[0]), depth)
    created = make and _make_directory(part, parent, path)
    fd = _enter(part, parent, path)
    if make and not created and _made.get(key) == identity(fd) and _is_hidden(fd):
        # A killed run left it without its mode. It is not given one, for who owns the webroot may have put
        # any directory there; an empty one is made anew.
        os.close(fd)
        _rmdir(part, parent)
        created = _make_directory(part, parent, path)
        fd = _enter(part, parent, path)
    if created:
        _made[key] = identity(fd)
    return fd


def _enter(part: str, parent: int, path: str) -> int:
    return _open(part, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, path=path, dir_fd=parent)


def _is_hidden(fd: int) -> bool:
    """Whether the web server may not walk through it."""
    return os.fstat(fd).st_mode & 0o055 != 0o055


def _make_directory(part: str, parent: int, path: str) -> bool:
    """Make it with the mode that the web server needs; under the lock, so that the umask is set by one only.

    Giving it the mode afterwards would be by its name, and that may be another directory's by then.
    """
    before = os.umask(0o022)
    try:
        os.mkdir(part, 0o755, dir_fd=parent)
    except FileExistsError:
        return False
    except OSError as error:
        raise OSError(error.errno, error.strerror, path) from error
    finally:
        os.umask(before)
    return True


def _open(name: str, flags: int, *, path: str, dir_fd: int | None = None) -> int:
    try:
        return os.open(name, flags, dir_fd=dir_fd)
    except OSError as error:
        raise OSError(error.errno, error.strerror, path) from error


def remove_empty(opened: list[int]) -> None:
    """Remove those that we made and that are empty, the inner one first. Raises OSError."""
    for depth in reversed(range(len(opened) - 1)):
        key = (identity(opened[0]), depth)
        if _made.get(key) != identity(opened[depth + 1]) or not _rmdir(PARTS[depth], opened[depth]):
            break
        del _made[key]


def is_ours(opened: list[int], depth: int) -> bool:
    """Whether this process made the directory at that depth, or took it over by `adopt`."""
    return _made.get((identity(opened[0]), depth)) == identity(opened[depth + 1])


def adopt(opened: list[int], depth: int) -> None:
    """Take a directory for ours that a killed run recorded as made by it."""
    _made.setdefault((identity(opened[0]), depth), identity(opened[depth + 1]))


def _rmdir(part: str, parent: int) -> bool:
    """Whether it is gone; another certificate's token, or a stranger's file, keeps it."""
    try:
        os.rmdir(part, dir_fd=parent)
    except FileNotFoundError:
        return True
    except OSError as error:
        if error.errno in (errno.ENOTEMPTY, errno.EEXIST, errno.EBUSY):
            return False
        raise
    return True
