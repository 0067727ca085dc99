"""A report as text, HTML, CSV and JSON. Pure."""

import csv
import io
import os.path
from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

import msgspec

from renewer import words
from renewer.ledger import contract
from renewer.report.summary import Expiry, Series, Summary

FORMS = ("text", "html", "csv", "json")
_FORMULA = tuple("=+-@\t\r")  # what a spreadsheet would reckon with, were it the first of a cell


class Table(NamedTuple):
    """A part of a report: its title, what to say if it is empty, the heads, and the cells of each row."""

    title: str
    nothing: str
    heads: tuple[str, ...]
    rows: Sequence[tuple[str, ...]]


def rendered(document: Summary, form: str) -> str:
    """The report in one of FORMS."""
    makers = {"text": text, "html": html, "csv": comma_separated, "json": as_json}
    return makers[form](document)


def headline(document: Summary) -> str:
    """The report in one line."""
    renewals, failures = len(document.renewals), document.failures
    still = sum(1 for one in failures if one.recovered_at is None)
    said = f"{_count(renewals, 'renewal')}, {_count(len(failures), 'failure')}"
    said += f", {still} of them not over" if still else ""
    number = document.certificates
    ill = number - document.well
    return f"{said}; " + (f"{ill} of {number} not well" if ill else "all is well")


def text(document: Summary) -> str:
    """For a terminal or a mail: plain, one line a row."""
    lines = [title(document), headline(document).capitalize() + ".", *figures(document), ""]
    for table in tables(document):
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


def html(document: Summary) -> str:
    """For a mail program or a browser: it asks for nothing, and no policy of theirs is needed."""
    from renewer.notify.html import render

    made = render(
        os.path.join(os.path.dirname(os.path.abspath(__file__)), "templates"),
        "report.html.j2",
        title=title(document),
        headline=headline(document).capitalize() + ".",
        figures=figures(document),
        tables=tables(document),
    )
    return f"{made}\n"


def comma_separated(document: Summary) -> str:
    """For a spreadsheet: a row for each thing that happened, and for each that expires next."""
    out = io.StringIO()
    rows = csv.writer(out, lineterminator="\r\n")
    rows.writerow(("what", "certificate", "at", "seconds", "margin_days", "text"))
    for one in document.renewals:
        cells = _cells("renewed", one.certificate, one.at, one.serial)
        rows.writerow(_with(cells, one.took, one.margin_days))
    for series in document.failures:
        rows.writerow(_with(_cells("failed", series.certificate, series.at, series.error), series.took))
    for back in document.rolled_back:
        rows.writerow(_cells("rolled-back", back.certificate, back.at, back.error or f"to {back.to}"))
    for last in document.nearest:
        rows.writerow(_cells("expires", last.name, last.not_after, last.state))
    return out.getvalue()


def as_json(document: Summary) -> str:
    """For programs; docs/json.md describes it."""
    return msgspec.json.format(contract.encoded(document), indent=2).decode() + "\n"


# --- parts --------------------------------------------------------------------------------------------------


def title(document: Summary) -> str:
    """Where, and of which time."""
    return (
        f"Certificates on {words.clean(document.host)}, "
        f"{words.moment(document.since)} to {words.moment(document.until)}"
    )


def figures(document: Summary) -> list[str]:
    """What the numbers come to."""
    lines = []
    if (margin := document.margin_days) is not None:
        median, least = margin.median, margin.least
        lines.append(f"Renewed {median:g} days before the old one ended (median); the latest {least:g}.")
    if (recovery := document.recovery) is not None:
        usual, most = words.span(recovery.median), words.span(recovery.most)
        lines.append(f"Well again after {usual} (median); at most {most}.")
    return lines


def tables(document: Summary) -> tuple[Table, ...]:
    """Its parts, the bad ones first."""
    return (_failures(document), _went_back(document), _renewals(document), _nearest(document))


def _failures(document: Summary) -> Table:
    rows = [
        (words.moment(one.at), words.clean(one.certificate), _recovered(one), _line(one.error))
        for one in document.failures
    ]
    return Table("Failures", "None.", ("since", "certificate", "well again", "what failed"), rows)


def _went_back(document: Summary) -> Table:
    rows = [
        (words.moment(one.at), words.clean(one.certificate), _line(one.to), _line(one.error))
        for one in document.rolled_back
    ]
    return Table("Went back to an older version", "None.", ("when", "certificate", "to", "why"), rows)


def _renewals(document: Summary) -> Table:
    rows = [
        (
            words.moment(one.at),
            words.clean(one.certificate),
            "-" if one.took is None else words.span(one.took),
            "-" if one.margin_days is None else f"{one.margin_days:g}",
            _line(one.serial),
        )
        for one in document.renewals
    ]
    return Table("Renewals", "None.", ("when", "certificate", "took", "days to spare", "serial"), rows)


def _nearest(document: Summary) -> Table:
    rows = [
        (words.moment(one.not_after), words.clean(one.name), f"{one.days_left:g}", _state(one))
        for one in document.nearest
    ]
    heads = ("expires", "certificate", "days left", "state")
    return Table("Expire next", "There is no certificate.", heads, rows)


def _recovered(one: Series) -> str:
    if one.recovered_at is None:
        return "NOT YET"
    return words.moment(one.recovered_at) if one.took is None else f"after {words.span(one.took)}"


def _state(one: Expiry) -> str:
    told = words.WATCHES if one.watched else words.STATES
    return told.get(one.state, str(one.state)) + (", only watched" if one.watched else "")


def _line(value: str | None) -> str:
    """On one line, bounded."""
    return words.line(value or "", 300) or "-"


def _cells(what: str, certificate: str, at: datetime, said: str | None) -> tuple[object, ...]:
    return (what, _harmless(words.clean(certificate)), words.rfc3339(at), "", "", _harmless(_line(said)))


def _with(cells: tuple[object, ...], took: float | None, margin: float | None = None) -> tuple[object, ...]:
    """The same row with its numbers."""
    numbers = ("" if took is None else round(took), "" if margin is None else margin)
    return (*cells[:3], *numbers, cells[5])


def _harmless(cell: str) -> str:
    """Text that no spreadsheet takes for a formula."""
    return f"'{cell}" if cell.startswith(_FORMULA) and cell != "-" else cell


def _count(number: int, what: str) -> str:
    return f"{number or 'no'} {words.plural(number, what)}"
