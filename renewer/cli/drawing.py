"""What is drawn for a person at a terminal, by rich; imported only there."""

import re
from collections.abc import Iterable, Iterator, Sequence

from rich.cells import cell_len
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


# --- tables -------------------------------------------------------------------------------------------------

_GAP = 2  # columns between two of a table
_WORDS = re.compile(r"(?<!\d\d\d\d-\d\d-\d\d) ")  # a date and its time are one


def table(
    header: Sequence[str],
    rows: Sequence[Sequence[str]],
    styles: Sequence[str],
    to: Console,
    *,
    styled: int = 1,
) -> None:
    """A table in which no word is broken; where it finds no room, a paragraph for each row.

    Hosts, ids and dates are words. `styles` are those of the rows' cells in the column `styled`.
    """
    cleaned = [[words.clean(" ".join(cell.split())) for cell in row] for row in rows]
    widths = _widths([header, *cleaned], to.width)
    if widths is None:
        lines = _paragraphs(header, cleaned, styles, to, styled)
    else:
        lines = _rows(
            [("bold", header), *((_style(styles, n), row) for n, row in enumerate(cleaned))], widths, styled
        )
    for line in lines:
        to.print(line, no_wrap=True, overflow="fold", crop=False)


def _style(styles: Sequence[str], number: int) -> str:
    return styles[number] if number < len(styles) else ""


def _widths(rows: Sequence[Sequence[str]], room: int) -> list[int] | None:
    """How wide each column is; None if not every word fits."""
    columns = list(zip(*rows, strict=True))
    natural = [max(map(cell_len, column)) for column in columns]
    least = [max(cell_len(word) for cell in column for word in _WORDS.split(cell)) for column in columns]
    spare = room - _GAP * (len(columns) - 1) - sum(least)
    if spare < 0:
        return None
    for column in sorted(range(len(columns)), key=lambda one: natural[one] - least[one]):
        more = min(natural[column] - least[column], spare)
        least[column] += more
        spare -= more
    return least


def _rows(rows: Iterable[tuple[str, Sequence[str]]], widths: Sequence[int], styled: int) -> Iterator[Text]:
    for number, (style, row) in enumerate(rows):
        cells = [_filled(cell, width) for cell, width in zip(row, widths, strict=True)]
        for line in range(max(map(len, cells))):
            text = Text()
            for column, (cell, width) in enumerate(zip(cells, widths, strict=True)):
                part = cell[line] if line < len(cell) else ""
                text.append(part, style=style if number == 0 or column == styled else "")
                text.append(" " * (width - cell_len(part) + _GAP))
            text.rstrip()
            yield text


def _filled(cell: str, width: int) -> list[str]:
    lines = [""]
    for word in _WORDS.split(cell):
        longer = f"{lines[-1]} {word}" if lines[-1] else word
        if cell_len(longer) <= width or not lines[-1]:
            lines[-1] = longer
        else:
            lines.append(word)
    return lines


def _paragraphs(
    header: Sequence[str], rows: Iterable[Sequence[str]], styles: Sequence[str], to: Console, styled: int
) -> Iterator[Text]:
    widest = max(map(cell_len, header[1:]), default=0)
    for number, row in enumerate(rows):
        yield from hanging(Text(), Text(row[0], style="bold"), to.width, to)
        for column, cell in enumerate(row[1:], 1):
            if cell not in ("", "-"):
                lead = Text(f"  {header[column]:{widest}}  ", style="dim")
                yield from hanging(
                    lead, Text(cell, style=_style(styles, number) if column == styled else ""), to.width, to
                )


# --- sentences ----------------------------------------------------------------------------------------------


def told(headline: Text, lines: Sequence[Text], to: Console) -> None:
    """The headline and what follows; once more at the end where the beginning has gone off the screen."""
    for line in (headline, *lines, *([headline] if len(lines) + 1 >= to.height else ())):
        to.print(line, no_wrap=True, overflow="fold", crop=False)
