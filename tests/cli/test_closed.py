"""A caller may close any of the three streams: then what is said there is lost, and nothing else."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

_CLOSED = ("0<&-", "1>&-", "2>&-", "0<&- 1>&- 2>&-")
_CHECKOUT = Path(__file__).resolve().parents[2]


def _config(directory: Path) -> Path:
    """One certificate at an authority that nobody answers for."""
    config = directory / "config.toml"
    config.write_text(
        f"""
[agent]
state = "{directory}/state"
preflight = "off"
[authority.none]
directory = "https://127.0.0.1:9/directory"
[defaults]
authority = "none"
agree_terms = true
[certificate.www]
names = ["www.example.org"]
challenge = {{ type = "http-01", webroot = "{directory}" }}
endpoints = []
"""
    )
    return config


@pytest.mark.parametrize("closed", _CLOSED)
def test_closed_streams_change_no_exit_code(tmp_path: Path, closed: str) -> None:
    """run, status, --help and a fault exit as they would with all streams open."""
    config = _config(tmp_path)
    for words, code in (
        (f"--config {config} run", 1),
        (f"--config {config} status", 1),
        (f"--config {config}.none status", 2),
        ("--help", 0),
    ):
        ended = subprocess.run(
            ["/bin/sh", "-c", f'exec "$0" -m renewer {words} {closed}', sys.executable],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
            env={**os.environ, "PYTHONPATH": str(_CHECKOUT)},
        )
        assert ended.returncode == code, (words, ended)
        assert "Traceback" not in ended.stdout + ended.stderr
        assert "defect" not in ended.stdout + ended.stderr


def test_what_is_said_reaches_no_file_that_was_opened_since(tmp_path: Path) -> None:
    """With stdout and stderr closed, their numbers are not given to a file of the state directory."""
    config = _config(tmp_path)
    subprocess.run(
        ["/bin/sh", "-c", f'exec "$0" -m renewer --config {config} -v run 0<&- 1>&- 2>&-', sys.executable],
        timeout=60,
        check=False,
        env={**os.environ, "PYTHONPATH": str(_CHECKOUT)},
    )
    state = tmp_path / "state"
    assert (state / "ledger.db").exists()
    for path in (one for one in state.rglob("*") if one.is_file() and one.name != "renewal.log"):
        assert b"www: " not in path.read_bytes().replace(b'"www: ', b""), path
