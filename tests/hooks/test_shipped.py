"""What every shipped hook keeps to; what each does is proven by a test of its own."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from renewer.model.desired import HookEvent

CHECKOUT = Path(__file__).resolve().parents[2]
HOOKS = sorted((CHECKOUT / "hooks").iterdir())
PAGE = CHECKOUT / "docs" / "hooks.md"
LINES = 78
_INHERITED = {"PATH", "HOME", "LANG", "TZ", "PWD"}

each = pytest.mark.parametrize("hook", HOOKS, ids=lambda hook: hook.name)


def header(hook: Path) -> str:
    """The comment with which it begins, without the marks."""
    lines = hook.read_text("utf-8").splitlines()[1:]
    end = next(number for number, line in enumerate(lines) if not line.startswith("#"))
    return "\n".join(line.removeprefix("#").removeprefix(" ") for line in lines[:end])


def summary(hook: Path) -> str:
    """What the first sentence of its header says after its name."""
    return header(hook).partition("\n\n")[0].replace("\n", " ").partition(": ")[2].rstrip(".")


def row(hook: Path) -> str:
    """Its row of the table in docs/hooks.md."""
    return f"| `{hook.name}` | {summary(hook).replace('|', '&#124;')} |"


@each
def test_it_is_an_executable_of_plain_sh(hook: Path) -> None:
    """Run by /bin/sh, executable for everybody, changeable for its owner alone."""
    assert hook.read_text("utf-8").startswith("#!/bin/sh\n")
    assert hook.stat().st_mode & 0o777 == 0o755


@each
def test_it_is_short_enough_to_be_read(hook: Path) -> None:
    """An administrator reads it before running it as root."""
    assert len(hook.read_text("utf-8").splitlines()) <= LINES


@each
def test_its_header_says_what_one_must_know(hook: Path) -> None:
    """What it does in the first line, then what it needs, what its exit codes mean, how it is configured."""
    text = header(hook)

    assert re.match(r"renewer's hook (for )?[A-Za-z]", text)
    assert len(summary(hook)) > 20
    assert re.search(r"^Needs:", text, re.MULTILINE)
    assert re.search(r"^Says: +0 done", text, re.MULTILINE)
    assert re.search(r"^To configure", text, re.MULTILINE)


@each
def test_every_setting_is_in_its_header(hook: Path) -> None:
    """Whatever it reads from its environment can be found without reading the code."""
    text = header(hook)
    code = hook.read_text("utf-8").partition("\nset ")[2]
    read = {name for name in re.findall(r"\$\{?([A-Z][A-Z0-9_]+)\b", code) if not name.startswith("RENEWER_")}
    made = set(re.findall(r"^\s*(?:export )?([A-Z][A-Z0-9_]+)=", code, re.MULTILINE))

    assert sorted(name for name in read - made - _INHERITED if not re.search(rf"\b{name}\b", text)) == []


@each
def test_shellcheck_is_silent(hook: Path) -> None:
    """Nothing in it is a shell's trap, or another shell's than sh."""
    shellcheck = shutil.which("shellcheck")
    assert shellcheck is not None
    ended = subprocess.run(
        [shellcheck, "--shell=sh", hook], capture_output=True, text=True, check=False, timeout=60
    )

    assert (ended.returncode, ended.stdout) == (0, "")


@each
def test_it_echoes_no_variable(hook: Path) -> None:
    """`echo` of dash takes backslashes for its own, and ends its output early: data goes through printf."""
    code = hook.read_text("utf-8").splitlines()

    assert [line for line in code if re.search(r'\becho "[^"]*\$', line)] == []


@each
@pytest.mark.parametrize("arguments", [["dance"], ["pre"], ["post"], [""], []], ids=str)
def test_other_events_are_not_its_business(hook: Path, arguments: list[str], tmp_path: Path) -> None:
    """42 to an event that it does not know, without a word and with nothing configured."""
    ended = subprocess.run(
        [hook, *arguments],
        env={"PATH": os.defpath},
        cwd=tmp_path,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=10,
    )

    assert (ended.returncode, ended.stdout, ended.stderr) == (42, "", "")


def test_the_page_has_them_all() -> None:
    """The table in docs/hooks.md is the list of the headers' first sentences: these rows, in this order."""
    rows = [line for line in PAGE.read_text("utf-8").splitlines() if re.match(r"\| `[a-z0-9]+` \| ", line)]
    shipped = [line for line in rows if line.split("`")[1] not in {event.value for event in HookEvent}]

    assert shipped == [row(hook) for hook in HOOKS]


@each
def test_it_has_a_test_of_its_own(hook: Path) -> None:
    """Some module beside this one is about it."""
    tests = Path(__file__).parent.glob("test_*.py")
    named = [
        path.name
        for path in tests
        if path.name != Path(__file__).name and re.search(rf'[/"]{hook.name}"', path.read_text("utf-8"))
    ]
    own = Path(__file__).with_name(f"test_{hook.name}.py").exists()

    assert own or named
