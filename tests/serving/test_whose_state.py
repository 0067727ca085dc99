"""Root at the state of an agent that has a user of its own: told whose it is, and nothing harmful."""

import os
import pwd
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.serving.bed import Bed

NOBODY = pwd.getpwnam("nobody")
HARM = re.compile(r"\b(?:chown|chmod|mv|move|rm|remove)\b")
COMMANDS = [
    ["run"],
    ["run", "www"],
    ["run", "--force", "--only", "www"],
    ["run", "--steps", "look"],
    ["plan"],
    ["status"],
    ["status", "--look"],
    ["versions", "www"],
    ["deploy", "www"],
    ["rollback", "www"],
    ["ack", "www"],
    ["forget", "www", "--yes"],
    ["log"],
    ["account", "show", "ca"],
    ["copies", "list"],
    ["discover"],
    ["report", "--readiness"],
]


def _give(path: Path) -> None:
    for directory, below, names in os.walk(path):
        for one in (directory, *(os.path.join(directory, name) for name in (*below, *names))):
            os.chown(one, NOBODY.pw_uid, NOBODY.pw_gid, follow_symlinks=False)


def _theirs(bed: Bed) -> dict[str, tuple[int, int, int]]:
    """Owner, mode and size of all that lies there."""
    found = {}
    for directory, names, files in os.walk(bed.state):
        for name in (*names, *files):
            entry = os.lstat(os.path.join(directory, name))
            where = os.path.relpath(os.path.join(directory, name), bed.state)
            found[where] = (entry.st_uid, entry.st_mode, entry.st_size)
    return found


@pytest.fixture
def theirs(bed: Bed) -> Bed:
    """A state that belongs to nobody, with a live version."""
    bed.certificate()
    bed.renewed()
    bed.run()
    _give(bed.state)
    return bed


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_root_is_told_who_runs_it(theirs: Bed, command: list[str]) -> None:
    """Either it only looks, or the hint is to run it as that user; nothing is taken away or moved."""
    before = _theirs(theirs)
    ended = theirs.cli(*command)
    said = ended.out + ended.err
    assert not [line for line in said.splitlines() if HARM.search(line) and "renewer " not in line], said
    if command[0] in ("run", "deploy", "rollback", "ack", "forget"):
        assert ended.code != 0
        assert "sudo -u nobody renewer" in said, said
    assert _theirs(theirs) == before


@pytest.mark.parametrize("command", [["discover"], ["report", "--readiness"]], ids=" ".join)
def test_a_state_before_its_first_run_gets_nothing_of_roots(bed: Bed, command: list[str]) -> None:
    """What root looks up on the host is told, and that it is not remembered: the agent could not write it."""
    bed.certificate()
    bed.state.mkdir(mode=0o700)
    _give(bed.state)
    ended = bed.cli(*command)
    assert ended.code == 0, ended.err
    assert "is not remembered" in ended.err
    assert _theirs(bed) == {}


@pytest.mark.parametrize("damaged", ["ledger.db", "renewal.log", "lock"])
def test_one_file_of_theirs_among_roots(bed: Bed, damaged: str) -> None:
    """The same where only a part is that user's: whose it is, and no advice that would harm it."""
    bed.certificate()
    bed.renewed()
    bed.run()
    os.chown(bed.state / damaged, NOBODY.pw_uid, NOBODY.pw_gid)
    ended = bed.cli("run")
    said = ended.out + ended.err
    assert not HARM.search(said), said
    if ended.code:
        assert "nobody" in said


def test_that_user_goes_on_by_himself(theirs: Bed) -> None:
    """What the hint says works: the agent's user runs it, and all is his still."""
    config = theirs.write()
    os.chown(config, NOBODY.pw_uid, NOBODY.pw_gid)
    _give(theirs.directory)
    checkout = Path(__file__).resolve().parents[2]
    code = (
        f"import os, sys; sys.path.insert(0, {str(checkout)!r}); from renewer.cli import app; "
        "os.setgroups([]); os.setgid(int(sys.argv[1])); os.setuid(int(sys.argv[2])); "
        "sys.exit(app._run(sys.argv[3:]))"
    )
    ids = [str(NOBODY.pw_gid), str(NOBODY.pw_uid)]
    ended = subprocess.run(
        [sys.executable, "-c", code, *ids, "--config", str(config), "run", "--steps", "look"],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        cwd="/",
    )
    assert "sudo -u" not in ended.stdout + ended.stderr, ended.stderr
    assert ended.returncode in (0, 1), ended.stderr
    assert {owner for owner, _, _ in _theirs(theirs).values()} == {NOBODY.pw_uid}
