"""The hook tomcat and a real Tomcat."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from renewer.hooks import HookVerdict
from renewer.model.desired import HookEvent
from tests.hooks.alone import DEPLOY, ROLLBACK, TEST, Shelf
from tests.hooks.bed import Bed, Server, shown
from tests.hooks.walk import Note, walk
from tests.servers.tls_peer import Peer, tls
from tests.servers.tomcat import KEYSTORE_PASSWORD, MANAGER_PASSWORD, Tomcat


class Served(Server):
    """A Tomcat that reads a PKCS#12 copy."""

    hook = "tomcat"

    def __init__(self, bed: Bed) -> None:
        """Prepare it; the bed starts it."""
        self.live = bed.live
        directory = bed.directory / "server"
        directory.mkdir()
        self.server = Tomcat(directory, directory / "tls.p12")
        self.port = self.server.port
        self.env = self.server.env
        self.copies = (
            {
                "pkcs12": self.server.keystore,
                "password": {"file": self.server.keystore_secret},
                "mode": "0600",
            },
        )

    def start(self) -> None:
        """Start it; a keystore that is missing yet holds the placeholder."""
        if not self.server.keystore.exists():
            seal(self.server, self.live)
        self.server.start()

    def stop(self) -> None:
        """End it."""
        self.server.stop()


def seal(server: Tomcat, live: Path) -> None:
    """Write the keystore as an administrator would."""
    subprocess.run(
        [
            *(
                "openssl",
                "pkcs12",
                "-export",
                "-in",
                f"{live}/fullchain.pem",
                "-inkey",
                f"{live}/privkey.pem",
            ),
            *("-out", server.keystore, "-passout", f"file:{server.keystore_secret}"),
        ],
        check=True,
        timeout=20,
    )


def test_the_walk(bed: Bed, record_property: Note) -> None:
    """A running Tomcat takes every step of the table."""
    bed.serve(Served(bed))
    walk(bed, record_property)


@pytest.fixture(scope="module")
def stand() -> Iterator[tuple[Shelf, Tomcat]]:
    """A certificate and a running Tomcat, shared: its start takes seconds."""
    directory = Path(tempfile.mkdtemp(prefix="rnw-"))
    directory.chmod(0o755)
    shelf = Shelf(directory)
    (directory / "server").mkdir()
    server = Tomcat(directory / "server", directory / "tls.p12")
    seal(server, shelf.put())
    try:
        yield shelf, server.start()
    finally:
        server.close()
        shutil.rmtree(directory)


def test_no_password_is_an_argument(stand: tuple[Shelf, Tomcat], tmp_path: Path) -> None:
    """The manager's goes to curl by stdin, the keystore's to openssl as a file; nothing says them."""
    shelf, server = stand
    seen = tmp_path / "seen"
    for name in ("curl", "openssl"):
        wrapper = tmp_path / name
        wrapper.write_text(f'#!/bin/sh\necho {name} "$@" >>{seen}\nexec /usr/bin/{name} "$@"\n')
        wrapper.chmod(0o755)
    seal(server, shelf.put())

    path = f"{tmp_path}:/usr/bin:/bin"
    results = [shelf.call("tomcat", event, **{**server.env, "PATH": path}) for event in (TEST, DEPLOY)]

    assert [result.error for result in results] == [None, None]
    assert shown(server.port, None) == shelf.told("www").serial
    assert {"curl", "openssl"} <= set(seen.read_text().split())
    for text in (seen.read_text(), *(result.output for result in results)):
        assert MANAGER_PASSWORD not in text
        assert KEYSTORE_PASSWORD not in text


