"""Everything that talks to strangers."""

from collections.abc import Callable
from typing import Any

opener: Callable[[str, str, bool], Any] | None = None
"""How a worker is opened (a `door.WorkerWay`): for which duty, with whom, whether for all who ask.

Where nobody said it (in tests), workers live in the process that asks.
"""
user: str | None = None
"""Whom workers become, as `[agent] network_user` says, if this process may choose."""
expected: Callable[[tuple[str, ...]], None] | None = None
"""How what it takes to open some is begun beforehand."""


def expect(*duties: str) -> None:
    """Say what will be asked soon: what a worker needs is imported meanwhile. It may come to nothing."""
    if expected is not None:
        expected(duties)
