"""docs/extending.md is true: each recipe is carried out on a copy of the tree, and does what it says."""

import json
import os
import re
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).parents[1]
PAGE = (CHECKOUT / "docs" / "extending.md").read_text("utf-8")
EDIT = re.compile(
    r"^In `(?P<file>[^`]+)`(?:, (?P<where>before|after|instead of) `(?P<anchor>[^`]+)`)?:\n\n"
    r"```\w+\n(?P<text>.*?)```$",
    re.DOTALL | re.MULTILINE,
)


class Tree:
    """A copy of the package, with a recipe carried out."""

    def __init__(self, place: Path, recipe: str) -> None:
        self.place = place
        for part in ("renewer", "hooks", "snippets", "monitoring"):
            shutil.copytree(CHECKOUT / part, place / part, ignore=shutil.ignore_patterns("__pycache__"))
        section = re.search(rf"^## {recipe}\n(.*?)(?=^## |\Z)", PAGE, re.DOTALL | re.MULTILINE)
        assert section is not None
        edits = list(EDIT.finditer(section[1]))
        self.files = {edit["file"] for edit in edits}
        for edit in edits:
            self._carry_out(edit)

    def _carry_out(self, edit: re.Match[str]) -> None:
        path = self.place / edit["file"]
        if edit["where"] is None:
            assert not path.exists()
            path.write_text(edit["text"], "utf-8")
            path.chmod(0o755)
            return
        before, anchor, after = path.read_text("utf-8").partition(edit["anchor"])
        assert anchor
        match edit["where"]:
            case "before":
                text = before + edit["text"] + anchor + after
            case "after":
                text = before + anchor + "\n" + edit["text"].rstrip("\n") + after
            case _:
                text = before + edit["text"].rstrip("\n") + after
        path.write_text(text, "utf-8")

    def run(self, *argv: str) -> str:
        """What Python says there."""
        env = {**os.environ, "PYTHONPATH": str(self.place), "PYTHONDONTWRITEBYTECODE": "1"}
        ended = subprocess.run(
            [sys.executable, *argv], cwd=self.place, env=env, capture_output=True, text=True, check=False
        )
        assert ended.returncode == 0, ended.stdout + ended.stderr
        return ended.stdout


def config(place: Path, more: str, certificate: str = "") -> str:
    """A configuration of one certificate, with more tables."""
    for name in ("state", "web", "spool"):
        (place / name).mkdir(mode=0o700)
    path = place / "config.toml"
    path.write_text(
        f"""
[agent]
state = "{place}/state"
log = "{place}/log"
[authority.letsencrypt]
agree_terms = true
[certificate.www]
authority = "letsencrypt"
names = ["www.example.org"]
challenge = "way"
{certificate}
{more}
""",
        "utf-8",
    )
    return str(path)


HTTP = '[challenge.way]\ntype = "http-01"\nwebroot = "{place}/web"\n'


def test_a_hook(tmp_path: Path) -> None:
    """A file in hooks/ is a shipped hook."""
    tree = Tree(tmp_path, "A deploy hook")
    assert tree.files == {"hooks/hello"}
    listed = tree.run("-m", "renewer", "hooks", "list")
    assert re.search(r"^hello\b", listed, re.MULTILINE)


def _heard(server: socket.socket) -> str:
    with server.accept()[0] as connection, connection.makefile() as said:
        return said.read()


