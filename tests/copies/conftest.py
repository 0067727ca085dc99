"""A place for copies, with a password beside it."""

from pathlib import Path

import pytest

from tests.copies.host import Host, new_host
from tests.copies.pairs import password_file


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """An empty directory for copies; the password of keystores lies beside it."""
    password_file(tmp_path)
    directory = tmp_path / "copies"
    directory.mkdir()
    return directory


@pytest.fixture
def host(tmp_path: Path) -> Host:
    """A host with a password for keystores, and one version that no run has seen yet."""
    made = new_host(tmp_path / "host")
    password_file(made.directory)
    made.give(90)
    return made
