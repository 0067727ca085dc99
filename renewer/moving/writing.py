"""Tables of the config as TOML. Pure."""

import re
from collections.abc import Mapping, Sequence

from renewer import words
from renewer.moving.found import Gap, SecretFile, Table

_BARE = re.compile(r"[A-Za-z0-9_-]+")


class Secrets:
    """Secrets that are to have files of their own, below a directory."""

    def __init__(self, directory: str) -> None:
        self._directory = directory
        self.files: dict[str, str] = {}

    def path(self, file: SecretFile) -> str:
        """Where it will lie."""
        path = f"{self._directory}/{file.name}"
        self.files[path] = file.content
        return path


def document(
    head: Sequence[str], tables: Sequence[tuple[tuple[str, ...], Table, Sequence[Gap]]], secrets: Secrets
) -> str:
    """A file: comments at its head, then each table under its dotted name, with what is to be known of it."""
    lines = [f"# {_line(one)}" if one else "#" for one in head]
    for name, table, remarks in tables:
        lines.append("")
        lines += [f"# {_line(one.text)}" + (f": {_line(one.hint)}" if one.hint else "") for one in remarks]
        lines.append("[" + ".".join(map(_key, name)) + "]")
        width = max((len(_key(key)) for key in table), default=0)
        lines += [f"{_key(key):<{width}} = {value_of(value, secrets)}" for key, value in table.items()]
    return "\n".join(lines) + "\n"


def value_of(value: object, secrets: Secrets) -> str:
    """A value as it stands in a file. Raises TypeError for one that no table of ours has."""
    match value:
        case bool():
            return "true" if value else "false"
        case int():
            return str(value)
        case str():
            return _text(value)
        case SecretFile():
            return _text(secrets.path(value))
        case Mapping():
            inner = ", ".join(f"{_key(str(key))} = {value_of(one, secrets)}" for key, one in value.items())
            return f"{{ {inner} }}" if inner else "{}"
        case Sequence():
            return "[" + ", ".join(value_of(one, secrets) for one in value) + "]"
    raise TypeError(type(value).__name__)


def _key(name: str) -> str:
    return name if _BARE.fullmatch(name) else _text(name)


def _text(text: str) -> str:
    """A basic string: everything that is not printable is escaped."""
    made = ""
    for char in text:
        if char in ('"', "\\"):
            made += f"\\{char}"
        elif char.isprintable():
            made += char
        else:
            made += f"\\u{ord(char):04x}" if ord(char) < 0x10000 else f"\\U{ord(char):08x}"
    return f'"{made}"'


def _line(text: str) -> str:
    return " ".join(words.clean(text).split())
