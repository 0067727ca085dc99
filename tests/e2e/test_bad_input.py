"""Every bad input gets a clear message from the real command, and no trace."""

import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.command import Ended
from tests.e2e.site import CHECKOUT, Site
from tests.servers.pebble import Pebble, PebbleFactory
from tests.servers.ports import free_port


@dataclass(frozen=True, slots=True)
class Bad:
    """A bad input: how a site becomes bad, what is called, how it must end and what must be said."""

    spoil: Callable[[Site], object]
    code: int
    said: tuple[str, ...]
    arguments: tuple[str, ...] = ("run",)


def table(**keys: Any) -> Callable[[Site], object]:
    """Something else in the certificate's table."""
    return lambda site: site.change(**keys)


def authority(**keys: Any) -> Callable[[Site], object]:
    """Something else in the authority's table; None takes a key away."""

    def spoil(site: Site) -> None:
        site.authority.update(keys)
        site.write_config()
        if None in keys.values():
            lines = site.config.read_text().splitlines()
            site.config.write_text("\n".join(line for line in lines if not line.endswith('"None"')) + "\n")

    return spoil


def text(change: Callable[[str], str]) -> Callable[[Site], object]:
    """The config, as text, changed."""
    return lambda site: site.config.write_text(change(site.config.read_text()))


def another_certificate(site: Site) -> None:
    """Two, so that `--force` alone is too much."""
    site.certificates["b"] = {}
    site.write_config()


def directory(path: Path) -> None:
    """A directory in a file's place."""
    path.unlink()
    path.mkdir()


def nothing(_: Site) -> None:
    """The site is well; it is the command line that is not."""


CONFIG: dict[str, Bad] = {
    "no config": Bad(lambda site: site.config.unlink(), 2, ("config.toml", "does not exist", "→")),
    "broken TOML": Bad(
        text(lambda was: was.replace("[agent]\n", "[agent\n")), 2, ("config.toml:", "is not TOML")
    ),
    "unknown key": Bad(
        table(nams=["example.org"]),
        2,
        ("config.toml:", "certificate.www.nams: is not a known key", "→ did you mean 'names'?"),
    ),
    "config of everybody": Bad(
        lambda site: site.config.chmod(0o666), 2, ("can be written to by everybody", "→ chmod go-w")
    ),
    "webroot missing": Bad(
        table(challenge={"type": "http-01", "webroot": "/srv/nowhere/html"}),
        3,
        ("the webroot /srv/nowhere/html does not exist", "→ make that directory, or correct `webroot`"),
    ),
    "unknown certificate": Bad(
        nothing,
        2,
        ("there is no certificate 'ww' in", "→ did you mean www?"),
        ("run", "--only", "ww"),
    ),
    "unknown certificate to deploy": Bad(
        nothing, 2, ("there is no certificate 'mail' in", "→ there are: www"), ("deploy", "mail")
    ),
    "bad steps": Bad(nothing, 2, ("'isue' is no step", "→ steps are: issue"), ("run", "--steps", "isue")),
    "bad duration": Bad(
        nothing, 2, ("'soon' is not a duration", "→ write a number and a unit"), ("run", "--wait", "soon")
    ),
    "unknown option": Bad(nothing, 2, ("No such option", "--onyl"), ("run", "--onyl", "www")),
    "unknown command": Bad(nothing, 2, ("No such command 'rnu'",), ("rnu",)),
    "force everything": Bad(
        another_certificate,
        2,
        ("--force would order 2 certificates anew", "→ name one: renewer run --force NAME, or say --all"),
        ("run", "--force"),
    ),
    "state in the way": Bad(lambda site: site.state.write_text("a file"), 1, ("/state", "→")),
    "authority's TLS untrusted": Bad(
        authority(ca_bundle=None), 3, ("TLS certificate of", "is not trusted", "→", "set ca_bundle")
    ),
    "ca_bundle missing": Bad(authority(ca_bundle="/srv/none.pem"), 3, ("ca_bundle", "/srv/none.pem", "→")),
}


@pytest.fixture
def site(tmp_path: Path, pebble: Pebble) -> Site:
    """A site without a running web server: nothing gets that far."""
    return Site(tmp_path, pebble)


def both(site: Site, bad: Bad) -> tuple[Ended, Ended]:
    """As people and as scripts call it; what the first may have remembered is taken away."""
    spoken = site.cli(*bad.arguments)
    if site.state.is_dir():
        shutil.rmtree(site.state)
    return spoken, site.cli(*bad.arguments, "--json")


def demand(bad: Bad, spoken: Ended, document: Ended) -> None:
    """The right exit code, every word of the message, and the same as JSON."""
    assert (spoken.code, document.code) == (bad.code, bad.code), spoken.out + spoken.err
    shown = spoken.out + spoken.err
    for words in bad.said:
        assert words in shown, shown
    for line in shown.splitlines():
        assert "Error(" not in line
        assert "errno" not in line.lower()
    if bad.code == 2:
        assert spoken.out == ""
    told = json.loads(document.out)
    assert told["schema"] == 1
    if "error" in told:
        assert told["error"]["kind"]
        assert told["error"]["faults"]
        for fault in told["error"]["faults"]:
            assert fault["text"]
            assert {"path", "line", "text", "hint"} <= set(fault)
    else:
        (failed,) = [one for one in told["outcomes"] if one["result"] == "failed"]
        assert failed["hint"] in shown
        for words in bad.said:
            assert words.removeprefix("→ ") in f"{failed['detail']}\n→ {failed['hint']}"


