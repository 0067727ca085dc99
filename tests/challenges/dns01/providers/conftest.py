"""A Pebble that looks where the bed's resolver says, and scripts as their authors left them."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.challenges.dns01.bed import RESOLVER, Bed
from tests.servers.pebble import Pebble

SCRIPTS = Path(__file__).parent / "scripts"


@pytest.fixture(scope="package")
def looking(started_bed: Bed, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pebble]:
    """A Pebble that knows names only from the bed's resolver."""
    with Pebble(tmp_path_factory.mktemp("pebble"), dns_server=f"{RESOLVER}:{started_bed.port}") as pebble:
        yield pebble


@pytest.fixture
def scripts(tmp_path: Path) -> Path:
    """Copies of the scripts that nobody else can write to, whatever the checkout's mode is."""
    there = tmp_path / "scripts"
    shutil.copytree(SCRIPTS, there)
    there.chmod(0o755)
    for path in there.iterdir():
        path.chmod(path.stat().st_mode & 0o755)
    return there
