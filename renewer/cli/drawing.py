"""What is drawn for a person at a terminal, by rich; imported only there."""

from collections.abc import Iterable, Iterator

from rich.console import Console
from rich.text import Text

from renewer import words
from renewer.cli.log_story import Line

_NARROW = 60  # columns: below it, indentation costs more than it tells


def console() -> Console:
    """The terminal; whether it has colours, how wide it is and what it can write, rich finds out."""
    return Console(highlight=False, soft_wrap=False)


def story(told: Iterable[Line], to: Console) -> None:
    """Print the story of a renewal: moment, time it took, what happened; long sentences hang."""
    wide = to.width >= _NARROW
    for line in told:
        if not line.at and not line.text.startswith("| "):
            to.print(Text(words.clean(line.text), style=line.style), overflow="fold")
            continue
        lead = f"  {line.at:8}  {line.gap:>7}  " if wide else f"{line.at:8} "
        body = Text(words.clean(line.text), style=line.style)
        for part in hanging(Text(lead, style="dim"), body, to.width, to):
            to.print(part, overflow="crop", no_wrap=True)


def hanging(lead: Text, text: Text, width: int, to: Console) -> Iterator[Text]:
    """A sentence behind its lead, on as many lines as it needs; the others begin where the first one did."""
    room = max(width - lead.cell_len, 8)
    for number, part in enumerate(text.wrap(to, room) or [Text()]):
        yield Text.assemble(lead if number == 0 else " " * lead.cell_len, part)
