import hashlib
import os
import shutil
import ssl
import subprocess
import time
from pathlib import Path

import pytest

from renewer import hooks
from renewer.hooks import HookResult, HookVerdict
from renewer.model.desired import SERVER_EVENTS, Endpoint, Hook, HookEvent
from renewer.network import verify
from tests.hooks.bed import NAME as SERVED
from tests.hooks.bed import Bed, Server
from tests.hooks.walk import Note, walk
from tests.servers.certificates import Pair, ServerRoot
from tests.servers.nginx import Nginx, NginxFactory

HOOK = Path(__file__).parents[2] / "hooks" / "nginx"
NAME = "a.example.org"
LATER = "asks at {} to be called later (exit code 75): nginx is not running"


@pytest.fixture
def root() -> ServerRoot:
    """An authority of the test's own."""
    return ServerRoot()


@pytest.fixture
def pair(root: ServerRoot, tmp_path: Path) -> Pair:
    """What nginx's config names."""
    return root.issue(tmp_path, NAME, stem="served")


@pytest.fixture
def nginx(pair: Pair, nginx_factory: NginxFactory) -> Nginx:
    """A running nginx with that certificate."""
    return nginx_factory({NAME: (pair.cert, pair.key)})


def settings_of(nginx: Nginx) -> dict[str, str]:
    """What makes the hook address this very nginx."""
    return {
        "NGINX": str(nginx.binary),
        "NGINX_PREFIX": f"{nginx.prefix}/",
        "NGINX_CONF": str(nginx.config),
        "NGINX_PID": str(nginx.pid_file),
    }


def call(nginx: Nginx, event: HookEvent, **env: str) -> HookResult:
    """Run the shipped hook as the agent runs it."""
    settings = settings_of(nginx) | env
    hook = Hook(name="nginx", run=str(HOOK), shipped=True, events=SERVER_EVENTS, env=tuple(settings.items()))
    (result,) = hooks.run(hook, event, [], host="web-1", run_id="r")
    return result


def put(source: Pair, place: Pair) -> str:
    """Install a pair where nginx's config looks for it; the leaf's fingerprint."""
    place.cert.write_bytes(source.cert.read_bytes())
    place.key.write_bytes(source.key.read_bytes())
    return hashlib.sha256(ssl.PEM_cert_to_DER_cert(source.cert.read_text())).hexdigest()


class Served(Server):
    """An nginx that reads from `live`."""

    hook = "nginx"
    notices = True

    def __init__(self, bed: Bed) -> None:
        paths = bed.live / "fullchain.pem", bed.live / "privkey.pem"
        self.nginx = Nginx(bed.directory / "nginx", {SERVED: paths})
        self.port = self.nginx.port
        self.env = settings_of(self.nginx)

    def start(self) -> None:
        """Start it."""
        self.nginx.start()

    def stop(self) -> None:
        """End it."""
        self.nginx.stop()


def test_the_walk(bed: Bed, record_property: Note) -> None:
    """A running nginx takes every step of the table."""
    bed.serve(Served(bed))
    walk(bed, record_property)


@pytest.mark.parametrize("event", [HookEvent.DEPLOY, HookEvent.ROLLBACK])
def test_a_new_pair_is_served(
    nginx: Nginx, pair: Pair, root: ServerRoot, tmp_path: Path, event: HookEvent
) -> None:
    """After test and deploy (or rollback) the port shows what lies in the files."""
    wanted = put(root.issue(tmp_path, NAME, stem="new"), pair)

    assert call(nginx, HookEvent.TEST).verdict is HookVerdict.DONE
    assert call(nginx, event).verdict is HookVerdict.DONE
    target = verify.Target(
        endpoint=Endpoint(server_name=NAME, port=nginx.port, host="127.0.0.1"), roots="any"
    )
    (sight,) = verify.settle(target, wanted)
    assert sight.fitted == 5


def test_a_broken_pair_is_refused(nginx: Nginx, pair: Pair, root: ServerRoot, tmp_path: Path) -> None:
    """A key that does not fit fails the test and the reload; the old certificate is still served."""
    before = nginx.serial(NAME)
    pair.cert.write_bytes(root.issue(tmp_path, NAME, stem="new").cert.read_bytes())

    for event in (HookEvent.TEST, HookEvent.DEPLOY):
        result = call(nginx, event)
        assert (result.verdict, result.code) == (HookVerdict.FAILED, 1)
        assert "[emerg]" in (result.error or "")
        assert "key values mismatch" in (result.error or "")
    assert nginx.serial(NAME) == before


def test_testing_changes_nothing(nginx: Nginx, pair: Pair, root: ServerRoot, tmp_path: Path) -> None:
    """`test` alone leaves the old certificate in place."""
    before = nginx.serial(NAME)
    put(root.issue(tmp_path, NAME, stem="new"), pair)

    call(nginx, HookEvent.TEST)

    time.sleep(0.2)
    assert nginx.serial(NAME) == before


