"""The one clock: every time in the package is aware UTC and comes from here.

Tests replace these functions; nothing else in the package may ask the system for the time.
"""

import time
from datetime import UTC, datetime

BUILT = datetime(2026, 11, 22, tzinfo=UTC)
"""When this version was made: no right clock shows less."""


def now() -> datetime:
    """The present moment, aware, in UTC."""
    return datetime.now(UTC)  # noqa: TID251  this is the door


def monotonic() -> float:
    """Seconds on a clock that never jumps; only differences mean anything."""
    return time.monotonic()


def sleep(seconds: float) -> None:
    """Do nothing for so many seconds (none when negative)."""
    if seconds > 0:
        time.sleep(seconds)  # noqa: TID251  this is the door