def test_a_provider(tmp_path: Path) -> None:
    """Three files, and records are added and removed by it, with the secret that it was given."""
    tree = Tree(tmp_path, "A provider of DNS records")
    assert len(tree.files) == 3
    (tmp_path / "word").write_text("open sesame\n")
    (tmp_path / "word").chmod(0o600)
    with socket.create_server(("127.0.0.1", 0)) as server:
        options = f'server = "127.0.0.1:{server.getsockname()[1]}", word = {{ file = "{tmp_path}/word" }}'
        way = f'[challenge.way]\ntype = "dns-01"\nprovider = "line"\noptions = {{ {options} }}\n'
        path = config(tmp_path, way)
        tree.run("-m", "renewer", "--config", path, "config", "check")
        tree.run(
            "-c",
            "from renewer.config.load import load\n"
            "from renewer.issue.providers import make\n"
            "from renewer.model.dns_provider import TxtRecord\n"
            f"provider = make(load({path!r}).certificates['www'].challenge)\n"
            "name = '_acme-challenge.www.example.org'\n"
            "record = TxtRecord(name=name, value='v', asked=name, domain='www.example.org')\n"
            "provider.add('example.org', [record])\n"
            "provider.remove('example.org', [record])\n",
        )
        told = [_heard(server) for _ in range(2)]
    name = "_acme-challenge.www.example.org"
    assert told == [f"open sesame\n+{name} v\n", f"open sesame\n-{name} v\n"]


def test_a_channel(tmp_path: Path) -> None:
    """Four files, and `notify test` reaches it."""
    tree = Tree(tmp_path, "A notification channel")
    assert len(tree.files) == 4
    channel = f'[notify.files]\ntype = "spool"\ndirectory = "{tmp_path}/spool"\n'
    path = config(tmp_path, HTTP.format(place=tmp_path) + channel)
    tree.run("-m", "renewer", "--config", path, "notify", "test")
    assert len(os.listdir(tmp_path / "spool")) == 1


@pytest.mark.parametrize(("value", "fine"), [("true", True), ('"yes"', False)])
def test_a_key(tmp_path: Path, value: str, *, fine: bool) -> None:
    """One file: the value is read, a wrong one told with its line, and the schema knows it."""
    tree = Tree(tmp_path, "A configuration key")
    assert len(tree.files) == 1
    assert "frozen" in json.dumps(json.loads(tree.run("-m", "renewer", "config", "schema")))
    path = config(tmp_path, HTTP.format(place=tmp_path), f"frozen = {value}")
    told = tree.run(
        "-c",
        "from renewer.config.load import load\n"
        "from renewer.errors import ConfigError\n"
        "try:\n"
        f"    print(load({path!r}).certificates['www'].frozen)\n"
        "except ConfigError as error:\n"
        "    print(error.faults[0].line, error.faults[0].path)\n",
    )
    assert told.strip() == ("True" if fine else "11 certificate.www.frozen")


def test_a_rule(tmp_path: Path) -> None:
    """Three files, and `decide` gives the new reason; of an even serial it does not."""
    tree = Tree(tmp_path, "A rule of what to do")
    assert len(tree.files) == 3
    shutil.copytree(CHECKOUT / "tests", tmp_path / "tests", ignore=shutil.ignore_patterns("__pycache__"))
    told = tree.run(
        "-c",
        "from renewer.policy.due import decide\n"
        "from tests.builders import situation, terms, version\n"
        "for number in (1, 2):\n"
        "    live = version(number)\n"
        "    print(decide(situation(versions=(live,), live=live), terms()).reason)\n",
    )
    first, second = told.split()
    assert first == "serial-is-odd"
    assert second != first


def test_a_step(tmp_path: Path) -> None:
    """Five files, and a run whose certificate is deployed takes the step, once."""
    tree = Tree(tmp_path, "A step of a run")
    assert len(tree.files) == 5
    shutil.copytree(CHECKOUT / "tests", tmp_path / "tests", ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "host").mkdir()
    told = tree.run(
        "-c",
        "from pathlib import Path\n"
        "from renewer import clock\n"
        "from tests.builders import DAY\n"
        "from tests.tell.host import Host\n"
        "host = Host(Path('host').resolve())\n"
        "host.configure()\n"
        "host.install(not_before=clock.now() - DAY, not_after=clock.now() + 89 * DAY)\n"
        "for _ in range(2):\n"
        "    print(*(str(one.step) for one in host.run().outcomes))\n",
    )
    assert told.splitlines()[-1] == "greet"
