"""A report as text, HTML, CSV and JSON. Pure."""

import csv
import io
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

import msgspec

from renewer.ledger import bodies
from renewer.notify.html import Html, tag
from renewer.notify.words import STATES, WATCHES, clean, moment, span

Document = Mapping[str, Any]

FORMS = ("text", "html", "csv", "json")
_BODY = (
    "font-family: system-ui, sans-serif; font-size: 15px; line-height: 1.45; "
    "max-width: 60em; margin: 1.5em auto; padding: 0 1em"
)
_TABLE = "border-collapse: collapse; width: 100%"
_ANY = "text-align: left; padding: 4px 14px 4px 0; vertical-align: top; overflow-wrap: anywhere"
_HEAD = f"{_ANY}; border-bottom: 1px solid #8888; font-weight: 600"
_CELL = f"{_ANY}; border-bottom: 1px solid #8884"
_POLICY = "default-src 'none'; style-src 'unsafe-inline'"
_FORMULA = tuple("=+-@\t\r")  # what a spreadsheet would reckon with, were it the first of a cell


class Table(NamedTuple):
    """A part of a report: its title, what to say if it is empty, the heads, and the cells of each row."""

    title: str
    nothing: str
    heads: tuple[str, ...]
    rows: Sequence[tuple[str, ...]]


def rendered(document: Document, form: str) -> str:
    """The report in one of FORMS."""
    makers = {"text": text, "html": html, "csv": comma_separated, "json": as_json}
    return makers[form](document)


def headline(document: Document) -> str:
    """The report in one line."""
    renewals, failures = len(document["renewals"]), document["failures"]
    still = sum(1 for one in failures if one["recovered_at"] is None)
    said = f"{_count(renewals, 'renewal')}, {_count(len(failures), 'failure')}"
    said += f", {still} of them not over" if still else ""
    number = document["certificates"]
    ill = number - document["well"]
    return f"{said}; " + (f"{ill} of {number} not well" if ill else "all is well")


def text(document: Document) -> str:
    """For a terminal or a mail: plain, one line a row."""
    lines = [_title(document), headline(document).capitalize() + ".", *figures(document), ""]
    for table in _tables(document):
        lines.append(table.title)
        if not table.rows:
            lines += [f"  {table.nothing}", ""]
            continue
        cells = [table.heads, *table.rows]
        widths = [max(len(row[column]) for row in cells) for column in range(len(table.heads) - 1)]
        for row in cells:
            padded = (cell.ljust(width) for cell, width in zip(row, widths, strict=False))
            lines.append("  " + "  ".join((*padded, row[-1])).rstrip())
        lines.append("")
    return "\n".join(lines)


def html(document: Document) -> str:
    """For a mail program or a browser: it asks for nothing, and no policy of theirs is needed."""
    parts = [tag("h1", _title(document), style="font-size: 22px; margin: 0 0 .3em")]
    parts.append(tag("p", headline(document).capitalize() + ".", style="font-size: 17px; margin: .2em 0"))
    parts += [tag("p", line, style="margin: .2em 0") for line in figures(document)]
    for table in _tables(document):
        parts.append(tag("h2", table.title, style="font-size: 17px; margin: 1.4em 0 .3em"))
        if not table.rows:
            parts.append(tag("p", table.nothing, style="opacity: .75; margin: 0"))
            continue
        heads = tag("thead", tag("tr", *(tag("th", head, style=_HEAD) for head in table.heads)))
        rows = [tag("tr", *(tag("td", cell, style=_CELL) for cell in row)) for row in table.rows]
        parts.append(tag("table", heads, tag("tbody", *rows), style=_TABLE))
    head = Html(
        '<meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'
        '<meta name="color-scheme" content="light dark">'
    )
    page = tag("html", tag("head", head, tag("title", _title(document))), tag("body", *parts, style=_BODY))
    return "<!doctype html>\n" + page.replace("<html>", '<html lang="en">', 1) + "\n"


