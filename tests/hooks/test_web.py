"""What the hooks of Apache, HAProxy, lighttpd and Caddy have in common, with real servers."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from renewer.hooks import HookVerdict
from tests.hooks.alone import DEPLOY, ROLLBACK, TEST, Shelf
from tests.hooks.bed import NAME
from tests.hooks.web import Apache, Caddy, Haproxy, Lighttpd, WebServer
from tests.servers.handshake import served_serial, wait_until
from tests.servers.haproxy import program

KINDS: dict[str, Callable[[Path, Path], WebServer]] = {
    "apache": Apache,
    "caddy": Caddy,
    "haproxy": lambda directory, live: Haproxy(directory, live, api=False),
    "haproxy, runtime API": lambda directory, live: Haproxy(directory, live, api=True),
    "lighttpd": Lighttpd,
}
EVENTS = (TEST, DEPLOY, ROLLBACK)


@pytest.fixture
def shelf() -> Iterator[Shelf]:
    """One certificate, at a path short enough for sockets."""
    directory = Path(tempfile.mkdtemp(prefix="rnw-"))
    directory.chmod(0o755)
    shelf = Shelf(directory)
    shelf.put()
    yield shelf
    shutil.rmtree(directory)


@pytest.fixture(params=KINDS)
def server(shelf: Shelf, request: pytest.FixtureRequest) -> Iterator[WebServer]:
    """Each of the servers, not yet started."""
    live = shelf.directory / "www" / "live"
    server = KINDS[request.param](shelf.directory.parent.parent, live)
    yield server
    server.stop()


def serial(server: WebServer) -> str:
    """What is served now; nothing while the port does not answer."""
    try:
        return served_serial(server.port, NAME)
    except OSError:
        return ""


def wanted(shelf: Shelf) -> str:
    """What is live now."""
    return shelf.told("www").serial.lstrip("0")


def lay(server: WebServer) -> None:
    """What the agent does before it calls hooks: a copy follows `live`."""
    if isinstance(server, Haproxy):
        server.lay()


def test_it_tests_and_loads(server: WebServer, shelf: Shelf) -> None:
    """`test` leaves the old one served; `deploy` and `rollback` bring what is live."""
    server.start()
    for event in (DEPLOY, ROLLBACK):
        before = serial(server)
        shelf.put()
        lay(server)
        result = shelf.call(server.hook, TEST, **server.env)
        assert (result.verdict, result.error) == (HookVerdict.DONE, None), result.output
        assert serial(server) == before
        result = shelf.call(server.hook, event, **server.env)
        assert (result.verdict, result.error) == (HookVerdict.DONE, None), result.output
        wait_until(lambda: serial(server) == wanted(shelf), what=f"{event} at the port")


def test_a_broken_pair_is_refused(server: WebServer, shelf: Shelf) -> None:
    """A key of another certificate fails every event, which says so; the server goes on with the old one."""
    server.start()
    pid, before = server.pid, serial(server)
    (shelf.put() / "privkey.pem").write_bytes((shelf.put("other") / "privkey.pem").read_bytes())
    lay(server)
    for event in EVENTS:
        result = shelf.call(server.hook, event, **server.env)
        assert (result.verdict, result.code) == (HookVerdict.FAILED, 1)
        assert " key " in (result.error or ""), result.output
    assert (server.pid, serial(server)) == (pid, before)


@pytest.mark.parametrize("left", ["nothing", "empty", "stale", "another's", "words"])
def test_not_running_is_later(server: WebServer, shelf: Shelf, left: str) -> None:
    """Whatever a stopped server left as its pid file: 75, and the file is as it was."""
    ended = subprocess.Popen(["/bin/true"])
    ended.wait()
    content = {
        "empty": "",
        "stale": f"{ended.pid}\n",
        "another's": f"{os.getpid()}\n",
        "words": "pid 1\n",
    }.get(left)
    if content is not None:
        server.pid_file.write_text(content)
    for event in EVENTS:
        result = shelf.call(server.hook, event, **server.env)
        assert (result.verdict, result.code) == (HookVerdict.LATER, 75)
        assert "is not running" in (result.error or "")
    assert (server.pid_file.read_text() if server.pid_file.exists() else None) == content


def test_a_crashed_server_is_later(server: WebServer, shelf: Shelf) -> None:
    """After a crash the pid file is still there; started again, it is reloaded."""
    server.start()
    server.kill()
    assert shelf.call(server.hook, DEPLOY, **server.env).verdict is HookVerdict.LATER
    server.start()
    result = shelf.call(server.hook, DEPLOY, **server.env)
    assert (result.verdict, result.error) == (HookVerdict.DONE, None), result.output


def test_no_such_program(server: WebServer, shelf: Shelf) -> None:
    """A missing binary is a failure that says what to set."""
    variable = server.hook.upper()
    result = shelf.call(server.hook, TEST, **{**server.env, variable: "/no/such/program"})
    assert (result.verdict, result.code) == (HookVerdict.FAILED, 1)
    assert f"set {variable} in the hook's env" in (result.error or "")


@pytest.mark.parametrize("ours", [True, False])
def test_systemd_is_asked_only_for_its_own(server: WebServer, shelf: Shelf, *, ours: bool) -> None:
    """The unit is reloaded if its main process is this very server; another's unit is left alone."""
    if server.hook == "haproxy" and "HAPROXY_SOCKET" in server.env:
        del server.env["HAPROXY_SOCKET"]
    server.start()
    note = server.home / "asked"
    systemctl = server.home / "bin" / "systemctl"
    systemctl.parent.mkdir()
    number = "USR2" if server.hook == "haproxy" else "USR1"
    reload = "true" if server.hook == "caddy" else f"kill -{number} {server.pid}"
    systemctl.write_text(
        "#!/bin/sh\n"
        f'case $1 in show) echo {server.pid if ours else 1} ;; *) echo "$@" >>{note}; {reload} ;; esac\n'
    )
    systemctl.chmod(0o755)
    path = f"{systemctl.parent}:/usr/sbin:/usr/bin:/bin"
    result = shelf.call(server.hook, DEPLOY, **server.env, PATH=path)
    assert (result.verdict, result.error) == (HookVerdict.DONE, None), result.output
    unit = {"apache": "apache2"}.get(server.hook, server.hook)
    assert (note.read_text() if note.exists() else "") == (f"reload {unit}.service\n" if ours else "")


