"""What is compared: the documents that e11d8eb printed and wrote of the old state, one after another."""

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

from tests.state_of_old.place import HERE, OldPlace

MOMENT = datetime(2026, 11, 27, 23, 50, tzinfo=UTC)
"""Minutes after the last that the old state tells of."""

LATER = MOMENT + timedelta(hours=1)

GOLDEN = HERE / "golden"

COMMANDS: tuple[tuple[str, datetime, tuple[str, ...]], ...] = (
    # the file with what it printed, when, and what is typed; in this order
    ("plan.json", MOMENT, ("plan", "--json")),
    ("status.json", MOMENT, ("status", "--json")),
    ("run.json", MOMENT, ("run", "--json")),
    ("plan-after.json", LATER, ("plan", "--json")),
    ("status-after.json", LATER, ("status", "--json")),
    ("run-after.json", LATER, ("run", "--json")),
)
WRITTEN = {"metrics.prom": "renewer.prom", "page.html": "page.html"}
"""Golden files and what the run has written."""

_TOOK = re.compile(r'("took_ms": )\d+')
_VERSION = re.compile(r'(renewer_build_info\{version="|Written by renewer )[\w.]+\w')


def told(place: OldPlace) -> dict[str, str]:
    """All documents, by the names of their golden files; durations are told as 0, the version by its name."""
    said: dict[str, str] = {}
    for name, at, arguments in COMMANDS:
        ended = place.cli(at, *arguments)
        assert not ended.err, f"{arguments}: {ended.err}"
        said[name] = _TOOK.sub(r"\g<1>0", ended.out)
    for name, file in WRITTEN.items():
        text = place.without_root((place.root / file).read_text("utf-8"))
        said[name] = _VERSION.sub(r"\g<1>@VERSION@", text)
    return said


def keep(place: OldPlace) -> None:
    """Make the golden files."""
    GOLDEN.mkdir(exist_ok=True)
    for name, text in told(place).items():
        Path(GOLDEN / name).write_text(text, "utf-8")
