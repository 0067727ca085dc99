"""What stands between the agent and who speaks to strangers, as `doctor` says it, however it is run."""

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.network.hidden import HIDDEN
from tests.network.processes import ended, user_of
from tests.servers.foreground import program
from tests.servers.ports import free_port

pytestmark = [
    pytest.mark.real,
    pytest.mark.slow,
    pytest.mark.skipif(os.geteuid() != 0, reason="only root may become others"),
]
CHECKOUT = Path(__file__).resolve().parents[2]
CONFIG = """
[agent]
state = "{state}"
preflight = "off"
resolvers = ["127.0.0.1:{port}"]
{more}
[authority.ours]
directory = "https://127.0.0.1:{port}/dir"
[defaults]
authority = "ours"
contact = ["ops@example.org"]
agree_terms = true
[certificate.www]
names = ["www.example.org"]
challenge = {{ type = "http-01", webroot = "/tmp" }}
"""


class Place:
    """A host's directory that everybody may use, and the command in it."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.config = directory / "config.toml"
        state = directory / "state"
        state.mkdir()
        self.configure()

    def configure(self, more: str = "") -> None:
        """With these lines in [agent]."""
        state = self.directory / "state"
        self.config.write_text(CONFIG.format(state=state, port=free_port(), more=more))

    def call(self, *words: str, through: Sequence[str] = ()) -> subprocess.CompletedProcess[str]:
        """The command, called through others."""
        argv = [*through, sys.executable, "-m", "renewer", "--config", str(self.config), *words]
        return subprocess.run(argv, capture_output=True, text=True, check=False, timeout=300, cwd=CHECKOUT)

    def separation(self, *through: str) -> Any:
        """What `doctor` says of it."""
        done = self.call("doctor", "--json", through=through)
        assert done.stdout, done.stderr
        return json.loads(done.stdout)["separation"]


@pytest.fixture
def host(place: Path) -> Place:
    """One."""
    return Place(place)


def setpriv(*words: str) -> list[str]:
    """To run something with fewer rights."""
    return [program("setpriv", "util-linux"), *words]


def test_root_has_them_be_somebody_whom_nobody_is(host: Place) -> None:
    """Nothing is missing."""
    said = host.separation()
    assert "whom nobody else is, held by Landlock" in said["text"]
    assert (said["lacks"], said["hint"]) == ("", "")


def test_the_user_that_is_named(host: Place) -> None:
    """It is that one; on the screen `doctor` and `run -v` say so in a line."""
    host.configure('network_user = "daemon"')
    assert "as user daemon, held by Landlock" in host.separation()["text"]
    lines = host.call("doctor").stdout.splitlines()
    assert lines[-1].startswith("strangers are spoken to as user daemon, held by Landlock")
    ran = host.call("-v", "run")
    assert "strangers are spoken to as user daemon" in ran.stderr, ran.stderr


@pytest.mark.parametrize(
    ("name", "why"), [("nobody-here", "there is no user nobody-here"), ("root", "rights of root")]
)
def test_a_user_that_cannot_be_had(host: Place, name: str, why: str) -> None:
    """`config check` refuses it; what is due is done all the same, as somebody whom nobody is."""
    host.configure(f'network_user = "{name}"')
    checked = host.call("config", "check")
    assert checked.returncode == 2
    assert why in checked.stderr
    assert "agent.network_user" in checked.stderr
    said = host.separation()
    assert "whom nobody else is" in said["text"]
    assert why in said["lacks"]
    assert "network_user" in said["hint"]


def test_another_user_than_root(host: Place) -> None:
    """It cannot choose: Landlock holds them."""
    said = host.separation(
        *setpriv("--reuid=daemon", "--regid=daemon", "--clear-groups", "--inh-caps=+dac_read_search"),
        "--ambient-caps=+dac_read_search",  # this checkout's Python may lie where only root may look
    )
    assert "as this program's own user (1), held by Landlock" in said["text"]
    assert "only root can choose" in said["lacks"]


def test_a_container_that_lets_nobody_become_another(host: Place) -> None:
    """Root without CAP_SETUID is told apart from a namespace without numbers."""
    said = host.separation(*setpriv("--bounding-set=-setuid,-setgid", "--inh-caps=-setuid,-setgid"))
    assert "as root without rights, held by Landlock" in said["text"]
    assert "no CAP_SETUID" in said["lacks"]
    assert "--cap-add" in said["hint"]


def test_a_user_namespace_of_one(host: Place) -> None:
    """There is nobody else in it."""
    said = host.separation(program("unshare", "util-linux"), "--user", "--map-root-user")
    assert "as root of a user namespace" in said["text"]
    assert "no other user's number" in said["lacks"]


def test_a_user_namespace_of_many(host: Place) -> None:
    """A number inside of it is taken."""
    waits = 'read -r _; exec "$@"'
    argv = [program("unshare", "util-linux"), "--user", "sh", "-c", waits, "sh"]
    argv += [
        sys.executable,
        "-m",
        "renewer",
        "--config",
        str(host.config),
        "doctor",
        "--timeout",
        "1",
        "--json",
    ]
    process = subprocess.Popen(
        argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=CHECKOUT
    )
    while os.readlink(f"/proc/{process.pid}/ns/user") == os.readlink("/proc/self/ns/user"):
        os.sched_yield()
    for kind in ("uid_map", "gid_map"):
        Path(f"/proc/{process.pid}/{kind}").write_text("0 0 65536")
    out, err = process.communicate("\n", timeout=300)
    assert out, err
    said = json.loads(out)["separation"]
    assert "whom nobody else is, held by Landlock" in said["text"]
    number = int(said["text"].split()[2].rstrip(","))
    assert 60_578 <= number < 61_184


def test_a_kernel_that_hides_landlock(host: Place) -> None:
    """Another user is some separation; without that as well there is none, and it is called so."""
    through = [sys.executable, "-c", HIDDEN]
    said = host.separation(*through)
    assert "whom nobody else is, no Landlock" in said["text"]
    assert "no Landlock" in said["lacks"]
    said = host.separation(*through, *setpriv("--bounding-set=-setuid,-setgid", "--inh-caps=-setuid,-setgid"))
    assert "no Landlock: not separated" in said["text"]


SOMEBODY = 123_456  # whose processes are counted, and who has none


def theirs() -> list[int]:
    """The processes that run as them."""
    found = []
    for one in filter(str.isdigit, os.listdir("/proc")):
        with contextlib.suppress(OSError):
            if user_of(int(one)) == SOMEBODY:
                found.append(int(one))
    return found


@pytest.mark.parametrize("most", [1, 2, 4])
def test_a_full_table_of_processes(host: Place, most: int) -> None:
    """However far it comes: that is told with what to do, nothing is lost, and nothing is left running."""
    os.chown(host.directory / "state", SOMEBODY, SOMEBODY)
    somebody = setpriv(
        *(f"--reuid={SOMEBODY}", f"--regid={SOMEBODY}", "--clear-groups"),
        *("--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search"),
    )
    full = host.call("run", "www", through=[*somebody, program("prlimit", "util-linux"), f"--nproc={most}"])
    assert full.returncode == 1, full.stderr
    assert "no more processes or threads can be started" in full.stderr
    assert "TasksMax=" in full.stderr
    assert "Traceback" not in full.stdout + full.stderr
    after = host.call("run", "www", through=somebody)
    assert "127.0.0.1" in after.stdout
    assert "cannot be reached" in after.stdout
    assert all(map(ended, theirs()))


NOTED = """
import ctypes, subprocess, sys
from renewer.cli import app
ASK = "import ctypes; print(ctypes.CDLL(None).prctl(3, 0, 0, 0, 0))"
def run(argv):
    print(ctypes.CDLL(None).prctl(3, 0, 0, 0, 0), flush=True)
    subprocess.run([sys.executable, "-c", ASK])
    return 0
