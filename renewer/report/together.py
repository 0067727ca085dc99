"""What several have in common is said once: "36 certificates: …, e.g. www". Pure."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Generic, TypeVar

from renewer import words

T = TypeVar("T")
FEW = 3  # names that are all said
_OWN = "\0"  # stands for the name of whom a sentence is about


class Together(Generic[T]):
    """Those who share a cause, by name, each with what it came from; `text` is the first one's sentence."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.names: list[str] = []
        self.items: list[T] = []

    @property
    def few(self) -> bool:
        """Whether all of them can be named."""
        return len(self.names) <= FEW

    def line(self, noun: str = "certificate") -> str:
        """Who, and the sentence; of many how many there are, and one of them."""
        return line(self.names, self.text, noun)


def line(names: Sequence[str], text: str, noun: str = "certificate") -> str:
    """A sentence about one, some or many."""
    if len(names) <= FEW:
        return f"{', '.join(names)}: {text}" if names else text
    return f"{words.count(len(names), noun)}: {text}, e.g. {names[0]}"


def by_cause(found: Iterable[tuple[str, str, T]], *, but: Iterable[str] = ()) -> list[Together[T]]:
    """Who is told the same, in the order of the first of each: of (name, sentence, what it came from).

    Sentences that differ only by the name of whom they are about, or in moments, are the same; `but` are
    other words that do not count.
    """
    groups: dict[str, Together[T]] = {}
    for name, text, item in found:
        group = groups.setdefault(alike(text, (name, *but)), Together(text))
        group.names.append(name)
        group.items.append(item)
    return list(groups.values())


_MOMENT = re.compile(r"\d{4}-\d\d-\d\d[ T]\d\d:\d\d(?::\d\d)?Z?")


def alike(text: str, names: Iterable[str]) -> str:
    """A sentence without what is its subject's own."""
    for name in sorted(filter(None, names), key=len, reverse=True):
        text = re.sub(rf"(?<![\w.-]){re.escape(name)}(?![\w-])", _OWN, text)
    return _MOMENT.sub(_OWN, text)


def ways_out(names: Sequence[str], ways: Mapping[str, str]) -> Iterator[str]:
    """What ends the waits of those with the same trouble: one line where it is the same command."""
    found = [name for name in names if name in ways]
    same = [name for name in found if ways[name].endswith(f"renewer run {name}")]
    if len(same) > 1:
        yield ways[same[0]].removesuffix(same[0]) + " ".join(same[:FEW]) + (" …" if len(same) > FEW else "")
    yield from dict.fromkeys(ways[name] for name in found if len(same) < 2 or name not in same)