def comma_separated(document: Document) -> str:
    """For a spreadsheet: a row for each thing that happened, and for each that expires next."""
    out = io.StringIO()
    rows = csv.writer(out, lineterminator="\r\n")
    rows.writerow(("what", "certificate", "at", "seconds", "margin_days", "text"))
    for one in document["renewals"]:
        margin = "" if one["margin_days"] is None else one["margin_days"]
        rows.writerow(_cells("renewed", one, one["took"], margin, one["serial"]))
    for one in document["failures"]:
        rows.writerow(_cells("failed", one, one["took"], "", one["error"]))
    for one in document["rolled_back"]:
        rows.writerow(_cells("rolled-back", one, None, "", one["error"] or f"to {one['to']}"))
    for one in document["nearest"]:
        expires = {"certificate": one["name"], "at": one["not_after"]}
        rows.writerow(_cells("expires", expires, None, "", one["state"]))
    return out.getvalue()


def as_json(document: Document) -> str:
    """For programs; docs/json.md describes it."""
    return msgspec.json.format(bodies.encoded(document), indent=2).decode() + "\n"


# --- parts --------------------------------------------------------------------------------------------------


def _title(document: Document) -> str:
    return (
        f"Certificates on {clean(document['host'])}, "
        f"{moment(document['since'])} to {moment(document['until'])}"
    )


def figures(document: Document) -> list[str]:
    """What the numbers come to."""
    lines = []
    if (margin := document["margin_days"]) is not None:
        median, least = margin["median"], margin["least"]
        lines.append(f"Renewed {median:g} days before the old one ended (median); the latest {least:g}.")
    if (recovery := document["recovery"]) is not None:
        lines.append(
            f"Well again after {span(recovery['median'])} (median); at most {span(recovery['most'])}."
        )
    return lines


def _tables(document: Document) -> tuple[Table, ...]:
    return (_failures(document), _went_back(document), _renewals(document), _nearest(document))


def _failures(document: Document) -> Table:
    rows = [
        (moment(one["at"]), clean(one["certificate"]), _recovered(one), _line(one["error"]))
        for one in document["failures"]
    ]
    return Table("Failures", "None.", ("since", "certificate", "well again", "what failed"), rows)


def _went_back(document: Document) -> Table:
    rows = [
        (moment(one["at"]), clean(one["certificate"]), _line(one["to"]), _line(one["error"]))
        for one in document["rolled_back"]
    ]
    return Table("Went back to an older version", "None.", ("when", "certificate", "to", "why"), rows)


def _renewals(document: Document) -> Table:
    rows = [
        (
            moment(one["at"]),
            clean(one["certificate"]),
            "-" if one["took"] is None else span(one["took"]),
            "-" if one["margin_days"] is None else f"{one['margin_days']:g}",
            _line(one["serial"]),
        )
        for one in document["renewals"]
    ]
    return Table("Renewals", "None.", ("when", "certificate", "took", "days to spare", "serial"), rows)


def _nearest(document: Document) -> Table:
    rows = [
        (moment(one["not_after"]), clean(one["name"]), f"{one['days_left']:g}", _state(one))
        for one in document["nearest"]
    ]
    heads = ("expires", "certificate", "days left", "state")
    return Table("Expire next", "There is no certificate.", heads, rows)


def _recovered(one: Document) -> str:
    if one["recovered_at"] is None:
        return "NOT YET"
    return moment(one["recovered_at"]) if one["took"] is None else f"after {span(one['took'])}"


def _state(one: Document) -> str:
    words = WATCHES if one["watched"] else STATES
    return words.get(one["state"], str(one["state"])) + (", only watched" if one["watched"] else "")


def _line(value: str | None) -> str:
    """On one line, bounded."""
    said = " ".join(clean(value or "").split()) or "-"
    return said if len(said) <= 300 else said[:300] + "…"


def _cells(
    what: str, one: Document, seconds: float | None, margin: object, said: str | None
) -> Sequence[object]:
    at: datetime = one["at"]
    return (
        what,
        _harmless(clean(one["certificate"])),
        f"{at:%Y-%m-%dT%H:%M:%SZ}",
        "" if seconds is None else round(seconds),
        margin,
        _harmless(_line(said)),
    )


def _harmless(cell: str) -> str:
    """Text that no spreadsheet takes for a formula."""
    return f"'{cell}" if cell.startswith(_FORMULA) and cell != "-" else cell


def _count(number: int, what: str) -> str:
    return f"{number or 'no'} {what}{'s' * (number != 1)}"
