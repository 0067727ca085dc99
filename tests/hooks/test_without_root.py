"""Hooks of what only root may do, called by another user: each says so in its own words."""

import os
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from renewer.proc import last_telling_line
from tests.hooks.alone import DIRECTORY, Shelf
from tests.hooks.dockerd import Dockerd
from tests.hooks.test_docker import CLIENT
from tests.servers.foreground import program

EVENTS = ["test", "deploy", "rollback"]
_REFUSES = """\
#!/bin/sh
case $1 in
show) if [ "$3" = LoadState ]; then echo loaded; else echo {pid}; fi ;;
is-active) exit 0 ;;
*) echo 'Failed to restart it: Interactive authentication required.' >&2; exit 1 ;;
esac
"""


class Nobody:
    """A host seen by a user who is not root, with a stand-in for systemctl that refuses him."""

    def __init__(self, place: Path) -> None:
        self.place = place
        self.shelf = Shelf(place)
        self.live = self.shelf.put()
        self.tools = place / "bin"
        self.tools.mkdir()
        self.tool("systemctl", _REFUSES.format(pid=os.getpid()))

    def tool(self, name: str, text: str) -> None:
        """A program before those of the system."""
        path = self.tools / name
        path.write_text(text)
        path.chmod(0o755)

    def call(self, hook: str, event: str, env: Mapping[str, str]) -> tuple[int, str]:
        """The hook's exit code, and what it says."""
        ended = subprocess.run(
            [
                program("setpriv", "util-linux"),
                "--reuid=nobody",
                "--regid=nogroup",
                "--clear-groups",
                DIRECTORY / hook,
                event,
            ],
            env={
                "PATH": f"{self.tools}:/usr/sbin:/usr/bin:/sbin:/bin",
                "RENEWER_LIVE": str(self.live),
                "RENEWER_CERTIFICATES": "www",
                **env,
            },
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
            cwd="/",
        )
        return ended.returncode, ended.stdout + ended.stderr

    def told(self, hook: str, event: str, **env: str) -> None:
        """It fails, and the line that is shown says why; nothing is called stopped or missing."""
        code, said = self.call(hook, event, env)
        shown = last_telling_line(said)
        assert (code, shown.startswith("needs root: "), "nobody" in shown) == (1, True, True), said
        assert "not running" not in said
        assert "no files of one certificate" not in said


@pytest.fixture
def nobody(place: Path) -> Nobody:
    """That user."""
    return Nobody(place)


@pytest.fixture
def dockerd(place: Path) -> Iterator[Dockerd]:
    """A daemon whose socket is root's."""
    running = Dockerd(place / "d").start()
    running.socket.chmod(0o600)
    yield running
    running.stop()


@pytest.mark.parametrize("event", EVENTS)
def test_docker(nobody: Nobody, dockerd: Dockerd, event: str) -> None:
    """The daemon's socket is not for everybody."""
    client = nobody.tools / "docker"
    client.write_bytes(CLIENT.read_bytes())
    client.chmod(0o755)
    nobody.told("docker", event, DOCKER_CONTAINER="web", DOCKER_HOST=dockerd.host, HOME="/nonexistent")
    assert dockerd.asked == []


@pytest.mark.parametrize("event", EVENTS)
def test_cockpit(nobody: Nobody, event: str) -> None:
    """Neither its directory nor the key is his."""
    (nobody.place / "ws-certs.d").mkdir()
    nobody.tool("ensure", "#!/bin/sh\n")
    env = {"COCKPIT_DIR": str(nobody.place / "ws-certs.d"), "COCKPIT_ENSURE": str(nobody.tools / "ensure")}
    nobody.told("cockpit", event, **env)
    assert os.listdir(nobody.place / "ws-certs.d") == []


@pytest.mark.parametrize("event", EVENTS)
def test_systemd_by_itself(nobody: Nobody, event: str) -> None:
    """Where nothing decides for it, systemd obeys root alone: known before it is asked."""
    env = {"SYSTEMD_UNITS": "stunnel4.service", "PATH": _without(nobody, "pkcheck")}
    nobody.told("systemd", event, **env)


def test_systemd_that_refuses(nobody: Nobody) -> None:
    """With polkit its rules decide when it is asked; its raw words are translated."""
    nobody.tool("pkcheck", "#!/bin/sh\nexit 1\n")
    assert nobody.call("systemd", "test", {"SYSTEMD_UNITS": "stunnel4.service"})[0] == 0
    nobody.told("systemd", "deploy", SYSTEMD_UNITS="stunnel4.service")


def test_systemd_that_lets_him(nobody: Nobody) -> None:
    """A rule of polkit's for the agent's user is enough."""
    nobody.tool("pkcheck", "#!/bin/sh\nexit 1\n")
    nobody.tool("systemctl", '#!/bin/sh\nif [ "$1" = show ]; then echo loaded; fi\n')
    env = {"SYSTEMD_UNITS": "stunnel4.service", "SYSTEMD_SETTLE": "0"}
    assert nobody.call("systemd", "deploy", env) == (0, "")


@pytest.mark.parametrize("event", EVENTS)
def test_tomcat_by_itself(nobody: Nobody, event: str) -> None:
    """A restart is root's."""
    nobody.told("tomcat", event, PATH=_without(nobody, "pkcheck"))


def test_tomcat_that_is_refused(nobody: Nobody) -> None:
    """With polkit its rules decide when it is asked."""
    nobody.tool("pkcheck", "#!/bin/sh\nexit 1\n")
    nobody.told("tomcat", "deploy")


@pytest.mark.parametrize("event", EVENTS)
@pytest.mark.parametrize("where", ["auth", "secrets/auth"])
def test_tomcat_whose_secret_is_roots(nobody: Nobody, event: str, where: str) -> None:
    """The manager's password is in a file, or a directory, of root's."""
    secret = nobody.place / where
    secret.parent.mkdir(exist_ok=True)
    if secret.parent != nobody.place:
        secret.parent.chmod(0o700)
    secret.write_text("renewer:sesame\n")
    secret.chmod(0o600)
    nobody.told("tomcat", event, TOMCAT_AUTH_FILE=str(secret))


def _without(nobody: Nobody, missing: str) -> str:
    """A search path that has all but one program."""
    for directory in ("/usr/bin", "/bin"):
        for name in os.listdir(directory):
            if name != missing and not (nobody.tools / name).is_symlink() and name != "systemctl":
                (nobody.tools / name).symlink_to(f"{directory}/{name}")
    return str(nobody.tools)
