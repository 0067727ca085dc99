"""Fixtures for the tests of shipped hooks."""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.hooks.bed import Bed


@pytest.fixture
def bed() -> Iterator[Bed]:
    """A bed whose server is stopped at the end; its path is short, for sockets have little room for theirs.

    Others than root may enter it, for servers that give up their rights before they read their files.
    """
    directory = Path(tempfile.mkdtemp(prefix="rnw-"))
    directory.chmod(0o755)
    bed = Bed(directory)
    try:
        yield bed
    finally:
        bed.close()
        shutil.rmtree(directory)
