"""Fixtures for the tests of shipped hooks."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.hooks.bed import Bed


@pytest.fixture
def bed(place: Path) -> Iterator[Bed]:
    """A bed whose server is stopped at the end."""
    bed = Bed(place)
    try:
        yield bed
    finally:
        bed.close()
