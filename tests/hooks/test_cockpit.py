"""The hook for Cockpit, against Cockpit's own program that chooses a certificate for the TLS proxy.

The proxy itself wants sockets at fixed places below /run, which are not a test's to make.
"""

import os
import shutil
import stat
import subprocess
from pathlib import Path

import pytest

from renewer.hooks import HookResult, HookVerdict
from renewer.model.desired import HookEvent
from tests.hooks.alone import DEPLOY, ROLLBACK, TEST, Shelf

ENSURE = Path(__file__).resolve().parents[2] / ".venv" / "cockpit" / "cockpit-certificate-ensure"
_SYSTEMCTL = """\
#!/bin/sh
case $1 in
is-active) [ -e {directory}/active ] ;;
*) echo "$@" >>{directory}/asked ; [ ! -e {directory}/refuses ] ;;
esac
"""


class Cockpit:
    """A Cockpit with a configuration and a runtime directory of its own."""

    def __init__(self, directory: Path) -> None:
        """Lay it out; systemctl is a stand-in that writes down what it is asked."""
        self.directory = directory
        self.shelf = Shelf(directory)
        self.shelf.put()
        self.certs = directory / "etc" / "cockpit" / "ws-certs.d"
        self.certs.mkdir(parents=True)
        systemctl = directory / "bin" / "systemctl"
        systemctl.parent.mkdir()
        systemctl.write_text(_SYSTEMCTL.format(directory=directory))
        systemctl.chmod(0o755)
        self.env = {
            "PATH": f"{systemctl.parent}:/usr/bin:/bin",
            "COCKPIT_DIR": str(self.certs),
            "COCKPIT_ENSURE": str(ENSURE),
            "XDG_CONFIG_DIRS": str(directory / "etc"),
        }

    def call(self, event: HookEvent, *names: str, **env: str) -> HookResult:
        """Call the hook for this Cockpit."""
        return self.shelf.call("cockpit", event, names or ["www"], **(self.env | env))

    def start(self) -> dict[str, bytes]:
        """Start it as cockpit.service does, up to the proxy; what that would serve."""
        runtime = self.directory / "run"
        shutil.rmtree(runtime, ignore_errors=True)
        runtime.mkdir()
        env = {"XDG_CONFIG_DIRS": str(self.directory / "etc"), "RUNTIME_DIRECTORY": str(runtime)}
        subprocess.run([ENSURE, "--for-cockpit-tls"], env=env, check=True, timeout=20)
        return {file: (runtime / "server" / file).read_bytes() for file in ("cert", "key")}

    @property
    def asked(self) -> list[str]:
        """What systemctl was asked to do."""
        path = self.directory / "asked"
        return path.read_text().splitlines() if path.exists() else []


@pytest.fixture
def cockpit(tmp_path: Path) -> Cockpit:
    """A Cockpit that is not running."""
    return Cockpit(tmp_path)


@pytest.mark.parametrize("event", [DEPLOY, ROLLBACK])
def test_cockpit_takes_it(cockpit: Cockpit, event: HookEvent) -> None:
    """What the hook wrote, Cockpit takes when it starts; a renewal when it starts again."""
    for _ in range(2):
        assert cockpit.call(TEST).verdict is HookVerdict.DONE
        assert cockpit.call(event).verdict is HookVerdict.DONE
        files = cockpit.shelf.files()
        assert cockpit.start() == {"cert": files["fullchain.pem"], "key": files["privkey.pem"]}
        cockpit.shelf.put()


def test_the_files_and_their_modes(cockpit: Cockpit) -> None:
    """NAME.cert has the chain, NAME.key is root's only, and nothing else is left there."""
    cockpit.call(DEPLOY)

    assert sorted(os.listdir(cockpit.certs)) == ["www.cert", "www.key"]
    assert (cockpit.certs / "www.cert").read_bytes() == cockpit.shelf.files()["fullchain.pem"]
    assert (cockpit.certs / "www.key").read_bytes() == cockpit.shelf.files()["privkey.pem"]
    modes = [stat.S_IMODE((cockpit.certs / f"www.{end}").stat().st_mode) for end in ("cert", "key")]
    assert modes == [0o644, 0o600]


def test_testing_changes_nothing(cockpit: Cockpit) -> None:
    """`test` writes no file and asks no unit for anything."""
    assert cockpit.call(TEST).verdict is HookVerdict.DONE
    assert (os.listdir(cockpit.certs), cockpit.asked) == ([], [])


def test_a_running_proxy_is_restarted(cockpit: Cockpit) -> None:
    """An active cockpit.service is restarted, unless COCKPIT_RESTART says no; a refusal is a failure."""
    cockpit.call(DEPLOY)
    assert cockpit.asked == []
    (cockpit.directory / "active").touch()
    cockpit.call(DEPLOY, COCKPIT_RESTART="no")
    assert cockpit.asked == []
    cockpit.call(DEPLOY)
    assert cockpit.asked == ["try-restart cockpit.service"]
    (cockpit.directory / "refuses").touch()
    assert cockpit.call(DEPLOY).verdict is HookVerdict.FAILED


def test_another_certificate_comes_first(cockpit: Cockpit) -> None:
    """Cockpit takes the last by the alphabet: if that is not ours, the hook has failed and says why."""
    pair = cockpit.shelf.root.issue(cockpit.certs, "old.example.org", stem="zz")
    pair.cert.rename(cockpit.certs / "zz.cert")

    result = cockpit.call(DEPLOY)

    assert (result.verdict, result.code) == (HookVerdict.FAILED, 1)
    assert "zz.cert" in (result.error or "")
    assert "see COCKPIT_NAME" in (result.error or "")
    assert cockpit.call(DEPLOY, COCKPIT_NAME="zzz-www").verdict is HookVerdict.DONE


def test_a_broken_pair_is_refused(cockpit: Cockpit) -> None:
    """Cockpit's own program says that key and certificate do not fit."""
    live = cockpit.shelf.put()
    cockpit.shelf.put("mail")
    (live / "privkey.pem").write_bytes(cockpit.shelf.files("mail")["privkey.pem"])

    result = cockpit.call(DEPLOY)

    assert (result.verdict, result.code) == (HookVerdict.FAILED, 1)
    assert cockpit.asked == []


@pytest.mark.parametrize("event", [TEST, DEPLOY, ROLLBACK])
def test_no_cockpit_here(cockpit: Cockpit, event: HookEvent) -> None:
    """A host without Cockpit: 75, until it is installed."""
    result = cockpit.call(event, COCKPIT_DIR="/no/such/ws-certs.d")

    assert (result.verdict, result.code) == (HookVerdict.LATER, 75)


@pytest.mark.parametrize("env", [{"COCKPIT_NAME": "../../passwd"}, {"COCKPIT_NAME": "a b"}, {}])
def test_one_certificate_with_a_files_name(cockpit: Cockpit, env: dict[str, str]) -> None:
    """Two certificates, or a name that leads elsewhere, are refused before anything is written."""
    cockpit.shelf.put("mail")

    result = cockpit.call(DEPLOY, *(["www"] if env else ["www", "mail"]), **env)

    assert (result.verdict, result.code) == (HookVerdict.FAILED, 1)
    assert "mend COCKPIT_NAME" in (result.error or "")
    assert os.listdir(cockpit.certs) == []
