"""Where a key stands in a TOML text: a small scan, done only when there is a fault to be told."""

import re

from renewer.config.faults import Path

_PART = r"""(?:[A-Za-z0-9_-]+|"(?:[^"\\]|\\.)*"|'[^']*')"""
_KEY = rf"{_PART}(?:[ \t]*\.[ \t]*{_PART})*"
_HEADER = re.compile(rf"[ \t]*(\[\[?)[ \t]*({_KEY})[ \t]*\]")
_ASSIGNMENT = re.compile(rf"[ \t]*({_KEY})[ \t]*=[ \t]*")
_TOKEN = re.compile(
    r'"{3}.*?"{3}' r"|'{3}.*?'{3}" r'|"(?:[^"\\\n]|\\.)*"' r"|'[^'\n]*'" r"|\#[^\n]*" r"|[\[\]{},]", re.DOTALL
)


def find(text: str, path: Path) -> int | None:
    """The line (from 1) of the deepest part of `path` that stands in the text; None if nothing does."""
    best: tuple[int, int | None] = (0, None)
    header: Path = ()
    counts: dict[Path, int] = {}
    offset = 0
    for number, line in enumerate(text.splitlines(keepends=True), 1):
        here: Path = ()
        value = 0
        if match := _HEADER.match(line):
            header = _parts(match[2])
            if match[1] == "[[":
                counts[header] = counts.get(header, -1) + 1
                header += (counts[header],)
            here = header
        elif match := _ASSIGNMENT.match(line):
            here = header + _parts(match[1])
            value = offset + match.end()
        shared = _shared(here, path)
        if shared > best[0]:
            best = (shared, number)
            if value and shared == len(here) < len(path) and isinstance(index := path[shared], int):
                best = (shared + 1, number + _item(text[value:], index))
        offset += len(line)
    return best[1]


def _parts(key: str) -> Path:
    return tuple(part[1:-1] if part[0] in "\"'" else part for part in re.findall(_PART, key))


def _shared(here: Path, path: Path) -> int:
    """How many parts agree from the start."""
    count = 0
    for one, other in zip(here, path, strict=False):
        if one != other:
            break
        count += 1
    return count


def _item(value: str, index: int) -> int:
    """How many lines below its start the n-th item of an array begins."""
    depth, item = 0, 0
    for token in _TOKEN.finditer(value):
        sign = token[0]
        if sign in ("[", "{"):
            depth += 1
        elif sign in ("]", "}"):
            depth -= 1
        elif sign == "," and depth == 1:
            item += 1
            continue
        elif sign.startswith("#"):
            continue
        if item == index and (depth > 1 or (depth == 1 and sign not in ("[", "]", "}"))):
            return value.count("\n", 0, token.start())
        if depth == 0:
            break
    return 0
