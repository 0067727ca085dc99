"""Words as systemd's unit files spell them (systemd.syntax(7), systemd.service(5))."""

import re
from collections.abc import Sequence

from renewer.errors import UsageError


def command_line(words: Sequence[str]) -> str:
    """An argv as ExecStart= reads it: like `word`, and $ is no variable but in the program's own path.

    Raises UsageError if the program's path has quotes or backslashes, which systemd refuses there.
    """
    if re.search(r"[\"'\\]", words[0]):
        raise UsageError(
            f"systemd starts no program with such a path: {words[0]}", hint="install renewer elsewhere"
        )
    return " ".join([word(words[0]), *(word(text.replace("$", "$$")) for text in words[1:])])


def word(text: str) -> str:
    """One word of a systemd setting (systemd.syntax(7)): quoted if needed, % is no specifier.

    Raises UsageError for control characters, which no setting can hold.
    """
    if re.search(r"[\x00-\x1f\x7f]", text):
        raise UsageError(
            f"{text!r} cannot stand in a systemd unit", hint="choose a path without control characters"
        )
    escaped = text.replace("%", "%%")
    if re.fullmatch(r"[A-Za-z0-9_@%/.:=+,$-]+", escaped):
        return escaped
    return '"' + escaped.replace("\\", "\\\\").replace('"', '\\"') + '"'
