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

NEIGHBOURS = ("second instance", "config broken", "sessions kept", "without root")
"""More columns, for the hooks that have them; a third word of the property stands in place of "yes"."""

LOAD = "load"
"""The property of a test that put a server under load: its row, the words of `LOAD_COLUMNS`."""

LOAD_COLUMNS = ("server", "while", "requests", "a second", "dropped", "TLS failures", "sessions kept")

_cells: dict[str, dict[str, str]] = {}
_loads: list[tuple[str, ...]] = []


def note(report: pytest.TestReport) -> None:
    """Take the cells from the report of a test; one that failed leaves the rest of its row open."""
    if report.when != "call":
        return
    for name, value in report.user_properties:
        if name == PROPERTY and isinstance(value, list | tuple):
            hook, column, *word = map(str, value)
            _cells.setdefault(hook, {})[column] = word[0] if word else "yes"
        elif name == LOAD and isinstance(value, list | tuple):
            _loads.append(tuple(map(str, value)))


def show(reporter: pytest.TerminalReporter) -> None:
    """Print the tables."""
    if _cells:
        _show_cells(reporter, "every hook with its real server", COLUMNS)
        _show_cells(reporter, "hooks among their neighbours", NEIGHBOURS)
    if _loads:
        reporter.section("servers under load")
        rows = (LOAD_COLUMNS, *sorted(_loads))
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        for row in rows:
            words = (f"{word:{width}}" for word, width in zip(row, widths, strict=True))
            reporter.line("  ".join(words).rstrip())


def _show_cells(reporter: pytest.TerminalReporter, title: str, columns: tuple[str, ...]) -> None:
    shown = {hook: cells for hook, cells in _cells.items() if any(column in cells for column in columns)}
    if not shown:
        return
    reporter.section(title)
    rows = [
        ("", *columns),
        *((hook, *(shown[hook].get(column, "NO") for column in columns)) for hook in sorted(shown)),
    ]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        words = (f"{word:{width}}" for word, width in zip(row, widths, strict=True))
        reporter.line("  ".join(words).rstrip())
