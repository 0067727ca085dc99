"""Configurations whose unit is the line: where each stands, includes that come back, and a bound for all."""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from renewer.model.installed import Opening
from renewer.model.served import Starttls
from renewer.servers.reading import Guard

_MOST = 1_000_000  # lines in all, those of a file as often as it is included


class SourceLine(NamedTuple):
    """A line of a file; its number counts from 1."""

    file: str
    number: int
    text: str

    @property
    def place(self) -> str:
        """Where it stands, for people."""
        return f"{self.file}:{self.number}"


class SourceLines:
    """The lines of one server's files."""

    def __init__(self, guard: Guard) -> None:
        self.guard = guard
        self._left = _MOST
        self._way: list[str] = []

    def of(self, path: str, asked: str = "") -> Iterator[SourceLine]:
        """The lines of a file, while it does not include itself and is not too deep in others."""
        if not self.guard.may_include(path, self._way, asked):
            return
        text = self.guard.text(path, asked)
        if text is None:
            return
        self._way.append(path)
        try:
            for number, line in enumerate(text.split("\n"), 1):
                if not self.count():
                    return
                yield SourceLine(path, number, line.removesuffix("\r"))
        finally:
            self._way.remove(path)

    def count(self) -> bool:
        """Take one of the lines that may be read; false if there is none left."""
        self._left -= 1
        if self._left == -1:
            self.guard.tell("lines", f"more than {_MOST} lines of one server: the rest was not read")
        return self._left >= 0


def joined(lines: Iterable[SourceLine]) -> Iterator[SourceLine]:
    """Lines that end in a backslash, with those that follow."""
    held: SourceLine | None = None
    parts: list[str] = []
    for line in lines:
        held = held or line
        if line.text.endswith("\\"):
            parts.append(line.text[:-1])
            continue
        yield SourceLine(held.file, held.number, "".join((*parts, line.text)))
        held, parts = None, []
    if held is not None:
        yield SourceLine(held.file, held.number, "".join(parts))


def folded(lines: Iterable[SourceLine]) -> Iterator[SourceLine]:
    """Lines with those that follow and begin with a blank (Postfix), without comments and empty ones."""
    held: SourceLine | None = None
    parts: list[str] = []
    for line in lines:
        if not line.text.strip() or line.text.lstrip()[0] == "#":
            continue
        if held is not None and line.text[0] in " \t":
            parts.append(line.text.strip())
            continue
        if held is not None:
            yield SourceLine(held.file, held.number, " ".join(parts))
        held, parts = line, [line.text.strip()]
    if held is not None:
        yield SourceLine(held.file, held.number, " ".join(parts))


def openings(*ports: tuple[int, Starttls | None]) -> tuple[Opening, ...]:
    """Ports at every address."""
    return tuple(Opening(address="", port=port, starttls=before) for port, before in ports)


def unquoted(text: str) -> str:
    """A value without blanks and the quotes around it."""
    text = text.strip()
    if len(text) > 1 and text[0] == text[-1] and text[0] in "\"'":
        return text[1:-1]
    return text
