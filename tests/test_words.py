"""How things are said to people, and that nothing of a stranger's text is hidden or does anything."""

import ast
import subprocess
import sys
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from renewer import words
from tests.house.code import modules, nodes

NOW = datetime(2026, 11, 7, 9, 30, 5, tzinfo=UTC)


@pytest.mark.parametrize(
    "hidden",
    [
        *("\x00", "\x07", "\x08", "\x0b", "\x1b", "\x7f", "\r"),  # C0, DEL
        *("\x80", "\x85", "\x9b", "\x9f"),  # C1, which some terminals obey as escapes
        *("\u061c", "\u200e", "\u200f", "\u202a", "\u202e", "\u2066", "\u2069"),  # they turn the writing
        *("\u200b", "\u200c", "\u200d", "\u2060", "\u00ad", "\ufeff", "\u180e"),  # they have no width
        *("\u2028", "\u2029"),  # a new line for some readers
        *("\U000e0001", "\U000e0041"),  # tags: text that nobody sees
    ],
)
def test_what_hides_is_shown(hidden: str) -> None:
    """Each of these is marked where text is shown, kept off a line, and dropped from a program's output."""
    assert words.clean(f"a{hidden}b") == "a�b"
    assert words.line(f"a{hidden}b") in ("a�b", "a b")
    assert hidden not in words.output(f"a{hidden}b".encode())
    assert hidden not in words.sentence(f"a{hidden}b")
    assert hidden not in words.ending(f"a{hidden}b")


@pytest.mark.parametrize(
    "text", ["two\nlines\tand a tab", "no\xa0break", "bücher.example", "日本語\u3000例", "✓ → …"]
)
def test_what_is_seen_stays(text: str) -> None:
    """Letters of all scripts, spaces and the ends of lines are nobody's trick."""
    assert words.clean(text) == text


def test_halves_of_characters_become_question_marks() -> None:
    """A file's name that is no UTF-8 can be printed, sent and written."""
    assert words.clean("/srv/\udcff.pem") == "/srv/?.pem"
    assert words.whole("\ud800") == "?"


@given(st.text(st.characters(), max_size=60))
def test_cleaned_text_is_plain(text: str) -> None:
    """Whatever comes: it can be encoded, holds no control, and to clean it again changes nothing."""
    cleaned = words.clean(text)
    cleaned.encode()
    assert [char for char in cleaned if not (char.isprintable() or char.isspace())] == []
    assert not {"\u2028", "\u2029", "\x85", "\x0b", "\x1c", "\r"} & set(cleaned)
    assert words.clean(cleaned) == cleaned
    assert "\n" not in words.line(text, 20)
    assert len(words.line(text, 20)) <= 21


def test_colours_of_programs_are_dropped() -> None:
    """What a program tells a terminal is no part of what it says."""
    assert words.output(b"\x1b[1;31merror\x1b[0m: no\r\nmore\x1b]0;title\x07\rnow") == "error: no\nmore\nnow"


def test_text_of_a_document() -> None:
    """What is no text counts as none; what is too long is cut."""
    assert (words.text_of(None), words.text_of(7), words.text_of(["x"])) == ("", "", "")
    assert words.text_of("x" * 50, 10) == "x" * 10 + "…"


@pytest.mark.parametrize(
    ("seconds", "long", "brief", "exact"),
    [
        (0.85, "0 seconds", "0s", "850ms"),
        (1, "1 second", "1s", "1s"),
        (60, "1 minute", "60s", "1m"),
        (7199, "1 hour", "119m", "1h 59m"),
        (86400 * 2 - 1, "47 hours", "47h", "1d 23h"),
        (86400 * 18.5, "18 days", "18d", "18d 12h"),
        (-86400 * 3, "3 days", "-3d", "-3d"),
    ],
)
def test_spans(seconds: float, long: str, brief: str, exact: str) -> None:
    """A length of time at three widths."""
    assert words.span(seconds) == long
    assert words.brief(timedelta(seconds=seconds)) == brief
    assert words.exact(seconds) == exact


def test_moments() -> None:
    """For people, for the log, for programs; and as seen from now."""
    assert words.moment(NOW) == "7 Nov 2026, 09:30 UTC"
    assert (words.stamp(NOW), words.stamp(None)) == ("2026-11-07 09:30:05Z", "-")
    assert words.rfc3339(NOW) == "2026-11-07T09:30:05Z"
    assert words.relative(NOW + timedelta(days=18), NOW) == "in 18 days"
    assert words.relative(NOW - timedelta(hours=5), NOW) == "5 hours ago"


def test_numbers_and_lists() -> None:
    """One has no s, and of many only a few are named."""
    assert [words.count(number, "run") for number in (0, 1, 2)] == ["0 runs", "1 run", "2 runs"]
    assert words.several("abc") == "a, b, c"
    assert words.several("abcde") == "a, b, c and 2 more"
    assert words.several([], 2) == ""


def test_tones() -> None:
    """By how a process must exit; what is unknown is bad."""
    assert [words.tone(code) for code in (0, 1, 3, 2)] == ["ok", "warn", "bad", "bad"]
    assert words.tone(3, healthy=True) == "ok"


def test_it_costs_nothing() -> None:
    """Every run loads these words: they bring nothing that was not there."""
    code = "import re, collections.abc, datetime, sys; old = set(sys.modules); import renewer.words; "
    code += "print(sorted(set(sys.modules) - old))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "['renewer', 'renewer.words']"


def test_there_is_one_cleaner() -> None:
    """Nobody else makes harmless what is not printable: the only other use of that question is to refuse."""
    cleaners = [
        module.path
        for module in modules()
        if module.room != "words"
        for node in nodes(module)
        if isinstance(node, ast.comprehension | ast.IfExp)
        and any(isinstance(one, ast.Attribute) and one.attr == "isprintable" for one in ast.walk(node))
    ]
    assert cleaners == ["renewer/config/challenges.py"]  # whether a provider's name may be repeated at all
