"""The guarded reader of configurations and certificates: it opens nothing that could harm or hold it.

Regular files only, opened without waiting, a mebibyte each and twenty thousand in all; a link counts only
where root or we must have put it (`ownership.open_place`). What is not read is told, never guessed.
"""

import errno
import fnmatch
import os
import stat
from collections.abc import Iterator, Sequence
from typing import Self

from renewer import ownership
from renewer.model.installed import Unread

LARGEST = 1 << 20  # octets of a file
MOST_FILES = 20_000
MOST_ENTRIES = 20_000  # of one directory, and of one pattern
MOST_TOLD = 1000
INCLUDES = 40  # files inside each other
_LINKS = 10  # in a row
_KEPT_DIRECTORIES = 128  # open at a time
_OPEN = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
_MAGIC = frozenset("*?[")


class Guard:
    """Reads files of this host for one discovery; closing it closes what it holds open.

    `unread` gathers what was not read; nothing here raises for what lies on the disk.
    """

    def __init__(self, naming: str = "") -> None:
        """`naming` is a text of which `naming_it` shall have the configurations that hold it."""
        self.unread: list[Unread] = []
        self.naming_it: dict[str, None] = {}
        self._naming = naming
        self._told: set[tuple[str, str]] = set()
        self._places: dict[str, tuple[int, bool]] = {}
        self._files = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._let_go()

    def tell(self, place: str, text: str) -> None:
        """Say why something that a place names was not read: once, and only so much in all."""
        if (place, text) in self._told or len(self._told) > MOST_TOLD:
            return
        self._told.add((place, text))
        if len(self._told) > MOST_TOLD:
            place, text = "more", f"more than {MOST_TOLD} things were not read: they are not listed"
        self.unread.append(Unread(place=place, text=text))

    def may_include(self, path: str, way: Sequence[str], asked: str = "") -> bool:
        """Whether a file may be read inside those of `way`; why not is told: no circle, and so many deep."""
        if path in way:
            self.tell(asked or path, f"{path} includes itself: not read again")
        elif len(way) >= INCLUDES:
            self.tell(asked or path, f"includes more than {INCLUDES} deep: not read")
        else:
            return True
        return False

    def octets(self, path: str, asked: str = "") -> bytes | None:
        """A regular file, whole; None, told at `asked` (else its path), if it must not or cannot be read."""
        place = asked or path
        if self._files >= MOST_FILES:
            self.tell("files", f"more than {MOST_FILES} files: the rest was not read")
            return None
        self._files += 1
        try:
            return self._read(path)
        except FileNotFoundError:
            self.tell(place, f"{path} is missing")
        except ownership.LinkError as error:
            self.tell(place, f"{path} was not followed: {error.danger.text}")
        except (OSError, ValueError) as error:
            why = getattr(error, "strerror", None) or str(error)
            self.tell(place, f"{path} cannot be read: {why}")
        return None

    def text(self, path: str, asked: str = "") -> str | None:
        """A file of configuration; octets that are no UTF-8 stay what they are (surrogateescape)."""
        octets = self.octets(path, asked)
        if octets is None:
            return None
        if b"\0" in octets:
            self.tell(asked or path, f"{path} is no text: it holds NUL octets")
            return None
        text = octets.decode("utf-8", "surrogateescape")
        if self._naming and self._naming in text:
            self.naming_it[path] = None
        return text

    def entry(self, path: str) -> os.stat_result | None:
        """What stands at a path, links followed; None if nothing can be seen there. Opens nothing."""
        try:
            return os.stat(path)
        except (OSError, ValueError):
            return None

    def matching(self, pattern: str) -> list[str]:
        """The paths that fit a pattern as glob(7) has it (absolute), sorted; of a plain path that path.

        As the servers' own, names that begin with a dot fit only a pattern that does, too.
        """
        if not _MAGIC.intersection(pattern):
            return [pattern]
        found = ["/"]
        for part in [one for one in pattern.split("/") if one]:
            if not _MAGIC.intersection(part):
                found = [os.path.join(above, part) for above in found]
                continue
            found = [
                os.path.join(above, name)
                for above in found
                for name in self.names(above)
                if fnmatch.fnmatchcase(name, part) and (part[0] == "." or name[0] != ".")
            ]
            if len(found) > MOST_ENTRIES:
                self.tell(pattern, f"{pattern} fits more than {MOST_ENTRIES} files: the rest was not read")
                found = found[:MOST_ENTRIES]
        return sorted(path for path in found if os.path.lexists(path))

    def names(self, directory: str) -> list[str]:
        """The names in a directory, sorted; none if it is not there or cannot be read."""
        try:
            with os.scandir(directory) as entries:
                found = [entry.name for entry, _ in zip(entries, range(MOST_ENTRIES), strict=False)]
        except FileNotFoundError:
            return []
        except (OSError, ValueError) as error:
            if not isinstance(error, NotADirectoryError):
                self.tell(directory, f"{directory} cannot be read: {getattr(error, 'strerror', error)}")
            return []
        return sorted(found)

    def below(self, directory: str, depth: int) -> Iterator[str]:
        """Every file below a directory, so many levels deep; links to directories are not entered."""
        for name in self.names(directory):
            path = os.path.join(directory, name)
            try:
                entry = os.lstat(path)
            except OSError:
                continue
            if stat.S_ISDIR(entry.st_mode):
                if depth:
                    yield from self.below(path, depth - 1)
            else:
                yield path

    def _read(self, path: str) -> bytes:
        for _ in range(_LINKS):
            fd, guarded = self._place(os.path.dirname(path))
            name = os.path.basename(path)
            try:
                file = os.open(name, _OPEN, dir_fd=fd)
                break
            except OSError as error:
                if error.errno != errno.ELOOP:
                    raise
            if not guarded:
                text = f"it is a link in {os.path.dirname(path)}, where others than root could put one"
                raise ownership.LinkError(path, ownership.Danger(text, "name its target itself"))
            path = os.path.join(os.path.dirname(path), os.readlink(name, dir_fd=fd))
        else:
            raise OSError(errno.ELOOP, "it leads through too many links", path)
        try:
            return whole(file, path)
        finally:
            os.close(file)

    def _place(self, directory: str) -> tuple[int, bool]:
        """A directory, open, and whether only root and we can put anything there. Raises OSError."""
        known = self._places.get(directory)
        if known is None:
            if len(self._places) >= _KEPT_DIRECTORIES:
                self._let_go()
            with ownership.open_place(os.path.join(directory, "file")) as place:
                known = self._places[directory] = (os.dup(place.fd), place.guarded)
        return known

    def _let_go(self) -> None:
        for fd, _ in self._places.values():
            os.close(fd)
        self._places.clear()


def whole(file: int, path: str) -> bytes:
    """All of an open file, for who was led there; the path is for people.

    Raises OSError: EINVAL for what is no regular file, EFBIG for what is larger than LARGEST.
    """
    entry = os.fstat(file)
    if not stat.S_ISREG(entry.st_mode):
        raise OSError(errno.EINVAL, "it is not a regular file", path)
    if entry.st_size > LARGEST:
        raise OSError(errno.EFBIG, f"it has {entry.st_size} octets, more than {LARGEST}", path)
    octets = b""
    while len(octets) <= LARGEST and (more := os.read(file, LARGEST + 1)):
        octets += more
    if len(octets) > LARGEST:  # it grew, or says nothing of its size, as those in /proc
        raise OSError(errno.EFBIG, f"it has more than {LARGEST} octets", path)
    return octets
