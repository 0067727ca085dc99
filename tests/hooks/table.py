"""The table of servers in a session's output: each row is told by its test, on whichever worker it ran."""

import pytest

PROPERTY = "server"
"""The property of a test that fills a row: hook, column; one for each cell that was proven."""

COLUMNS = (
    "first deploy",
    "renewal seen",
    "broken pair refused",
    "hook failing",
    "hook hanging",
    "server down",
    "rollback",
)

LOAD = "load"
"""The property of a test that put a server under load: its row, the words of `LOAD_COLUMNS`."""

LOAD_COLUMNS = ("server", "while", "requests", "a second", "dropped", "TLS failures")

_cells: dict[str, dict[str, bool]] = {}
_loads: list[tuple[str, ...]] = []


def note(report: pytest.TestReport) -> None:
    """Take the cells from the report of a test; one that failed leaves the rest of its row open."""
    if report.when != "call":
        return
    for name, value in report.user_properties:
        if name == PROPERTY and isinstance(value, list | tuple):
            hook, column = value
            _cells.setdefault(str(hook), {})[str(column)] = True
        elif name == LOAD and isinstance(value, list | tuple):
            _loads.append(tuple(map(str, value)))


def show(reporter: pytest.TerminalReporter) -> None:
    """Print the tables."""
    if _cells:
        _show_cells(reporter)
    if _loads:
        reporter.section("servers under load")
        rows = (LOAD_COLUMNS, *sorted(_loads))
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        for row in rows:
            words = (f"{word:{width}}" for word, width in zip(row, widths, strict=True))
            reporter.line("  ".join(words).rstrip())


def _show_cells(reporter: pytest.TerminalReporter) -> None:
    reporter.section("every hook with its real server")
    width = max(map(len, _cells))
    reporter.line(f"{'':{width}}  " + "  ".join(COLUMNS))
    for hook in sorted(_cells):
        row = ("yes" if _cells[hook].get(column) else "NO" for column in COLUMNS)
        reporter.line(
            f"{hook:{width}}  "
            + "  ".join(f"{cell:{len(column)}}" for column, cell in zip(COLUMNS, row, strict=True))
        )
