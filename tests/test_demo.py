"""`make demo` holds what it claims, and says so if it does not."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests import demo
from tests.servers.pebble import Pebble

CHECKOUT = Path(__file__).parents[1]


def test_the_demo_holds_and_leaves_nothing_behind(pebble: Pebble, tmp_path: Path) -> None:
    """It exits 0 within its minute, readable on 80 columns, and its temporary directory is empty again."""
    assert pebble.alive  # only so that a machine without a recent Pebble skips this, as other tests
    environment = {**os.environ, "TMPDIR": str(tmp_path), "PYTHONPATH": str(CHECKOUT)}

    done = subprocess.run(
        [sys.executable, "tests/demo.py"],
        cwd=CHECKOUT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert done.returncode == 0, done.stdout + done.stderr
    assert "All of it held" in done.stdout
    assert max(len(line) for line in done.stdout.splitlines()) <= demo.WIDTH
    assert "\033" not in done.stdout
    assert list(tmp_path.iterdir()) == []


def test_a_claim_that_does_not_hold_ends_the_demo() -> None:
    """A claim is checked, not only printed."""
    with pytest.raises(demo.Broken, match="this does not hold: nginx serves it"):
        demo.expect(holds=False, claim="nginx serves it")
