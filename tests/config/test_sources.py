"""Which files are read at all."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from renewer.config.load import load
from renewer.errors import ConfigError, Fault
from tests.config.conftest import Write

AS_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="only root can act as somebody else")


def _fault(path: Path) -> Fault:
    with pytest.raises(ConfigError) as refusal:
        load(str(path))
    (fault,) = refusal.value.faults
    assert fault.hint
    return fault


def test_missing(tmp_path: Path) -> None:
    """A file that is not there is said to be so."""
    assert _fault(tmp_path / "config.toml").text == "does not exist"


def test_directory_and_fifo(tmp_path: Path) -> None:
    """What is no file is refused, and a FIFO without a writer does not stop us."""
    os.mkfifo(tmp_path / "fifo")
    assert _fault(tmp_path).text == "is not a file"
    assert _fault(tmp_path / "fifo").text == "is not a file"


def test_not_utf8(tmp_path: Path) -> None:
    """Text in another encoding is told with the line of its first wrong byte."""
    path = tmp_path / "config.toml"
    path.write_bytes(b"[agent]\n# caf\xe9\n")
    fault = _fault(path)
    assert (fault.text, fault.line) == ("is not UTF-8 text", 2)


def test_too_large(tmp_path: Path) -> None:
    """Somebody named the wrong file: it is not read into memory."""
    path = tmp_path / "config.toml"
    path.touch()
    os.truncate(path, 17 << 20)
    assert "larger than 16 MiB" in _fault(path).text


@pytest.mark.parametrize("mode", [0o664, 0o646])
def test_writable_by_others(write: Write, mode: int) -> None:
    """Who can change the config acts as the agent: a file that others can write to is refused."""
    path = write("")
    path.chmod(mode)
    fault = _fault(path)
    assert "others could change it" in fault.text
    assert fault.hint == f"chmod go-w {path}"


def test_directory_writable_by_others(write: Write, tmp_path: Path) -> None:
    """A directory on the way that others can write to is refused, unless it is sticky as /tmp is."""
    path = write("", "open/conf/config.toml")
    (tmp_path / "open").chmod(0o777)
    assert f"{tmp_path}/open can be written to by everybody" in _fault(path).text
    (tmp_path / "open").chmod(0o1777)
    load(str(path))


def test_included_file_writable_by_others(write: Write) -> None:
    """Included files are judged like the main one."""
    write("", "conf.d/a.toml").chmod(0o666)
    assert _fault(write('include = ["conf.d/*.toml"]')).file.endswith("conf.d/a.toml")


@AS_ROOT
def test_owned_by_a_stranger(write: Write) -> None:
    """A file of another user than root and us is theirs to change."""
    path = write("")
    os.chown(path, 65534, 65534)
    assert "belongs to" in _fault(path).text


@AS_ROOT
def test_unreadable(write: Write, tmp_path: Path) -> None:
    """A file that this user may not read is said to be so."""
    path = write("")
    path.chmod(0o600)
    for directory in (tmp_path, *tmp_path.parents):
        if directory.stat().st_mode & 0o077 == 0:
            directory.chmod(0o755)
    code = (
        "import os, sys; from renewer.config.load import load\n"
        "from renewer.errors import ConfigError\n"
        "os.setuid(65534)\n"
        "try: load(sys.argv[1])\n"
        "except ConfigError as error: print(error.faults[0].text)\n"
    )
    root = Path(__file__).parents[2]
    argv = [sys.executable, "-c", code, str(path)]
    done = subprocess.run(argv, capture_output=True, text=True, check=True, cwd=root)
    assert done.stdout == "may not be read by this user\n"
