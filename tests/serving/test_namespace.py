"""In a user namespace, as of a rootless container: owners without a number there are told as such."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.servers.foreground import program
from tests.serving.bed import Bed

CHECKOUT = Path(__file__).resolve().parents[2]
HARM = ("chown root /", "chown root", "chmod go-w /")


def inside(bed: Bed, *command: str) -> tuple[int, str]:
    """The command in a namespace in which only our own user has a number."""
    ended = subprocess.run(
        [
            program("unshare", "util-linux"),
            "-Ur",
            sys.executable,
            "-m",
            "renewer",
            "--config",
            str(bed.write()),
            *command,
        ],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        cwd=CHECKOUT,
    )
    return ended.returncode, ended.stdout + ended.stderr


@pytest.fixture
def foreign(bed: Bed) -> Path:
    """A directory on the way that belongs to a user whom the namespace cannot name."""
    path = bed.directory / "theirs"
    path.mkdir()
    subprocess.run(["/bin/chown", "40007", path], check=True)
    return path


def test_what_is_ours_is_ours(bed: Bed) -> None:
    """Where all belongs to the user who entered it, a run is as everywhere."""
    bed.certificate()
    bed.put(bed.root.issue("www.example.org"), live=True)
    code, said = inside(bed, "run")
    assert code == 0, said
    code, said = inside(bed, "status", "www")
    assert code == 0, said


@pytest.mark.parametrize("command", [("run",), ("config", "check"), ("status",), ("doctor", "--local")])
def test_a_hook_below_a_stranger(bed: Bed, foreign: Path, command: tuple[str, ...]) -> None:
    """A program whose directory belongs to nobody here is not run, and that is said."""
    hook = foreign / "reload"
    hook.write_text("#!/bin/sh\ntouch ran\n")
    hook.chmod(0o755)
    bed.certificate(hooks=["mine"])
    bed.tables["hook.mine"] = {"run": str(hook)}
    bed.put(bed.root.issue("www.example.org"), live=True)
    bed.put(bed.root.issue("www.example.org"))
    code, said = inside(bed, *command)
    assert not [word for word in HARM if word in said], said
    if command[0] in ("run", "config"):
        assert code != 0
        log = bed.state / "renewal.log"
        text = " ".join(said.split()) + (log.read_text() if log.exists() else "")
        assert "has no number in this user namespace" in text, said
        assert "it is not for the agent to change that owner" in text, said


@pytest.mark.parametrize("command", [("run",), ("status",), ("plan",), ("versions", "www")])
def test_a_state_of_a_stranger(bed: Bed, foreign: Path, command: tuple[str, ...]) -> None:
    """The same for the state itself: no advice to give it to root, or to anybody."""
    bed.certificate()
    bed.put(bed.root.issue("www.example.org"), live=True)
    subprocess.run(["/bin/chown", "-R", "40007", bed.state], check=True)
    code, said = inside(bed, *command)
    assert not [word for word in HARM if word in said], said
    if command == ("run",):
        assert code != 0
        assert "namespace" in " ".join(said.split()), said
    assert bed.state.stat().st_uid == 40007
    assert foreign.stat().st_uid == 40007
