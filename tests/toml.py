"""Configs of tests, as TOML."""

import json
from collections.abc import Mapping, Sequence
from typing import Any


def value(given: Any) -> str:
    """A value as it stands in a config: keys that are no bare ones are quoted, paths are text."""
    if isinstance(given, bool):
        return str(given).lower()
    if isinstance(given, int):
        return str(given)
    if isinstance(given, Mapping):
        return "{ " + ", ".join(f"{json.dumps(str(key))} = {value(one)}" for key, one in given.items()) + " }"
    if isinstance(given, Sequence) and not isinstance(given, str):
        return "[" + ", ".join(map(value, given)) + "]"
    return json.dumps(str(given))


def tables(given: Mapping[str, Mapping[str, Any]]) -> str:
    """Whole tables by their dotted names."""
    return "\n".join(
        f"[{title}]\n" + "".join(f"{key} = {value(one)}\n" for key, one in table.items())
        for title, table in given.items()
    )
