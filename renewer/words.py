"""Words for people: spans, moments, numbers, tones, and strangers' text made harmless. Pure.

Screens, pages, mail and sentences of decisions say these things by the functions here, so that they say them
alike. `clean` is the one cleaner of text that comes from elsewhere: authorities, DNS, servers, programs,
files' names. Colours of our own are added after it, never before.
"""

import re
from collections.abc import Iterable
from datetime import datetime, timedelta

# --- strangers' text ----------------------------------------------------------------------------------------

HIDDEN = "�"
"""Stands for a character that would not be seen, or would do something, in a text of a stranger."""
SENTENCE = 600  # characters of a sentence that came from elsewhere
OUTPUT = 2000  # characters of what a program said

# What may stand though `str.isprintable` has it not: the end of a line, tabs, and the spaces of Unicode (Zs)
_SPACES = frozenset("\n\t\xa0\u1680\u202f\u205f\u3000" + "".join(map(chr, range(0x2000, 0x200B))))
# What a program writes for a terminal (ECMA-48): CSI, OSC, and escapes of two characters
_SEQUENCES = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[@-Z\\^_])")


def clean(text: str, mark: str = HIDDEN) -> str:
    """Text that shows all it holds and does nothing: `mark` stands for each character that would not.

    Those are controls (C0 and C1, but for the end of a line and the tab), marks that turn the direction of
    writing, what has no width, the separators U+2028 and U+2029, and what Unicode has not assigned.
    """
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() or char in _SPACES else mark for char in whole(text))


def whole(text: str) -> str:
    """Text that can be written: half a character (a lone surrogate) becomes a question mark."""
    return text.encode("utf-8", "replace").decode("utf-8")


def line(text: str, most: int | None = None, mark: str = HIDDEN) -> str:
    """A stranger's text on one line, cleaned, and cut after so many characters."""
    said = clean(" ".join(text.split()), mark)
    return said if most is None or len(said) <= most else said[:most] + "…"


def text_of(value: object, most: int = OUTPUT) -> str:
    """A text out of a stranger's document, as `line` has it; "" for what is no text."""
    return line(value[: most + 1], most) if isinstance(value, str) else ""


def output(octets: bytes) -> str:
    """What a program said: its lines, without what it said to a terminal."""
    text = octets.decode("utf-8", "replace").replace("\r\n", "\n").replace("\r", "\n")
    return clean(_SEQUENCES.sub("", text), "")


def sentence(text: str, most: int = SENTENCE) -> str:
    """A stranger's sentence, perhaps a program's: one line, cleaned and bounded."""
    return line(output(text.encode("utf-8", "replace")), most)


def ending(text: str, most: int = OUTPUT) -> str:
    """The end of what a program said, where servers say what is wrong; cleaned."""
    said = output(text.encode("utf-8", "replace")).strip("\n")
    return said if len(said) <= most else "…" + said[-most:]


# --- time ---------------------------------------------------------------------------------------------------

_DAY = 86400
_LONG = ((_DAY, 2 * _DAY, "day"), (3600, 3600, "hour"), (60, 60, "minute"), (1, 0, "second"))
_BRIEF = ((_DAY, 2 * _DAY, "d"), (3600, 2 * 3600, "h"), (60, 2 * 60, "m"), (1, 0, "s"))


def span(seconds: float) -> str:
    """A length of time in the unit that tells most: "18 days", "47 hours", "1 minute"."""
    size = int(abs(seconds))
    unit, noun = next((unit, noun) for unit, least, noun in _LONG if size >= least)
    return count(size // unit, noun)


def brief(length: timedelta) -> str:
    """The same for narrow columns: 79d, 30h, 12m; one that is over is negative."""
    seconds = int(length.total_seconds())
    sign, size = ("-", -seconds) if seconds < 0 else ("", seconds)
    unit, letter = next((unit, letter) for unit, least, letter in _BRIEF if size >= least)
    return f"{sign}{size // unit}{letter}"


def exact(seconds: float) -> str:
    """The same in its two largest units: "12d 4h", "3m 20s", "850ms"."""
    if abs(seconds) < 1:
        return f"{round(seconds * 1000)}ms"
    sign, rest = ("-", -seconds) if seconds < 0 else ("", seconds)
    parts = []
    for unit, size in (("d", _DAY), ("h", 3600), ("m", 60), ("s", 1)):
        amount, rest = divmod(int(rest), size)
        if amount:
            parts.append(f"{amount}{unit}")
    return sign + " ".join(parts[:2])


def moment(when: datetime) -> str:
    """A moment for people, in UTC, to the minute: "7 Nov 2026, 09:30 UTC"."""
    return f"{when.day} {when:%b %Y, %H:%M} UTC"


def stamp(when: datetime | None) -> str:
    """A moment as screens and the log have it, in UTC, to the second: "2026-11-07 09:30:00Z"."""
    return "-" if when is None else f"{when:%Y-%m-%d %H:%M:%SZ}"


def rfc3339(when: datetime) -> str:
    """A moment for programs, in UTC, to the second (RFC 3339)."""
    return f"{when:%Y-%m-%dT%H:%M:%SZ}"


def relative(when: datetime, now: datetime) -> str:
    """A moment as seen from another: "in 18 days", "5 hours ago"."""
    seconds = (when - now).total_seconds()
    return f"in {span(seconds)}" if seconds >= 0 else f"{span(seconds)} ago"


# --- numbers and names --------------------------------------------------------------------------------------


def plural(number: int, noun: str) -> str:
    """The noun as it stands after that number."""
    return noun if number == 1 else f"{noun}s"


def count(number: int, noun: str) -> str:
    """So many of them: "1 run", "3 runs"."""
    return f"{number} {plural(number, noun)}"


def several(names: Iterable[object], most: int = 3) -> str:
    """A few of them, and how many more: "a, b, c and 2 more"."""
    every = [str(name) for name in names]
    more = f" and {len(every) - most} more" if len(every) > most else ""
    return ", ".join(every[:most]) + more


# --- how it stands ------------------------------------------------------------------------------------------

_TONES = {0: "ok", 1: "warn", 3: "bad"}
STATES = {
    "absent": "no certificate yet",
    "expired": "expired",
    "expiring": "expiring",
    "failed": "failing",
    "issued": "issued, not live yet",
    "installed": "installed",
    "deployed": "deployed",
    "verified": "well, and served",
}
ENDPOINTS = {
    "verified": "serves it",
    "stale": "serves an older one of ours",
    "foreign": "serves another certificate",
    "untrusted": "serves it, but is not trusted",
    "unreachable": "cannot be reached",
    "unknown": "not looked at yet",
}
WATCHES = {
    "unknown": "not looked at yet",
    "expired": "expired",
    "expiring": "expiring",
    "untrusted": "not as it should be",
    "unreachable": "cannot be seen",
    "ok": "well",
}


def tone(code: int, *, healthy: bool = False) -> str:
    """Well, tried again, or waiting for a person ("ok", "warn", "bad"): of what must exit with that code."""
    return "ok" if healthy else _TONES.get(code, "bad")


def state(word: str, *, healthy: bool) -> str:
    """A certificate's state; installed or deployed is all there is to reach for some."""
    if healthy and word in ("installed", "deployed"):
        return f"well, {word}"
    if word == "verified" and not healthy:
        return "served, and not well"
    return STATES.get(word, word)
