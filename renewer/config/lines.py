"""Where the keys of a TOML text stand: a small scan, done only when there is a fault to be told."""

import re

from renewer.model.value import KeyPath

_PART = r"""(?:[A-Za-z0-9_-]+|"(?:[^"\\\n]|\\.)*"|'[^'\n]*')"""
_KEY = rf"{_PART}(?:[ \t]*\.[ \t]*{_PART})*"
_HEADER = re.compile(rf"[ \t]*(\[\[?)[ \t]*({_KEY})[ \t]*\]")
_ASSIGNMENT = re.compile(rf"[ \t]*({_KEY})[ \t]*=[ \t]*")
_TOKEN = re.compile(
    r'"{3}.*?"{3}'
    r"|'{3}.*?'{3}"
    r'|"(?:[^"\\\n]|\\.)*"'
    r"|'[^'\n]*'"
    r"|\#[^\n]*"
    r"|[\[\]{},]"
    r"|[\w.+-]+",
    re.DOTALL,
)


class Lines:
    """The lines of one text, scanned once."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._keys: dict[KeyPath, tuple[int, int]] = {}  # path → its line, and where its value begins
        self._counts: dict[KeyPath, int] = {}
        header: KeyPath = ()
        offset = 0
        for number, line in enumerate(text.split("\n"), 1):
            if match := _HEADER.match(line):
                header = self._header(_parts(match[2]), several=match[1] == "[[")
                self._note(header, number, 0)
            elif match := _ASSIGNMENT.match(line):
                self._note(header + _parts(match[1]), number, offset + match.end())
            offset += len(line) + 1

    def depth(self, path: KeyPath) -> int:
        """How many parts of `path` stand in the text; an item of a list that does counts."""
        known = next((end for end in range(len(path), 0, -1) if path[:end] in self._keys), 0)
        item = known and known < len(path) and isinstance(path[known], int)
        return known + bool(item)

    def find(self, path: KeyPath) -> int | None:
        """The line (from 1) of the deepest part of `path` that stands in the text; None if nothing does."""
        for end in range(len(path), 0, -1):
            if (found := self._keys.get(path[:end])) is not None:
                line, value = found
                if value and end < len(path) and isinstance(index := path[end], int):
                    line += _item(self._text[value:], index)
                return line
        return None

    def _header(self, path: KeyPath, *, several: bool) -> KeyPath:
        if not several:
            return path
        self._counts[path] = self._counts.get(path, -1) + 1
        return (*path, self._counts[path])

    def _note(self, path: KeyPath, line: int, value: int) -> None:
        for end in range(1, len(path)):
            self._keys.setdefault(path[:end], (line, 0))
        # [a.b] before [a], or a first item before the rest: the table's own header is its place
        if self._keys.get(path, (0, 0))[1] == 0 or value:
            self._keys[path] = (line, value)


def _parts(key: str) -> KeyPath:
    return tuple(part[1:-1] if part[0] in "\"'" else part for part in re.findall(_PART, key))


def _item(value: str, index: int) -> int:
    """How many lines below its start the n-th item of an array begins; 0 if it is no array."""
    if not value.startswith("["):
        return 0
    depth, item = 0, 0
    for token in _TOKEN.finditer(value):
        sign = token[0]
        if sign[0] == "#":
            continue
        if depth == 1 and item == index and sign not in (",", "]"):
            return value.count("\n", 0, token.start())
        if sign == "," and depth == 1:
            item += 1
        depth += (sign in ("[", "{")) - (sign in ("]", "}"))
        if depth == 0:
            break
    return 0
