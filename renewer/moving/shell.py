"""Shell files of settings, read as data and never run: `NAME=value`, `NAME='value'`, comments.

What would need a shell to know (substitutions, commands, loops) is refused or left out by name.
"""

import re
from collections.abc import Mapping

from renewer.errors import StateError

_LINE = re.compile(r"(?:export\s+)?([A-Za-z_][A-Za-z0-9_]*)=(.*)")
_PART = re.compile(r"'([^']*)'|\"((?:[^\"\\$`]|\\.)*)\"|([^\s'\"\\$`;&|<>()#]+)|\\(.)")
_VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}|\$([A-Za-z_][A-Za-z0-9_]*)")
_LONGEST = 64 * 1024  # characters of a line


def settings(text: str, path: str, *, known: Mapping[str, str] | None = None) -> dict[str, str]:
    """What the assignments of a file say, the last of a name counts.

    `known` are variables that may be named in it; those of the file itself may, too. Raises StateError for
    a line that is too long, and for an assignment that only a shell could understand.
    """
    found: dict[str, str] = {}
    for number, raw in enumerate(text.splitlines(), 1):
        line = raw.strip()
        if len(line) > _LONGEST:
            raise _refused(path, number, f"has {len(line)} characters")
        match = _LINE.fullmatch(line)
        if not line or line.startswith("#"):
            continue
        if match is None:
            raise _refused(path, number, "is no assignment, and this program runs no shell")
        found[match[1]] = _value(match[2], path, number, {**(known or {}), **found})
    return found


def _value(text: str, path: str, number: int, known: Mapping[str, str]) -> str:
    text = _VARIABLE.sub(lambda name: _known(name, known), text) if "'" not in text else text
    made, rest = "", text
    while rest and not rest[0].isspace():
        part = _PART.match(rest)
        if part is None:
            raise _refused(path, number, "can be understood by a shell only, and this program runs none")
        if part[2] is not None:
            made += re.sub(r"\\(.)", r"\1", part[2])
        else:
            made += part[1] or part[3] or part[4] or ""
        rest = rest[part.end() :]
    if rest.strip() and not rest.strip().startswith("#"):
        raise _refused(path, number, "can be understood by a shell only, and this program runs none")
    return made


def _known(name: re.Match[str], known: Mapping[str, str]) -> str:
    value = known.get(name[1] or name[2])
    return name[0] if value is None or not re.fullmatch(r"[A-Za-z0-9_./:@-]*", value) else value


def _refused(path: str, number: int, why: str) -> StateError:
    hint = f"look at it: sed -n {number}p {path}"
    return StateError(f"{path}: line {number} {why}", hint=hint, kind="refused")
