"""The table of attacks in a session's output: each cell is told by its test, on whichever worker it ran."""

import pytest

PROPERTY = "attack"
"""The property of a test that is a cell: what was written, what was swapped, how often, what was won."""

_cells: dict[tuple[str, str], tuple[int, str]] = {}


def note(report: pytest.TestReport) -> None:
    """Take a cell from the report of its test; reports come from every worker, properties with them."""
    if report.when != "call":
        return
    for name, value in report.user_properties:
        if name == PROPERTY and isinstance(value, list | tuple):
            written, swapped, times, won = value
            _cells[str(swapped), str(written)] = (int(str(times)), str(won))


def show(reporter: pytest.TerminalReporter) -> None:
    """Print the table: a row for each thing that was swapped, a column for each that was written."""
    if not _cells:
        return
    reporter.section("attacks by the owner of the directory, while root's agent writes there")
    columns = list(dict.fromkeys(written for _, written in sorted(_cells)))
    rows = list(dict.fromkeys(swapped for swapped, _ in sorted(_cells)))
    width = max(map(len, rows)) + 2
    shown = {cell: f"{won or 'nothing won'} ({times})" for cell, (times, won) in _cells.items()}
    widest = max(len(text) for text in (*shown.values(), *columns)) + 2
    reporter.line("What was swapped in a tight loop (how often), and what was won by it:")
    reporter.line(" " * width + "".join(f"{column:{widest}}" for column in columns).rstrip())
    for row in rows:
        cells = "".join(f"{shown.get((row, column), '-'):{widest}}" for column in columns)
        reporter.line(f"{row:{width}}" + cells.rstrip())
