"""What is drawn for a person at a terminal, by rich; imported only there."""

from collections.abc import Iterable, Sequence

from rich.console import Console
from rich.text import Text

from renewer.cli.screen import clean
from renewer.cli.tale import Line

_NARROW = 60  # columns: below it, indentation costs more than it tells


def console() -> Console:
    """The terminal; whether it has colours, how wide it is and what it can write, rich finds out."""
    return Console(highlight=False, soft_wrap=False)


def story(told: Iterable[Line], to: Console) -> None:
    """Print the story of a renewal: moment, time it took, what happened; long sentences hang."""
    wide = to.width >= _NARROW
    for line in told:
        if not line.at and not line.text.startswith("| "):
            to.print(Text(clean(line.text), style=line.style), overflow="fold")
            continue
        lead = f"  {line.at:8}  {line.gap:>7}  " if wide else f"{line.at:8} "
        for part in hanging(clean(line.text), lead, line.style, to):
            to.print(part, overflow="crop", no_wrap=True)


def hanging(text: str, lead: str, style: str, to: Console) -> Sequence[Text]:
    """A sentence behind its lead, broken so that it stays behind it."""
    room = max(to.width - len(lead), 10)
    parts = Text(text, style=style).wrap(to, room)
    return [
        Text.assemble((lead if number == 0 else " " * len(lead), "dim"), part)
        for number, part in enumerate(parts)
    ]
