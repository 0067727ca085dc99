"""The hook for Docker: a real docker client, and a stand-in for its daemon.

No container can be run where these tests must run: what is proven is what the daemon is asked for.
"""

import os
import shutil
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from renewer.hooks import HookResult, HookVerdict
from renewer.model.desired import HookEvent
from tests.hooks.alone import DEPLOY, FILES, ROLLBACK, TEST, Shelf
from tests.hooks.dockerd import Dockerd

CLIENT = Path(__file__).resolve().parents[2] / ".venv" / "docker" / "docker"
EVENTS = [TEST, DEPLOY, ROLLBACK]


class Host:
    """Two certificates, a daemon with the container `web`, and a home for the client."""

    def __init__(self, directory: Path) -> None:
        """Start the daemon."""
        self.shelf = Shelf(directory)
        self.shelf.put("www")
        self.shelf.put("mail")
        self.dockerd = Dockerd(directory / "d").start()
        self.env = {
            "DOCKER": str(CLIENT),
            "DOCKER_HOST": self.dockerd.host,
            "DOCKER_CONTAINER": "web",
            "DOCKER_SETTLE": "0.01",
            "HOME": str(directory),
        }

    def call(self, event: HookEvent, *names: str, **env: str) -> HookResult:
        """Call the hook for the container."""
        return self.shelf.call("docker", event, names or ["www"], **(self.env | env))


@pytest.fixture
def host() -> Iterator[Host]:
    """A host with a running container; at a short path, for sockets have little room for theirs."""
    directory = Path(tempfile.mkdtemp(prefix="rnw-"))
    host = Host(directory)
    yield host
    host.dockerd.stop()
    shutil.rmtree(directory)


@pytest.mark.parametrize("event", [DEPLOY, ROLLBACK])
@pytest.mark.parametrize(
    ("env", "asked"),
    [
        ({}, ["kill HUP"]),
        ({"DOCKER_SIGNAL": "USR2"}, ["kill USR2"]),
        ({"DOCKER_SIGNAL": "restart"}, ["restart"]),
        ({"DOCKER_SIGNAL": "none"}, []),
        ({"DOCKER_TO": "/certs"}, ["cp /certs", "kill HUP"]),
    ],
)
def test_what_the_container_gets(host: Host, event: HookEvent, env: dict[str, str], asked: list[str]) -> None:
    """A signal, a restart, or nothing; files before the signal, if they are to be copied."""
    assert host.call(TEST, **env).verdict is HookVerdict.DONE
    assert host.dockerd.asked == []
    assert host.call(event, **env).verdict is HookVerdict.DONE
    assert host.dockerd.asked == asked


def test_files_are_copied_into_it(host: Host) -> None:
    """Each certificate has a directory of its name there, its owner's only; a renewal replaces it."""
    for _ in range(2):
        result = host.call(DEPLOY, "www", "mail", DOCKER_TO="/certs", DOCKER_OWNER="101:102")
        assert result.verdict is HookVerdict.DONE
        for name in ("www", "mail"):
            place = host.dockerd.files / "certs" / name
            assert {path.name: path.read_bytes() for path in place.iterdir()} == host.shelf.files(name)
            assert stat.S_IMODE((place / "privkey.pem").stat().st_mode) == 0o600
        host.shelf.put("www")

    wanted = {name for one in ("www", "mail") for name in (one, *(f"{one}/{file}" for file in FILES))}
    assert {name.rstrip("/") for name in host.dockerd.owners} == wanted
    assert set(host.dockerd.owners.values()) == {(101, 102)}


def test_no_such_directory_in_it(host: Host) -> None:
    """A directory that the container does not have is a failure, and no signal is sent."""
    result = host.call(DEPLOY, DOCKER_TO="/no/such")

    assert (result.verdict, result.code) == (HookVerdict.FAILED, 1)
    assert "/no/such" in result.output
    assert host.dockerd.asked == []


def test_what_cannot_be_read_is_not_left_out(host: Host) -> None:
    """A key that is missing fails the hook: nothing of that certificate is copied, and no signal is sent."""
    host.call(DEPLOY, DOCKER_TO="/certs")
    before = host.shelf.files("www")
    (host.shelf.put("www") / "privkey.pem").unlink()
    host.dockerd.asked.clear()

    result = host.call(DEPLOY, DOCKER_TO="/certs")

    assert (result.verdict, result.code, host.dockerd.asked) == (HookVerdict.FAILED, 1, [])
    place = host.dockerd.files / "certs" / "www"
    assert {path.name: path.read_bytes() for path in place.iterdir()} == before


def test_a_tar_that_fails_fails_the_hook(host: Host) -> None:
    """One that does not know our options writes an empty archive, which docker takes gladly."""
    tools = host.shelf.directory / "tools"
    tools.mkdir()
    tar = tools / "tar"
    tar.write_text("#!/bin/sh\necho 'unrecognized option: transform' >&2\nexit 1\n")
    tar.chmod(0o755)

    result = host.call(DEPLOY, DOCKER_TO="/certs", PATH=f"{tools}:/usr/bin:/bin")

    assert (result.verdict, result.code) == (HookVerdict.FAILED, 1)
    assert "kill HUP" not in host.dockerd.asked


@pytest.mark.parametrize("event", EVENTS)
def test_a_stopped_container_is_later(host: Host, event: HookEvent) -> None:
    """75, and the container is as it was."""
    host.dockerd.running = False

    result = host.call(event, DOCKER_TO="/certs")

    assert (result.verdict, result.code) == (HookVerdict.LATER, 75)
    assert (result.error or "").endswith("web is not running")
    assert host.dockerd.asked == []


@pytest.mark.parametrize("event", EVENTS)
def test_a_stopped_daemon_is_later(host: Host, event: HookEvent) -> None:
    """No Docker, no container: 75."""
    host.dockerd.stop()

    result = host.call(event)

    assert (result.verdict, result.code) == (HookVerdict.LATER, 75)
    assert "Is the docker daemon running?" in (result.error or "")


@pytest.mark.parametrize("event", EVENTS)
def test_an_unknown_container(host: Host, event: HookEvent) -> None:
    """A name that Docker does not know is a failure, not something to wait for."""
    result = host.call(event, DOCKER_CONTAINER="wbe")

    assert (result.verdict, result.code) == (HookVerdict.FAILED, 1)
    assert "No such container: wbe" in (result.error or "")


def test_a_container_that_ends_by_the_signal(host: Host) -> None:
    """What does not expect SIGHUP is ended by it: the hook notices and has failed."""
    host.dockerd.expects = set()

    result = host.call(DEPLOY)

    assert (result.verdict, result.code) == (HookVerdict.FAILED, 1)
    assert (result.error or "").endswith("web is not running")


@pytest.mark.parametrize("name", ["", "--all"])
def test_no_containers_name(host: Host, name: str) -> None:
    """Without a name, or with an option in its place, nothing is asked."""
    result = host.call(DEPLOY, DOCKER_CONTAINER=name)

    assert "set DOCKER_CONTAINER in the hook's env" in (result.error or "")
    assert os.listdir(host.dockerd.files / "certs") == []
