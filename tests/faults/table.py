"""The table of faults in a session's output: each cell is told by its test, on whichever worker it ran."""

import pytest

PROPERTY = "fault"
"""The property of a test that is a cell: call, fault, exit code, seconds, what was said."""

CALLS = (
    "directory",
    "nonce",
    "account",
    "order",
    "authorization",
    "challenge",
    "finalise",
    "order poll",
    "certificate",
    "ARI",
)
FAULTS = ("refused", "reset", "stall", "truncated", "HTML", "500", "503", "429", "badNonce", "lost")

_cells: dict[tuple[str, str], tuple[str, str]] = {}


def note(report: pytest.TestReport) -> None:
    """Take a cell from the report of its test; reports come from every worker, properties with them."""
    if report.when != "call":
        return
    for name, value in report.user_properties:
        if name == PROPERTY and isinstance(value, list | tuple):
            call, fault, code, seconds, said = value
            shown = f"{code}  {seconds:.1f} s" if report.passed else "FAILED"
            _cells[str(call), str(fault)] = (shown, str(said))


def show(reporter: pytest.TerminalReporter) -> None:
    """Print the table; with -v also what each run said."""
    if not _cells:
        return
    reporter.section("every ACME call against every fault")
    reporter.line(
        "Exit code and seconds of a run with the fault in its way; after it, one run finished each."
    )
    reporter.line(f"{'':14}" + "".join(f"{fault:>10}" for fault in FAULTS))
    for call in CALLS:
        row = (_cells.get((call, fault), ("", ""))[0] for fault in FAULTS)
        reporter.line(f"{call:14}" + "".join(f"{cell:>10}" for cell in row))
    if reporter.config.get_verbosity() > 0:
        for (call, fault), (_, said) in sorted(_cells.items(), key=lambda cell: _place(*cell[0])):
            reporter.line(f"{call}, {fault}: {said or 'healed within the run'}")


def _place(call: str, fault: str) -> tuple[int, int]:
    return CALLS.index(call), FAULTS.index(fault)
