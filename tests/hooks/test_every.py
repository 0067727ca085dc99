"""What every shipped hook promises, whatever its server."""

import re
import subprocess
from pathlib import Path

import pytest

from tests.hooks.alone import DIRECTORY
from tests.servers.foreground import program

HOOKS = sorted(path for path in DIRECTORY.iterdir() if path.is_file())
_LINES = 68  # a page: who is to trust it with root must be able to read it


@pytest.mark.parametrize("hook", HOOKS, ids=lambda path: path.name)
def test_plain_short_sh_that_explains_itself(hook: Path) -> None:
    """POSIX sh without a complaint of shellcheck; a header that says what it needs and what it says."""
    text = hook.read_text()
    found = subprocess.run(
        [program("shellcheck", "shellcheck"), "--shell=sh", hook],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )

    assert (found.returncode, found.stdout) == (0, "")
    assert text.startswith("#!/bin/sh\n# renewer's hook ")
    assert re.search(r"^# Needs: ", text, re.MULTILINE)
    assert re.search(r"^# Says:  0 done ", text, re.MULTILINE)
    assert len(text.splitlines()) <= _LINES


@pytest.mark.parametrize("hook", HOOKS, ids=lambda path: path.name)
@pytest.mark.parametrize("event", [("dance",), ()])
def test_an_event_of_a_later_renewer_is_not_its_business(hook: Path, event: tuple[str, ...]) -> None:
    """42, before anything is looked for."""
    assert subprocess.run([hook, *event], env={"PATH": ""}, check=False, timeout=10).returncode == 42
