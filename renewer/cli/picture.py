"""`renewer status` on a terminal: as much as its width and height allow, and never a broken line."""

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from rich.console import Console, ConsoleOptions, RenderResult
from rich.text import Text

from renewer import words
from renewer.cli import overview
from renewer.cli.drawing import hanging
from renewer.cli.overview import Life, Note, Row
from renewer.model.status import Status

_STYLES = {"ok": "green", "warn": "yellow", "bad": "bold red", "none": "dim"}
_RANK = {"bad": 0, "warn": 1, "none": 2, "ok": 2}


class Signs(NamedTuple):
    """What the terminal can write: marks by tone, the parts of the bar."""

    marks: Mapping[str, str]
    arrow: str
    over: str
    rest: str
    due: str


_UNICODE = Signs({"ok": "✓", "warn": "!", "bad": "✗", "none": "·"}, "→", "━", "─", "╂")
_ASCII = Signs({"ok": "+", "warn": "!", "bad": "x", "none": "-"}, "->", "=", "-", "|")
_GAP = 2  # columns between two of the table
_AROUND = 6  # lines beside the table: verdict, header, prompt
_FEWEST, _MOST_ILL = 5, 50  # rows that are shown however low the screen is; of those not well, at most

# The columns, from the richest table to the poorest; the first that fits is drawn.
_LAYOUTS = (
    ("name", "state", "life24", "left", "expires", "next", "served"),
    ("name", "state", "life16", "left", "next", "served"),
    ("name", "state", "life10", "left", "next", "served"),
    ("name", "state", "life10", "left", "next", "seen"),
    ("name", "state", "life8", "left", "next"),
    ("name", "state", "life10", "left"),
    ("name", "state", "left"),
    ("name", "left"),
)
_LEAST = {"name": 16, "served": 26}  # what may be cut short, and to how much
_LONGEST_BAR = 40


