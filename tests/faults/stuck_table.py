"""The stuck matrix in a session's output: what became of an order whose call is answered badly."""

import pytest

PROPERTY = "stuck"
"""The property of a test that holds a row: call, and for each fault what happened, "ever" and "first"."""

CALLS = (
    "order",
    "authorization",
    "challenge",
    "finalize",
    "order poll",
    "certificate",
    "alternate",
    "renewalInfo",
)
FAULTS = ("foreign 400", "404", "404 HTML", "500", "thin", "hang", "HTML 200")
ESSENTIAL = {"authorization", "challenge", "finalize", "order poll", "certificate"}
"""Without a proper answer to these, no order can ever be finished."""

_rows: dict[str, dict[str, str]] = {}


def note(report: pytest.TestReport) -> None:
    """Take a row from the report of its test; reports come from every worker, properties with them."""
    if report.when != "call":
        return
    for name, value in report.user_properties:
        if name == PROPERTY and isinstance(value, list | tuple):
            call, cells = value
            _rows[str(call)] = cells if report.passed else dict.fromkeys(FAULTS, "FAILED")


def show(reporter: pytest.TerminalReporter) -> None:
    """Print the matrix."""
    if not _rows:
        return
    reporter.section("every call of an order, answered badly for ever and for the first order only")
    reporter.line("For each the orders made, and the days until a certificate was there, unattended.")
    reporter.line("*: it cannot be there while that lasts; the days are those from its mending on.")
    reporter.line(f"{'':14}" + "".join(f"{fault:>20}" for fault in FAULTS))
    for call in CALLS:
        cells = _rows.get(call, {})
        reporter.line(f"{call:14}" + "".join(f"{cells.get(fault, ''):>20}" for fault in FAULTS))
