"""The guarded reader of other clients' directories: it reads and never runs, and nothing leads it elsewhere.

Regular files only, opened without waiting; a mebibyte each, twenty thousand entries in all; of root's or ours
alone, for what stands there is run as hooks later; links only to what lies below the client's own directory.
"""

import errno
import os
from collections.abc import Iterator

from renewer import ownership
from renewer.errors import StateError
from renewer.servers.reading import MOST_ENTRIES, whole

_OPEN = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC


class Tree:
    """The files below one directory (absolute path) and, if there are others, below those named beside it.

    Every method raises StateError of the kind `refused` for what must not be read and `missing` for what is
    not there, with the path and what to do.
    """

    def __init__(self, root: str, *more: str) -> None:
        self.root = os.path.abspath(root)
        self._roots = tuple(os.path.realpath(one) for one in (self.root, *more))
        self._seen = 0

    def path(self, *parts: str) -> str:
        """A path below the directory."""
        return os.path.join(self.root, *parts)

    def has(self, *parts: str) -> bool:
        """Whether something is there, whatever it is."""
        return os.path.lexists(self.path(*parts))

    def names(self, *parts: str) -> list[str]:
        """The entries of a directory, sorted; none if it is not there."""
        path = self.path(*parts)
        try:
            real = self._inside(path)
            names = sorted(os.listdir(real))
        except (FileNotFoundError, NotADirectoryError):
            return []
        except OSError as error:
            raise _unread(path, error) from None
        self._seen += len(names)
        if self._seen > MOST_ENTRIES:
            raise _refused(f"{self.root} has more than {MOST_ENTRIES} entries", "is it the right directory?")
        return list(filter(str.isprintable, names))  # what cannot be told is no name of a certificate

    def directories(self, *parts: str) -> list[str]:
        """The directories in one, also by links that stay inside."""
        return [name for name in self.names(*parts) if os.path.isdir(self.path(*parts, name))]

    def below(self, *parts: str, depth: int = 6) -> Iterator[tuple[str, ...]]:
        """Every file below a directory, as the parts of its path; links to directories are not entered."""
        for name in self.names(*parts):
            place = (*parts, name)
            path = self.path(*place)
            if os.path.isdir(path) and not os.path.islink(path):
                if depth:
                    yield from self.below(*place, depth=depth - 1)
            else:
                yield place

    def read(self, *parts: str) -> bytes:
        """A file, whole."""
        path = self.path(*parts)
        try:
            fd = os.open(self._inside(path), _OPEN)
        except FileNotFoundError:
            raise StateError(f"{path} is missing", kind="missing") from None
        except OSError as error:
            raise _unread(path, error) from None
        try:
            return whole(fd, path)
        except OSError as error:
            if error.errno in (errno.EINVAL, errno.EFBIG):
                raise _refused(f"{path} is not read: {error.strerror}", f"look at it: ls -l {path}") from None
            raise _unread(path, error) from None
        finally:
            os.close(fd)

    def text(self, *parts: str) -> str:
        """A text file (UTF-8)."""
        data, path = self.read(*parts), self.path(*parts)
        try:
            text = data.decode()
        except UnicodeDecodeError as error:
            line = data.count(b"\n", 0, error.start) + 1
            hint = f"save it as UTF-8: iconv -f latin1 -t utf-8 {path}"
            raise _refused(f"{path} is not UTF-8 text (line {line})", hint) from None
        if "\0" in text:
            raise _refused(f"{path} is not text: it holds NUL characters", "look at it")
        return text

    def find(self, *parts: str) -> str | None:
        """A text file; None if there is none."""
        return self.text(*parts) if self.has(*parts) else None

    def _inside(self, path: str) -> str:
        """Where a path really leads, if nobody else could have led it there and it stays inside."""
        real = os.path.realpath(path)
        if not any(real == root or real.startswith(f"{root.rstrip('/')}/") for root in self._roots):
            hint = "nothing outside of the client's own directory is read: put the file there itself"
            raise _refused(f"{path} leads out of {self.root}, to {real}", hint)
        if found := ownership.danger(path):
            raise _refused(f"{path} is not trusted, since others could change it: {found.text}", found.hint)
        return real


def _refused(text: str, hint: str) -> StateError:
    return StateError(text, hint=hint, kind="refused")


def _unread(path: str, error: OSError) -> StateError:
    return _refused(f"{path} cannot be read: {error.strerror}", "run it as root, or as its owner")