def test_a_keystore_that_cannot_be_opened(stand: tuple[Shelf, Tomcat]) -> None:
    """`test` notices, and where it is not asked to Tomcat refuses; the old one is served."""
    shelf, server = stand
    before = shown(server.port, None)
    content = server.keystore.read_bytes()
    server.keystore.write_bytes(content[:-40])
    try:
        noticed = shelf.call("tomcat", TEST, **server.env)
        refused = shelf.call("tomcat", DEPLOY, **server.env)
    finally:
        server.keystore.write_bytes(content)

    assert (noticed.verdict, noticed.code) == (HookVerdict.FAILED, 1)
    assert "tls.p12 cannot be opened" in noticed.output
    assert (refused.verdict, refused.code) == (HookVerdict.FAILED, 1)
    assert "Tomcat's manager answers 500" in (refused.error or "")
    assert "Error creating SSLContext" in (refused.error or "")
    assert shown(server.port, None) == before


def test_a_wrong_password_of_the_manager(stand: tuple[Shelf, Tomcat], tmp_path: Path) -> None:
    """It is noticed by `test`, before anything is loaded, and not taken for a Tomcat that does not run."""
    shelf, server = stand
    wrong = tmp_path / "wrong"
    wrong.write_text("renewer:barley\n")

    result = shelf.call("tomcat", TEST, **{**server.env, "TOMCAT_AUTH_FILE": str(wrong)})

    assert (result.verdict, result.code) == (HookVerdict.FAILED, 1)
    assert "Tomcat's manager answers 401" in (result.error or "")
    assert "barley" not in result.output


@pytest.fixture
def shelf(tmp_path: Path) -> Shelf:
    """A certificate, and no Tomcat."""
    shelf = Shelf(tmp_path)
    shelf.put()
    return shelf


@pytest.mark.parametrize("event", [TEST, DEPLOY, ROLLBACK])
def test_nobody_there_is_later(shelf: Shelf, tmp_path: Path, event: HookEvent) -> None:
    """Nobody at the manager's port: 75."""
    (tmp_path / "auth").write_text("renewer:sesame\n")
    env = {"TOMCAT_AUTH_FILE": str(tmp_path / "auth"), "TOMCAT_MANAGER": "http://127.0.0.1:1/manager/text"}

    result = shelf.call("tomcat", event, **env)

    assert (result.verdict, result.code) == (HookVerdict.LATER, 75)
    assert "Tomcat is not running" in (result.error or "")


@pytest.mark.parametrize(("running", "asked"), [("tomcat9", ["restart tomcat9"]), ("none", [])])
def test_without_a_manager_it_is_restarted(
    shelf: Shelf, tmp_path: Path, running: str, asked: list[str]
) -> None:
    """By systemd, and only the unit that runs (a stand-in for systemctl, for there is no systemd here)."""
    note = tmp_path / "asked"
    systemctl = tmp_path / "systemctl"
    systemctl.write_text(
        f'#!/bin/sh\ncase "$*" in "show "*" {running}") echo {os.getpid()} ;; show*) echo 0 ;;\n'
        f'*) echo "$@" >>{note} ;; esac\n'
    )
    systemctl.chmod(0o755)

    codes = [shelf.call("tomcat", event, PATH=f"{tmp_path}:/usr/bin:/bin").code for event in (TEST, DEPLOY)]

    assert codes == ([0, 0] if asked else [75, 75])
    assert (note.read_text().splitlines() if note.exists() else []) == asked


@pytest.mark.parametrize("up", [True, False])
def test_a_restart_waits_for_the_port(shelf: Shelf, tmp_path: Path, *, up: bool) -> None:
    """A Tomcat that does not come back within the hook's time limit is a failure."""
    systemctl = tmp_path / "systemctl"
    systemctl.write_text(f"#!/bin/sh\nif [ $1 = show ]; then echo {os.getpid()}; fi\n")
    systemctl.chmod(0o755)
    pair = shelf.root.issue(tmp_path / "served", "www.example.org")

    with Peer(tls(pair)) as peer:
        env = {"TOMCAT_TLS": f"127.0.0.1:{peer.port if up else 1}", "PATH": f"{tmp_path}:/usr/bin:/bin"}
        shelf.limit = 30.0 if up else 0.5
        result = shelf.call("tomcat", DEPLOY, **env)

    assert result.verdict is (HookVerdict.DONE if up else HookVerdict.FAILED)
