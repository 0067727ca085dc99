"""What hostile workers got, in a session's output: each cell is told by its test, wherever it ran."""

import pytest

PROPERTY = "hostile"
"""The property of a test that is a cell: the kind of worker, what was tried, what came of it."""

_cells: dict[tuple[str, str], str] = {}


def note(report: pytest.TestReport) -> None:
    """Take the cells from the report of their test."""
    if report.when != "call":
        return
    for name, value in report.user_properties:
        if name == PROPERTY and isinstance(value, list | tuple):
            kind, tried, came = map(str, value)
            _cells[tried, kind] = came


def show(reporter: pytest.TerminalReporter) -> None:
    """Print the table: a row for each try, a column for each kind of worker."""
    if not _cells:
        return
    reporter.section("what who conquers a worker gets")
    kinds = list(dict.fromkeys(kind for _, kind in sorted(_cells)))
    tries = list(dict.fromkeys(tried for tried, _ in _cells))
    width = max(map(len, tries)) + 2
    reporter.line(" " * width + "".join(f"{kind:30}" for kind in kinds).rstrip())
    for tried in tries:
        cells = "".join(f"{_cells.get((tried, kind), '-'):30}" for kind in kinds)
        reporter.line(f"{tried:{width}}" + cells.rstrip())
