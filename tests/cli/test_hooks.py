import json
import os
import stat
from pathlib import Path

import pytest

from renewer.cli import app, screen

HOOKS = Path(__file__).parents[2] / "hooks"


def run(*arguments: str) -> int:
    """Run `renewer hooks`; its exit code."""
    return app._run(["hooks", *arguments])


def test_list(capsys: pytest.CaptureFixture[str]) -> None:
    """Every shipped hook is listed with what it does, one a line."""
    assert run("list") == screen.OK

    lines = capsys.readouterr().out.splitlines()
    assert [line.split("\t")[0] for line in lines] == sorted(path.name for path in HOOKS.iterdir())
    assert all(len(line.split("\t")[1]) > 20 for line in lines)


def test_list_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    """The same for scripts, with paths."""
    assert run("list", "--json") == screen.OK

    told = json.loads(capsys.readouterr().out)
    assert told["schema"] == 1
    assert {"name", "text", "path"} == set(told["hooks"][0])
    assert all(os.access(hook["path"], os.X_OK) for hook in told["hooks"])


def test_show(capsys: pytest.CaptureFixture[str]) -> None:
    """A hook is printed as it is."""
    assert run("show", "nginx") == screen.OK

    assert capsys.readouterr().out == (HOOKS / "nginx").read_text()


@pytest.mark.parametrize("place", ["directory", "file"])
def test_copy(tmp_path: Path, capsys: pytest.CaptureFixture[str], place: str) -> None:
    """A copy is executable, writable by its owner only, and told how to be named in the config."""
    dest = tmp_path if place == "directory" else tmp_path / "mine"
    copied = tmp_path / ("nginx" if place == "directory" else "mine")

    assert run("copy", "nginx", str(dest)) == screen.OK

    assert copied.read_bytes() == (HOOKS / "nginx").read_bytes()
    assert stat.S_IMODE(copied.stat().st_mode) == 0o755
    assert f'run    = "{copied}"' in capsys.readouterr().out


def test_copy_overwrites_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What is there already may have been changed by hand: it stays."""
    (tmp_path / "nginx").write_text("mine")

    assert run("copy", "nginx", str(tmp_path)) == screen.USAGE

    assert (tmp_path / "nginx").read_text() == "mine"
    assert "exists already" in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [["show", "nope"], ["copy", "nope", "x"], ["show", "../Makefile"]])
def test_an_unknown_hook(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """A name that is not shipped is bad usage, and what is shipped is told."""
    assert run(*arguments) == screen.USAGE

    assert "shipped are: " in capsys.readouterr().err


def test_a_place_that_cannot_be_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A missing directory is told, without a trace."""
    assert run("copy", "nginx", str(tmp_path / "no" / "where")) == screen.USAGE

    assert "cannot be written" in capsys.readouterr().err
