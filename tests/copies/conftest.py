"""A place for copies, with a password beside it."""

from pathlib import Path

import pytest

from tests.copies.pairs import password_file


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """An empty directory for copies; the password of keystores lies beside it."""
    password_file(tmp_path)
    directory = tmp_path / "copies"
    directory.mkdir()
    return directory
