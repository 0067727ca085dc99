"""Every option of our providers stands in the example and in the page on DNS, and the example is right."""

import re
import tomllib
from pathlib import Path

import pytest

from renewer.model.dns_options import BUILT_IN, Rules, option_faults

CHECKOUT = Path(__file__).parents[4]
EXAMPLE = (CHECKOUT / "config.example.toml").read_text("utf-8")
PAGE = (CHECKOUT / "docs" / "dns.md").read_text("utf-8")


@pytest.mark.parametrize(("name", "rules"), BUILT_IN.items())
def test_options_are_shown(name: str, rules: Rules) -> None:
    """Nobody has to read the source to know what a provider takes."""
    words = [name, *(option.name for option in rules.options)]
    words += [text for option in rules.options for text in option.choices]
    assert [word for word in words if not re.search(rf"\b{re.escape(word)}\b", EXAMPLE)] == []
    assert [word for word in words if not re.search(rf"\b{re.escape(word)}\b", PAGE)] == []
    assert f"### {name}\n" in PAGE


def test_commented_options_are_right() -> None:
    """Who takes the comment sign away from a line has options that are accepted."""
    lines = re.findall(r"^# (options = \{.*\})", EXAMPLE, re.MULTILINE)
    assert len(lines) >= 4
    for line in lines:
        given = tomllib.loads(line)["options"]
        read = [(key, tuple(value) if isinstance(value, list) else value) for key, value in given.items()]
        assert option_faults(BUILT_IN["script"], read) == (), line
