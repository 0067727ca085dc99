"""A user who may start no more processes or threads: told by name, and nothing is called a defect."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.servers.foreground import program

_CHECKOUT = Path(__file__).resolve().parents[2]
_USER = 40077
_CAPS = "-all,+dac_override,+dac_read_search"  # Python may lie where only root reads


@pytest.mark.parametrize("most", [1, 2])
def test_no_more_processes(place: Path, most: int) -> None:
    """The kernel's own limit, for a user that is not root: two orders need threads, which cannot be had."""
    config = place / "config.toml"
    tables = "".join(
        f'[certificate.{name}]\nnames = ["{name}.example.org"]\nendpoints = []\n'
        f'challenge = {{ type = "http-01", webroot = "{place}" }}\n'
        for name in ("www", "api")
    )
    config.write_text(
        f'[agent]\nstate = "{place}/state"\npreflight = "off"\n'
        '[authority.none]\ndirectory = "https://127.0.0.1:9/directory"\nagree_terms = true\n'
        f'[defaults]\nauthority = "none"\n{tables}'
    )
    for path in (place, config):
        os.chown(path, _USER, _USER)
    ended = subprocess.run(
        [
            *(program("prlimit", "util-linux"), f"--nproc={most}"),
            *(program("setpriv", "util-linux"), f"--reuid={_USER}", f"--regid={_USER}", "--clear-groups"),
            *(f"--inh-caps={_CAPS}", f"--ambient-caps={_CAPS}"),
            *(sys.executable, "-m", "renewer", "--config", str(config), "run"),
        ],
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
        env={**os.environ, "PYTHONPATH": str(_CHECKOUT)},
    )
    assert ended.returncode == 1, ended.stderr
    assert "no more processes or threads can be started" in ended.stderr
    assert "ulimit -u" in ended.stderr
    assert "defect" not in ended.stdout + ended.stderr
    assert "Traceback" not in ended.stdout + ended.stderr
