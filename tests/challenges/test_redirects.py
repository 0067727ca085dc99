"""The whole command, its preflight redirected from a public name: nothing of other hosts is shown."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.redirected import LINK, NAME, OTHER, SECRET
from tests.servers.foreground import program

CHECKOUT = Path(__file__).resolve().parents[2]
INNER = {
    "loopback": "http://127.0.0.1/secret",
    "a name of loopback": "http://inner.example.org/secret",
    "loopback in one number": "http://2130706433/secret",
    "all addresses": "http://0.0.0.0/secret",
    "link-local": f"http://{LINK}/latest/meta-data/iam",
    "a name of link-local": "http://metadata.example.org/latest",
    "mapped": "http://[::ffff:127.0.0.1]/secret",
}


def run(tmp_path: Path, where: str) -> Any:
    """What the command said and who was asked."""
    own = [program("unshare", "util-linux"), "--net", "--mount"]
    ended = subprocess.run(
        [*own, sys.executable, "-m", "tests.redirected", str(tmp_path), where],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
        cwd=CHECKOUT,
    )
    assert ended.returncode == 0, ended.stderr
    return json.loads(ended.stdout)


@pytest.mark.parametrize("where", INNER)
def test_no_redirect_inwards_is_followed(tmp_path: Path, where: str) -> None:
    """Whoever answers for the name cannot make this host ask its own services, or read them to anybody."""
    told = run(tmp_path, INNER[where])
    assert told["asked"] == []
    assert told["code"] == 1
    assert "is not followed" in told["log"]
    assert SECRET not in told["said"] + told["log"]


@pytest.mark.parametrize("where", [f"http://{OTHER}/", "http://other.example.org/"])
def test_another_public_host_is_asked_and_not_shown(tmp_path: Path, where: str) -> None:
    """A redirect to another host is followed, as authorities do; what that host says is not repeated."""
    told = run(tmp_path, where)
    assert told["asked"]
    assert told["code"] == 1
    assert "of another host the body is not shown" in told["log"]
    assert SECRET not in told["said"] + told["log"]
    assert NAME in told["log"]