@pytest.mark.parametrize("event", SERVER_EVENTS)
@pytest.mark.parametrize("left", ["nothing", "empty", "stale", "another's", "words"])
def test_not_running_is_later(nginx: Nginx, event: HookEvent, left: str) -> None:
    """Whatever a stopped nginx left as its pid file: 75, and the file is as it was."""
    pid = nginx.pid
    nginx.kill()
    content = {"empty": "", "stale": f"{pid}\n", "another's": f"{os.getpid()}\n", "words": "pid 1\n"}.get(
        left
    )
    nginx.pid_file.unlink(missing_ok=True)
    if content is not None:
        nginx.pid_file.write_text(content)

    result = call(nginx, event)

    assert (result.verdict, result.code) == (HookVerdict.LATER, 75)
    assert LATER.format(event) in (result.error or "")
    assert (nginx.pid_file.read_text() if nginx.pid_file.exists() else None) == content


def test_another_master_is_not_signalled(nginx: Nginx) -> None:
    """A crash left the pid file, and its number is php-fpm's by now, which is a `master process` as well."""
    nginx.kill()
    argv = ["php-fpm: master process (/etc/php/8.2/fpm/php-fpm.conf)", "600"]
    with subprocess.Popen(argv, executable=shutil.which("sleep")) as stranger:
        nginx.pid_file.write_text(f"{stranger.pid}\n")

        assert call(nginx, HookEvent.DEPLOY).verdict is HookVerdict.LATER

        assert stranger.poll() is None  # HUP would have ended it
        stranger.kill()


def test_an_nginx_that_comes_back_is_reloaded(nginx: Nginx) -> None:
    """After 75 for a stopped nginx, the next call finds it running."""
    nginx.kill()
    assert call(nginx, HookEvent.DEPLOY).verdict is HookVerdict.LATER
    nginx.start()
    assert call(nginx, HookEvent.DEPLOY).verdict is HookVerdict.DONE


def test_other_events_are_not_its_business() -> None:
    """An event of a later renewer is answered by 42."""
    assert subprocess.run([HOOK, "dance"], check=False, timeout=10).returncode == 42
    assert subprocess.run([HOOK], check=False, timeout=10).returncode == 42


def test_no_nginx_at_all(nginx: Nginx) -> None:
    """A missing binary is a failure that says what to set."""
    result = call(nginx, HookEvent.TEST, NGINX="/no/such/nginx")

    assert (result.verdict, result.code) == (HookVerdict.FAILED, 1)
    assert "set NGINX in the hook's env" in (result.error or "")


def test_the_pid_file_that_nginx_was_built_with(nginx: Nginx, tmp_path: Path) -> None:
    """Without NGINX_PID the binary is asked where it writes its pid."""
    built = tmp_path / "nginx"
    built.write_text(
        "#!/bin/sh\n"
        f'if [ "$1" = -V ]; then echo "configure arguments: --pid-path={nginx.pid_file} --x" >&2; exit; fi\n'
        f'exec {nginx.binary} "$@"\n'
    )
    built.chmod(0o755)

    assert call(nginx, HookEvent.DEPLOY, NGINX=str(built), NGINX_PID="").verdict is HookVerdict.DONE


@pytest.mark.parametrize(("main_pid", "by_systemd"), [("ours", True), ("other", False)])
def test_systemd_is_asked_only_for_its_own(
    nginx: Nginx, tmp_path: Path, *, main_pid: str, by_systemd: bool
) -> None:
    """The unit is reloaded if its main process is this very nginx; another's unit is left alone."""
    note = tmp_path / "asked"
    systemctl = tmp_path / "bin" / "systemctl"
    systemctl.parent.mkdir()
    systemctl.write_text(
        "#!/bin/sh\n"
        f'case $1 in show) echo {nginx.pid if main_pid == "ours" else 1} ;; *) echo "$@" >>{note} ;; esac\n'
    )
    systemctl.chmod(0o755)
    result = call(nginx, HookEvent.DEPLOY, PATH=f"{systemctl.parent}:/usr/sbin:/usr/bin:/bin")

    assert result.verdict is HookVerdict.DONE
    assert (note.read_text() if note.exists() else "") == ("reload nginx.service\n" if by_systemd else "")


def test_shellcheck_is_silent() -> None:
    """The hook is plain POSIX sh, and short enough to be read."""
    shellcheck = shutil.which("shellcheck")
    if shellcheck is None:
        pytest.skip("shellcheck is not installed")
    result = subprocess.run(
        [shellcheck, "--shell=sh", HOOK], capture_output=True, text=True, check=False, timeout=60
    )

    assert (result.returncode, result.stdout) == (0, "")
    assert len(HOOK.read_text().splitlines()) <= 60