@pytest.mark.parametrize("name", CONFIG)
def test_bad_input(site: Site, name: str) -> None:
    """A sentence that says what is wrong, a line that says what to do, and the exit code that fits."""
    bad = CONFIG[name]
    bad.spoil(site)
    demand(bad, *both(site, bad))


def test_unreadable_secret(tmp_path: Path, pebble_factory: PebbleFactory) -> None:
    """A secret whose file is not there is named by its path."""
    pebble = pebble_factory(eab={"me": "zWNDZM6eQGHWpSRTPal5eIUYFTu7EajVIoguysqZ9wG44nMEtx3MUAsUDkMTQ12W"})
    site = Site(tmp_path, pebble, authority={"eab": {"kid": "me", "hmac": {"file": "/srv/none.hmac"}}})
    bad = Bad(nothing, 3, ("/srv/none.hmac", "→"))
    demand(bad, *both(site, bad))


def test_authority_down(site: Site) -> None:
    """Nobody answers at the authority's address: it is named, and it is tried again."""
    site.authority["directory"] = f"https://127.0.0.1:{free_port()}/dir"
    site.write_config()
    bad = Bad(nothing, 1, ("127.0.0.1:", "cannot be reached: Connection refused", "→ check the URL"))
    demand(bad, *both(site, bad))


def test_name_refused(tmp_path: Path, pebble_factory: PebbleFactory) -> None:
    """A name that the authority will not have: its words are told, and a person must act."""
    site = Site(tmp_path, pebble_factory(blocklist=["blocked.example.org"]))
    site.change(names=["blocked.example.org"])
    bad = Bad(nothing, 3, ("refused", "blocked.example.org", "→"))
    demand(bad, *both(site, bad))


def test_port_taken(site: Site) -> None:
    """The listener's port belongs to somebody else: which one, and what to do about it."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        place = f"127.0.0.1:{taken.getsockname()[1]}"
        site.change(challenge={"type": "http-01", "listen": place, "preflight": "off"})
        bad = Bad(nothing, 1, (f"cannot listen on {place}", "is taken by python (pid ", "→"))
        demand(bad, *both(site, bad))


HOOKS: dict[str, tuple[Callable[[Path], object], tuple[str, ...]]] = {
    "missing": (lambda path: path.unlink(), ("does not exist", "correct `run` in [hook.mine]")),
    "not executable": (lambda path: path.chmod(0o644), ("may not be executed", "chmod +x")),
    "world-writable": (lambda path: path.chmod(0o757), ("can be written to by everybody", "chmod go-w")),
    "no interpreter": (
        lambda path: path.write_text("#!/usr/bin/nothing\n"),
        ("cannot be started: the interpreter in its first line does not exist",),
    ),
}


@pytest.mark.parametrize("name", HOOKS)
def test_bad_hook(tmp_path: Path, pebble: Pebble, name: str) -> None:
    """A hook that cannot be run is named with what is wrong with it, by `hooks list`, too."""
    spoil, said = HOOKS[name]
    with Site(tmp_path, pebble) as site:
        path = site.add_hook("mine", "exit 0")
        site.change(hooks=["mine"], endpoints=[])
        spoil(path)
        ended = site.cli("run")
        assert ended.code == 1
        for words in (*said, "hook mine: ", str(path), "stays live", "→"):
            assert words in ended.out, ended.out


def test_a_directory_is_no_hook(tmp_path: Path, pebble: Pebble) -> None:
    """Only scripts of certbot's come by the directory: elsewhere it is a fault of the configuration."""
    with Site(tmp_path, pebble) as site:
        path = site.add_hook("mine", "exit 0")
        site.change(hooks=["mine"], endpoints=[])
        directory(path)
        ended = site.cli("run")
    assert ended.code == 2
    for words in ("hook.mine.run", f"{path} is a directory", "name the program that is to be run"):
        assert words in ended.err, ended.err


UNPRIVILEGED = """
import os, sys
import difflib  # what is imported late could not be read any more
from tests.e2e import runner
runner._import_all()
if os.geteuid() == 0:
    os.setgroups([]); os.setresgid(65534, 65534, 65534); os.setresuid(65534, 65534, 65534)
from renewer.cli.app import _run
sys.exit(_run(sys.argv[1:]))
"""


@pytest.fixture
def closed(pebble: Pebble) -> Iterator[Site]:
    """A site in a directory where others may look and nobody but root may write."""
    directory = Path(tempfile.mkdtemp(prefix="renewer-closed-"))
    try:
        site = Site(directory, pebble)
        for path in (site.config, site.roots):
            path.chmod(0o644)
        directory.chmod(0o555)
        yield site
    finally:
        directory.chmod(0o755)
        shutil.rmtree(directory)


@pytest.mark.parametrize("arguments", [["run"], ["run", "--json"]])
def test_unwritable_state(closed: Site, arguments: Sequence[str]) -> None:
    """Without the right to write the state: which directory, and whom to be."""
    ended = subprocess.run(
        [sys.executable, "-c", UNPRIVILEGED, "--config", str(closed.config), *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        cwd=CHECKOUT,
        env={**os.environ, "TMPDIR": "/tmp"},  # noqa: S108  where a trace would go
    )
    said = ended.stdout + ended.stderr
    assert ended.returncode == 1, said
    for words in (f"{closed.state}: Permission denied", "run as root or as the owner"):
        assert words in said
    assert "Traceback" not in said
    if "--json" in arguments:
        assert json.loads(ended.stdout)["error"]["faults"][0]["text"]
