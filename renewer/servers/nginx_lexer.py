"""nginx's configuration language: text in, directives out; pure.

By the rules of nginx's own ngx_conf_read_token: quotes and comments count only where a word begins, a
backslash takes the next character with it, `${` is no block. Blocks of Lua are passed over by counting their
braces outside of strings and comments. Every pattern is possessive: no text takes longer than its length.
"""

import re
from collections.abc import Iterator
from typing import NamedTuple

_TOKEN = re.compile(
    r"""[ \t\r\n]++
    | \#[^\n]*+
    | ([;{}])
    | "([^"\\]*+(?:\\.[^"\\]*+)*+)"
    | '([^'\\]*+(?:\\.[^'\\]*+)*+)'
    | ((?:[^ \t\r\n;{}"'\#\\$]|\\.|\$\{?)(?:[^ \t\r\n;{\\$]++|\\.|\$\{?)*+)""",
    re.DOTALL | re.VERBOSE,
)
_ESCAPE = re.compile(r"\\([\"'\\trn])")
_MEANS = {"t": "\t", "r": "\r", "n": "\n"}
_LUA = re.compile(r"--\[=*+\[|\[=*+\[|--|[\"'{}]")
_LUA_STRING = {
    '"': re.compile(r'"[^"\\\n]*+(?:\\.[^"\\\n]*+)*+"', re.DOTALL),
    "'": re.compile(r"'[^'\\\n]*+(?:\\.[^'\\\n]*+)*+'", re.DOTALL),
}


class UnreadableTextError(ValueError):
    """Why a text cannot be read on from a line on."""

    def __init__(self, text: str, line: int) -> None:
        super().__init__(text)
        self.line = line


class Directive(NamedTuple):
    """A directive: its line, its words, and whether it `opens` a block; without words, a block's end."""

    line: int
    words: tuple[str, ...]
    opens: bool = False


def directives(text: str) -> Iterator[Directive]:  # noqa: C901  a branch a sign, and no calls: it is quick
    """Every directive in its order. Raises UnreadableTextError at what is no configuration of nginx."""
    position, line, counted, begun = 0, 1, 0, 0
    words: list[str] = []
    match = _TOKEN.match
    while position < len(text):
        found = match(text, position)
        if found is None:
            raise UnreadableTextError("a quote that never ends", _line(text, position))
        mark = found.lastindex
        if mark is None:
            position = found.end()
            continue
        if not words:
            line += text.count("\n", counted, position)
            counted = position
            begun = line
        position = found.end()
        if mark > 1:
            word = found[mark]
            words.append(_ESCAPE.sub(_meant, word) if "\\" in word else word)
            continue
        sign = found[1]
        if sign == "}":
            if words:
                raise UnreadableTextError("a directive without its semicolon", begun)
            yield Directive(begun, ())
            continue
        if not words:
            raise UnreadableTextError(f"a {sign!r} without a directive", begun)
        if sign == "{" and words[0].endswith("_by_lua_block"):
            position = _after_lua(text, position)
            yield Directive(begun, tuple(words))
        else:
            yield Directive(begun, tuple(words), sign == "{")
        words = []
    if words:
        raise UnreadableTextError("a directive without its end", begun)


def _meant(found: re.Match[str]) -> str:
    return _MEANS.get(found[1], found[1])


def _line(text: str, position: int) -> int:
    return text.count("\n", 0, position) + 1


def _after_lua(text: str, position: int) -> int:
    """Where a block of Lua ends that was opened just before. Raises UnreadableTextError."""
    start, depth = position, 1
    while found := _LUA.search(text, position):
        sign, position = found[0], found.end()
        if sign == "{":
            depth += 1
        elif sign == "}":
            depth -= 1
            if not depth:
                return position
        elif sign == "--":
            position = text.find("\n", position) + 1 or len(text)
        elif sign in _LUA_STRING:
            string = _LUA_STRING[sign].match(text, found.start())
            if string is None:
                break
            position = string.end()
        else:
            close = "]" + "=" * sign.count("=") + "]"
            end = text.find(close, position)
            if end < 0:
                break
            position = end + len(close)
    raise UnreadableTextError("a block of Lua whose end was not found", _line(text, start))