def test_a_failed_unit_is_restarted_at_rollback(server: WebServer, shelf: Shelf) -> None:
    """What ended during `deploy` comes back with the old version; what merely is down is left alone."""
    server.start()
    server.kill()
    note, systemctl = server.home / "asked", server.home / "bin" / "systemctl"
    systemctl.parent.mkdir()
    systemctl.touch(0o755)
    unit = {"apache": "apache2"}.get(server.hook, server.hook)
    for failed, restarts, expected in (
        (False, True, HookVerdict.LATER),
        (True, True, HookVerdict.DONE),
        (True, False, HookVerdict.FAILED),
    ):
        systemctl.write_text(
            f"#!/bin/sh\ncase $1 in show) echo 0 ;; is-failed) exec {'true' if failed else 'false'} ;;\n"
            f'*) echo "$@" >>{note}; exec {"true" if restarts else "false"} ;; esac\n'
        )
        note.write_text("")
        env = {**server.env, "PATH": f"{systemctl.parent}:/usr/sbin:/usr/bin:/bin"}
        assert [shelf.call(server.hook, event, **env).verdict for event in (TEST, DEPLOY)] == [
            HookVerdict.LATER,
            HookVerdict.LATER,
        ]
        assert note.read_text() == ""
        result = shelf.call(server.hook, ROLLBACK, **env)
        assert result.verdict is expected, result.output
        assert note.read_text() == (f"restart {unit}.service\n" if failed else "")


def test_the_servers_environment_is_no_argument(
    server: WebServer, shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What tests has the running server's variables, whatever they hold, and `ps` never shows them."""
    secret = "s3cr3t 'one' \"two\" $HOME `id` \\\\c = 3\n  and a second line"
    monkeypatch.setenv("API_TOKEN", secret)
    monkeypatch.setenv("IFS", "/")
    server.start()
    bin_, argv, environ = (server.home / name for name in ("bin", "argv", "environ"))
    bin_.mkdir()
    binary = server.env[server.hook.upper()]
    for name in ("sh", "env", "xargs", "python3", "setpriv", "grep", "sed", "tr", "awk", Path(binary).name):
        real = binary if name == Path(binary).name else program(name, name)
        keep = f'cat "/proc/$$/environ" >"{environ}"\n' if real == binary else ""
        stand_in = bin_ / name
        stand_in.write_text(f'#!/bin/sh\nprintf "%s\\n" "$0" "$@" >>"{argv}"\n{keep}exec "{real}" "$@"\n')
        stand_in.chmod(0o755)
    env = {
        **server.env,
        server.hook.upper(): str(bin_ / Path(binary).name),
        "PATH": f"{bin_}:/usr/sbin:/usr/bin:/bin",
    }
    for event in EVENTS:
        result = shelf.call(server.hook, event, **env)
        assert (result.verdict, result.error) == (HookVerdict.DONE, None), result.output
        given = environ.read_bytes().split(b"\0")
        configured_by_it = server.hook != "lighttpd"
        assert (f"API_TOKEN={secret}".encode() in given) is configured_by_it
        assert (b"IFS=/" in given) is configured_by_it
        assert any(one.startswith(b"RENEWER_") for one in given) is not configured_by_it
    assert str(bin_ / Path(binary).name) in argv.read_text().splitlines()
    assert "s3cr3t" not in argv.read_text()