app._run = run
app.main()
"""


def test_nobody_traces_main() -> None:
    """Others of its user cannot read, trace or dump it (PR_GET_DUMPABLE); programs that it calls they can."""
    done = subprocess.run(
        [sys.executable, "-c", NOTED], capture_output=True, text=True, check=True, timeout=300
    )
    assert done.stdout.split() == ["0", "1"]


CONQUERED = """
import json, os, sys
from renewer import network, workers
from renewer.network import confine
from renewer.network.door import Door
from renewer.network.verify.messages import Look
from tests.network.test_workers import HOSTILE
confine.closed_to_others()
given = json.loads(sys.argv[1]) | {"deed": "attack", "main": os.getpid(), "other": os.getppid()}
workers.PROGRAM = HOSTILE.format(given=json.dumps(given))
ours = workers.Workers()
network.opener = ours.open
Door("looks", note=print).do(Look(targets=()))
ours.close()
"""


def test_who_conquers_a_worker_of_the_same_user_gets_nothing(place: Path) -> None:
    """Root without CAP_SETUID stays who it is: Landlock holds a worker, but not how often it forks."""
    files = {name: place / name for name in ("key", "account", "ledger")}
    for path in files.values():
        path.write_bytes(b"secret")
        path.chmod(0o600)
    given = {name: str(path) for name, path in files.items()} | {"state": str(place), "port": free_port()}
    less = setpriv("--bounding-set=-setuid,-setgid", "--inh-caps=-setuid,-setgid")
    argv = [*less, sys.executable, "-c", CONQUERED, json.dumps(given)]
    done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=300, cwd=CHECKOUT)
    assert done.returncode == 0, done.stderr
    got = dict(json.loads(one) for one in done.stdout.splitlines())
    assert len(got) > 20
    assert {name for name, what in got.items() if what == "done"} <= {"fork without end", "become root"}
    assert not (place / "new").exists()
