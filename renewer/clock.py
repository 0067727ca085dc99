"""The one clock: every time in the package is aware UTC and comes from here.

Tests replace these functions; nothing else in the package may ask the system for the time.
"""

import time
from datetime import UTC, datetime, timedelta

BUILT = datetime(2026, 11, 22, tzinfo=UTC)
"""When this version was made: no right clock shows less."""


_TIMEX = 512  # octets; struct timex has about 200
_TIME_ERROR = 5


def now() -> datetime:
    """The present moment, aware, in UTC."""
    return datetime.now(UTC)  # noqa: TID251  this is the door


def ahead(other: datetime) -> timedelta:
    """How far a clock that shows `other` at this moment is ahead of ours; negative if it is behind."""
    return other - now()


def synchronised() -> bool | None:
    """Whether the kernel says that this host's clock is kept right (adjtimex(2)); None if it does not say.

    In a container it is the clock of the machine below. A sandbox may refuse the question.
    """
    import ctypes

    call = getattr(ctypes.CDLL(None), "adjtimex", None)
    if call is None:
        return None
    state = call(ctypes.create_string_buffer(_TIMEX))  # all zero: nothing is to be set
    return None if state < 0 else state != _TIME_ERROR


def monotonic() -> float:
    """Seconds on a clock that never jumps; only differences mean anything."""
    return time.monotonic()


def sleep(seconds: float) -> None:
    """Do nothing for so many seconds (none when negative)."""
    if seconds > 0:
        time.sleep(seconds)  # noqa: TID251  this is the door