class Picture(NamedTuple):
    """The document as it is drawn; `note` stands behind the verdict, `all_of_them` leaves no row out."""

    document: Status
    alarm: Note | None
    all_of_them: bool = False
    note: str = ""
    whole: bool = True  # whether it may be longer than the screen is high

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Drawn anew for each width."""
        lines = list(_lines(self, console, options.max_width))
        room = console.size.height - 1
        if not self.whole and len(lines) > room:
            lines = [*lines[: room - 1], Text("… there is more: renewer status", style="dim")]
        elif len(lines) > room:  # its beginning has gone off the screen
            lines += _headline(self, console, options.max_width)
        for line in lines:
            line.no_wrap, line.overflow = True, "ellipsis"
            yield line


def _lines(picture: Picture, console: Console, width: int) -> Iterator[Text]:
    document = picture.document
    signs = _UNICODE if console.encoding.lower().startswith("utf") else _ASCII
    if picture.alarm is not None:
        yield from _note(picture.alarm, width, signs, console, loud=True)
    yield from _headline(picture, console, width)
    if picture.note:
        yield Text(f"  {words.clean(picture.note)}", style="dim")
    rows, left_out = _chosen(picture, console.size.height)
    if rows:
        yield Text()
        yield from _table(rows, width, signs)
    for text in left_out:
        yield Text(f"  {text}", style="dim")
    told = sorted(
        overview.notes(document, frozenset(row.name for row in rows)), key=lambda note: _RANK[note.tone]
    )
    if told:
        yield Text()
    for note in told:
        yield from _note(note, width, signs, console)


def _headline(picture: Picture, console: Console, width: int) -> Iterator[Text]:
    signs = _UNICODE if console.encoding.lower().startswith("utf") else _ASCII
    kind = words.tone(picture.document.exit)
    lead = Text(f"{signs.marks[kind]} ", style=f"bold {_STYLES[kind]}")
    verdict = Text(words.clean(overview.verdict(picture.document)), style=f"bold {_STYLES[kind]}")
    yield from hanging(lead, verdict, width, console)


def _chosen(picture: Picture, height: int) -> tuple[list[Row], list[str]]:
    """The rows to show, first what is not well, then what ends next; and what to say of the others."""
    rows = [*overview.rows(picture.document), *overview.watched(picture.document)]
    rows.sort(key=lambda row: _RANK[row.tone])
    room = max(height - _AROUND, _FEWEST)
    if picture.all_of_them or len(rows) <= room:
        return rows, []
    ill = [row for row in rows if row.tone in ("bad", "warn")]
    well = [row for row in rows if row.tone not in ("bad", "warn")]
    few = max(room - len(ill), _FEWEST)
    hidden = (len(ill) - _MOST_ILL, "not well"), (len(well) - few, "well, ending later")
    texts = [f"… and {number:,} more, {how}" for number, how in hidden if number > 0]
    if texts:
        texts[-1] += ": renewer status --all"
    return [*ill[:_MOST_ILL], *well[:few]], texts


# --- the table ---------------------------------------------------------------------------------------------


def _table(rows: Sequence[Row], width: int, signs: Signs) -> Iterator[Text]:
    widths = _widths(rows, width)
    yield Text.assemble("  ", _line({key: Text(_title(key), style="bold dim") for key in widths}, widths))
    for row in rows:
        style = _STYLES[row.tone]
        ill = style if row.tone in ("bad", "warn") else ""
        cells = {
            "name": Text(words.clean(row.name), style="bold" if row.tone == "bad" else ""),
            "state": Text(row.state, style=style),
            "life": _bar(row.life, style, widths.get("life", 0), signs),
            "left": Text(row.left.rjust(widths["left"]), style=ill),
            "expires": Text(row.expires),
            "next": Text(row.next),
            "served": Text(words.clean(row.served), style="" if row.seen_well else ill),
            "seen": Text(row.seen, style="" if row.seen_well else ill),
        }
        yield Text.assemble((f"{signs.marks[row.tone]} ", style), _line(cells, widths))


def _title(key: str) -> str:
    return "certificate" if key == "name" else key


def _line(cells: dict[str, Text], widths: dict[str, int]) -> Text:
    line = Text()
    for number, (key, room) in enumerate(widths.items()):
        cell = cells[key].copy()
        cell.truncate(room, overflow="ellipsis", pad=True)
        line.append(" " * _GAP if number else "")
        line.append_text(cell)
    line.rstrip()
    return line


def _widths(rows: Sequence[Row], width: int) -> dict[str, int]:
    """How wide each column of the richest layout is that fits."""
    natural = {
        key: max(len(_title(key)), *(len(words.clean(getattr(row, key))) for row in rows))
        for key in ("name", "state", "left", "expires", "next", "served", "seen")
    }
    for layout in _LAYOUTS:
        wanted = {
            key.rstrip("0123456789"): natural.get(key) or int(key.removeprefix("life")) for key in layout
        }
        least = {key: min(size, _LEAST.get(key, size)) for key, size in wanted.items()}
        room = width - 2 - _GAP * (len(layout) - 1)
        if sum(least.values()) <= room:
            break
    else:
        least["name"] = max(room - least["left"], 1)
        return least
    for key in ("name", "served", "life"):  # who gets what is left over
        if key in least:
            most = _LONGEST_BAR if key == "life" else wanted[key]
            least[key] += min(most - least[key], room - sum(least.values()))
    return least


def _bar(life: Life | None, style: str, width: int, signs: Signs) -> Text:
    """How much of its life is over, and where the renewal is planned."""
    bar = Text()
    if life is None or not width:
        return bar
    over = min(int(life.over * width + 0.5), width)
    due = min(int(life.due * width), width - 1) if life.due is not None else -1
    for place in range(width):
        sign = signs.due if place == due else signs.over if place < over else signs.rest
        bar.append(sign, style=style if place < over else "bold" if place == due else "dim")
    return bar


# --- what to know besides ----------------------------------------------------------------------------------


def _note(note: Note, width: int, signs: Signs, console: Console, *, loud: bool = False) -> Iterator[Text]:
    style = _STYLES[note.tone]
    text = Text.assemble(
        (words.clean(note.head), style), (words.clean(note.body), f"bold {style}" if loud else "")
    )
    yield from hanging(Text(f"{signs.marks[note.tone]} ", style=style), text, width, console)
    for hint in note.hints:
        body = Text(words.clean(hint), style="" if loud else "dim")
        yield from hanging(Text(f"  {signs.arrow} ", style="dim"), body, width, console)
