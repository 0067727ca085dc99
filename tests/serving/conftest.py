"""A bed for each test."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.host import Clock, agents_clock
from tests.serving.bed import Bed

__all__ = ["agents_clock"]


@pytest.fixture
def bed(tmp_path: Path, agents_clock: Clock) -> Iterator[Bed]:
    """A host without an authority, with an agent whose clock is the test's."""
    tmp_path.chmod(0o755)
    made = Bed(tmp_path, agents_clock)
    yield made
    for peer in made.peers:
        peer.__exit__()
