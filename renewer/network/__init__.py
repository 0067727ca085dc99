"""Everything that talks to strangers."""

from collections.abc import Callable
from typing import Any

opener: Callable[[str, str, bool], Any] | None = None
"""How a worker is opened (a `door.WorkerWay`): for which duty, with whom, whether for all who ask.

Where nobody said it, workers live in the process that asks; the command does not say it yet.
"""
