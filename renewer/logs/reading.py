"""Reads the renewal log from its oldest line on, across what was rotated by us or by logrotate."""

import os
import re
import stat
import zlib
from collections.abc import Generator, Iterable, Iterator, Mapping
from contextlib import ExitStack
from datetime import UTC, datetime
from itertools import islice
from typing import BinaryIO, cast

from renewer import clock
from renewer.decoding import UndecodableError, decode
from renewer.errors import StateError

Event = Mapping[str, object]

_OPEN = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY
_POLL = 0.5  # seconds between two looks when it is followed
_HEAD = 5  # lines in which the first moment is looked for: some may be damaged
_AT = re.compile(rb'{"at":"([0-9T:.Z-]{20,30})"')
_NUMBER = re.compile(r"[.]([0-9]{1,6})(?:[.]gz)?$")
_AGAIN = 5  # snapshots until one was not disturbed by a rotation


class Reader:
    """The events of the log at `path` and of the older ones beside it.

    `damaged` counts lines that could not be read, `files` those that were.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self.damaged = 0
        self.files = 0

    def events(self, since: datetime | None = None, *, follow: bool = False) -> Iterator[Event]:
        """Every event, the oldest first; `follow` goes on with those that come, and never ends.

        What was not changed since `since` is not even opened. Raises StateError.
        """
        with ExitStack() as closing:
            files = self._snapshot(closing, since)
            self.files = len(files)
            rest = b""
            for file in files:
                rest = yield from self._read(file)
                if rest and file is not files[-1]:
                    self.damaged += 1
            if follow:
                yield from self._follow(files[-1] if files else None, rest)
            elif rest:
                yield from self._decode([rest])

    def _snapshot(self, closing: ExitStack, since: datetime | None = None) -> list[BinaryIO]:
        """All files, opened, the oldest first: as they stood together at one moment between two rotations."""
        files: dict[tuple[int, int], BinaryIO] = {}
        for _ in range(_AGAIN):
            for path in _paths(self.path):
                file = _opened(path, since)
                if file is None:
                    continue
                if (identity := _identity(file)) in files:
                    file.close()
                else:
                    files[identity] = closing.enter_context(file)
            if {_standing(path, since) for path in _paths(self.path)} - {None} <= set(files):
                break
        return sorted((_unpacked(file) for file in files.values()), key=self._age)

    def _age(self, file: BinaryIO) -> tuple[str, int]:
        """When its first event was: that orders files, whatever they are called; names part equal ones."""
        at = ""
        try:
            for line in islice(file, _HEAD):
                if (found := _AT.match(line)) and not at:
                    at = found[1].decode()
            file.seek(0)
        except (OSError, EOFError, zlib.error):
            file.seek(0)
        number = _NUMBER.search(str(file.name))
        at = at or datetime.fromtimestamp(os.fstat(file.fileno()).st_mtime, UTC).isoformat()
        return at, -int(number[1]) if number else int(file.name == self.path)

    def _read(self, file: BinaryIO, rest: bytes = b"") -> Generator[Event, None, bytes]:
        """Its events from where it was read to, after `rest`; returns what stands behind the last line."""
        try:
            while chunk := file.read(1 << 20):
                *lines, rest = (rest + chunk).split(b"\n")
                yield from self._decode(lines)
        except (OSError, EOFError, zlib.error):  # a packed one that is cut off, a bad sector
            self.damaged += 1
        return rest

    def _follow(self, file: BinaryIO | None, rest: bytes) -> Iterator[Event]:
        with ExitStack() as closing:
            while True:
                # asked before the last look at it: what was written until it was moved away is all there
                moved = file is None or _standing(self.path) != _identity(file)
                if file is not None:
                    if os.fstat(file.fileno()).st_size < file.tell():  # logrotate's copytruncate
                        file.seek(0)
                        rest = b""
                    rest = yield from self._read(file, rest)
                if moved:
                    for newer in self._newer(file):
                        closing.close()
                        file = closing.enter_context(newer)
                        rest = yield from self._read(file)
                clock.sleep(_POLL)

    def _newer(self, file: BinaryIO | None) -> list[BinaryIO]:
        """What came after this file, opened; everything if it is nowhere any more."""
        with ExitStack() as closing:
            found = self._snapshot(closing)
            known = [_identity(one) for one in found]
            after = known.index(_identity(file)) + 1 if file is not None and _identity(file) in known else 0
            closing.pop_all()
        for one in found[:after]:
            one.close()
        return found[after:]

    def _decode(self, lines: Iterable[bytes]) -> Iterator[Event]:
        for line in lines:
            try:
                event = decode(line)
            except UndecodableError:
                self.damaged += bool(line.strip())
                continue
            if isinstance(event, dict):
                yield event
            else:
                self.damaged += 1


def _paths(path: str) -> list[str]:
    """The log, and what rotation made of it: renewal.log.1, renewal.log-20261122, each perhaps packed."""
    directory, name = os.path.split(path)
    old = re.compile(re.escape(name) + r"[.-][0-9][0-9-]*(\.gz)?")
    try:
        names = os.listdir(directory or ".")
    except FileNotFoundError:
        return []
    except OSError as error:
        raise _unreadable(path, error) from None
    found = {one for one in names if one == name or old.fullmatch(one)}
    # while one is being packed it stands there twice, and the packed one is not whole
    return [
        os.path.join(directory, one)
        for one in found
        if one.removesuffix(".gz") == one or one[:-3] not in found
    ]


def _opened(path: str, since: datetime | None) -> BinaryIO | None:
    """None if it went away, is nothing that can be read, or is older than anybody asks for."""
    try:
        file = open(path, "rb", opener=lambda name, _: os.open(name, _OPEN))  # noqa: SIM115  never waits
    except FileNotFoundError:
        return None
    except OSError as error:
        raise _unreadable(path, error) from None
    entry = os.fstat(file.fileno())
    if not stat.S_ISREG(entry.st_mode) or (since is not None and entry.st_mtime < since.timestamp()):
        file.close()
        return None
    return file


def _standing(path: str, since: datetime | None = None) -> tuple[int, int] | None:
    try:
        entry = os.lstat(path)
    except OSError:
        return None
    if not stat.S_ISREG(entry.st_mode) or (since is not None and entry.st_mtime < since.timestamp()):
        return None
    return (entry.st_dev, entry.st_ino)


def _identity(file: BinaryIO) -> tuple[int, int]:
    entry = os.fstat(file.fileno())
    return (entry.st_dev, entry.st_ino)


def _unpacked(file: BinaryIO) -> BinaryIO:
    head = file.read(2)
    file.seek(0)
    if head != b"\x1f\x8b":
        return file
    import gzip

    return cast("BinaryIO", gzip.GzipFile(fileobj=file))


def _unreadable(path: str, error: OSError) -> StateError:
    return StateError(
        f"the renewal log {path} cannot be read: {error.strerror}",
        hint="run as the agent's user (root), or let your group read it",
    )
