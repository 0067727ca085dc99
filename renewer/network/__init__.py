"""Everything that talks to strangers."""

from collections.abc import Callable
from typing import Any

opener: Callable[[str, str, bool], Any] | None = None
"""How the command opens a worker (a `door.WorkerWay`): for which duty, with whom, whether for all who ask.

Where nobody said it, as in tests of single parts, workers live in the process that asks.
"""
