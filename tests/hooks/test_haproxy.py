"""The hook for HAProxy, with real ones."""

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from renewer.hooks import HookResult, HookVerdict
from tests.hooks.alone import DEPLOY, ROLLBACK, TEST, Shelf
from tests.hooks.bed import NAME, Bed
from tests.hooks.walk import Note, walk
from tests.hooks.web import Haproxy
from tests.servers.handshake import served_serial, wait_until

Make = Callable[..., Haproxy]


@pytest.mark.parametrize("api", [False, True], ids=["reload", "runtime API"])
def test_the_walk(bed: Bed, record_property: Note, *, api: bool) -> None:
    """A running HAProxy takes every step of the table, by reload and by its runtime API."""

    def note(name: str, value: object) -> None:
        assert isinstance(value, tuple)
        record_property(name, ("haproxy, runtime API" if api else "haproxy, reload", value[1]))

    bed.serve(Haproxy(bed.directory, bed.live, api=api))
    walk(bed, note)


@pytest.fixture
def shelf(bed: Bed) -> Shelf:
    """One certificate, at a path short enough for a socket."""
    shelf = Shelf(bed.directory)
    shelf.put()
    return shelf


@pytest.fixture
def make(shelf: Shelf, bed: Bed) -> Iterator[Make]:
    """Makes a started HAProxy."""
    made: list[Haproxy] = []

    def start(*, api: bool = True, master: bool = True, crt: str | None = None) -> Haproxy:
        live = shelf.directory / "www" / "live"
        server = Haproxy(bed.directory, live, api=api, master=master, crt=crt)
        made.append(server)
        server.start()
        return server

    yield start
    for server in made:
        server.stop()


def deploy(shelf: Shelf, server: Haproxy, **env: str) -> HookResult:
    """A new version at `live` and in the copy, and the hook's `deploy`."""
    shelf.put()
    server.lay()
    return shelf.call("haproxy", DEPLOY, **server.env | env)


def is_served(shelf: Shelf, server: Haproxy) -> None:
    """The port comes to show what is live."""
    serial = shelf.told("www").serial.lstrip("0")
    wait_until(lambda: served_serial(server.port, NAME) == serial, what="the new one")


def workers(server: Haproxy) -> str:
    """The processes of a master; its port answers before it has any."""
    children = Path(f"/proc/{server.pid}/task/{server.pid}/children")
    wait_until(lambda: children.read_text() != "", what="a worker")
    return children.read_text()


def test_the_runtime_api_replaces_no_process(shelf: Shelf, make: Make) -> None:
    """With its socket it loads at once, the worker stays the same, and a restart serves it, too."""
    server = make()
    before = workers(server)
    result = deploy(shelf, server)
    assert (result.verdict, result.error) == (HookVerdict.DONE, None), result.output
    serial = shelf.told("www").serial.lstrip("0")
    assert [served_serial(server.port, NAME) for _ in range(5)] == [serial] * 5
    assert workers(server) == before
    server.stop()
    server.start()
    assert served_serial(server.port, NAME) == serial


def test_no_master_but_a_socket(shelf: Shelf, make: Make) -> None:
    """The runtime API needs no master."""
    server = make(master=False)
    result = deploy(shelf, server)
    assert (result.verdict, result.error) == (HookVerdict.DONE, None), result.output
    is_served(shelf, server)


def test_neither_master_nor_socket(shelf: Shelf, make: Make) -> None:
    """USR2 would end a HAProxy that is no master: it is not sent, and the sentence says what to do."""
    server = make(api=False, master=False)
    before = served_serial(server.port, NAME)
    result = deploy(shelf, server)
    assert (result.verdict, result.code) == (HookVerdict.FAILED, 1)
    assert "set HAPROXY_SOCKET in the hook's env" in (result.error or "")
    assert served_serial(server.port, NAME) == before


@pytest.mark.parametrize("master", [True, False])
def test_a_wrong_socket(shelf: Shelf, make: Make, *, master: bool) -> None:
    """A socket that is not there is an error in one line, also at `test`, and nothing is reloaded."""
    server = make(master=master)
    before = served_serial(server.port, NAME)
    for event in (TEST, DEPLOY):
        shelf.put()
        server.lay()
        result = shelf.call("haproxy", event, **server.env | {"HAPROXY_SOCKET": "/no/such/socket"})
        assert (result.verdict, result.code) == (HookVerdict.FAILED, 1)
        assert "error: HAPROXY_SOCKET /no/such/socket: [Errno 2] No such file or directory" in (
            result.error or ""
        )
        assert "Traceback" not in result.output
    assert served_serial(server.port, NAME) == before


def test_a_socket_of_something_else(shelf: Shelf, make: Make, bed: Bed) -> None:
    """What is no socket of this HAProxy, or may not load certificates, is named; nothing is reloaded."""
    server = make()
    quiet = bed.directory / "quiet"
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(quiet))
        listening.listen()

        def hang_up() -> None:
            with contextlib.suppress(OSError):
                while True:
                    listening.accept()[0].close()

        threading.Thread(target=hang_up, daemon=True).start()
        result = deploy(shelf, server, HAPROXY_SOCKET=str(quiet))
        listening.shutdown(socket.SHUT_RDWR)
    assert result.code == 1
    assert f"error: HAPROXY_SOCKET {quiet}: " in (result.error or "")
    assert "Traceback" not in result.output


def test_of_two_the_one_that_is_meant(shelf: Shelf, make: Make, bed: Bed) -> None:
    """Each is tested with its own config, and the socket of one is refused for the other."""
    one = make()
    home = bed.directory / "second"
    home.mkdir()
    two = Haproxy(home, shelf.directory / "www" / "live", api=True)
    try:
        two.start()
        (two.home / "haproxy.cfg").write_text("frontend nowhere\n    bin\n")
        assert deploy(shelf, one).verdict is HookVerdict.DONE
        assert "haproxy.cfg:2]" in (shelf.call("haproxy", TEST, **two.env).error or "")
        result = deploy(shelf, one, HAPROXY_SOCKET=str(two.socket))
        assert (result.code, f"it is not of HAProxy {one.pid}" in (result.error or "")) == (1, True)
    finally:
        two.stop()


def test_one_that_reloads_is_running(shelf: Shelf, make: Make) -> None:
    """HAProxy empties its pid file while it reloads: the hook waits a moment before it says "not running"."""
    server = make(api=False)
    server.pid_file.write_text("")
    sleep = server.home / "bin" / "sleep"
    sleep.parent.mkdir()
    sleep.write_text(f"#!/bin/sh\necho {server.pid} >{server.pid_file}\n")
    sleep.chmod(0o755)
    result = deploy(shelf, server, PATH=f"{sleep.parent}:/usr/sbin:/usr/bin:/bin")
    assert (result.verdict, result.error) == (HookVerdict.DONE, None), result.output
    is_served(shelf, server)


def test_what_is_not_loaded_yet_takes_a_reload(shelf: Shelf, make: Make, bed: Bed) -> None:
    """A first certificate beside others in a directory is unknown to the runtime API: HAProxy is reloaded."""
    certs = bed.directory / "haproxy" / "certs"
    server = make(crt=f"{certs}/")
    live = shelf.put("second")
    second = certs / "second.pem"
    second.write_bytes((live / "privkey.pem").read_bytes() + (live / "fullchain.pem").read_bytes())
    result = shelf.call("haproxy", DEPLOY, ["second"], **server.env)
    assert (result.verdict, result.error) == (HookVerdict.DONE, None), result.output
    assert "has not loaded" in result.output
    serial = shelf.told("second").serial.lstrip("0")
    wait_until(lambda: served_serial(server.port, "second.example.org") == serial, what="the second")

    before = workers(server)
    shelf.put()
    server.lay()
    live = shelf.put("second")
    second.write_bytes((live / "privkey.pem").read_bytes() + (live / "fullchain.pem").read_bytes())
    for event in (TEST, ROLLBACK):
        result = shelf.call("haproxy", event, ["www", "second"], **server.env)
        assert (result.verdict, result.error) == (HookVerdict.DONE, None), result.output
    is_served(shelf, server)
    serial = shelf.told("second").serial.lstrip("0")
    assert served_serial(server.port, "second.example.org") == serial
    assert workers(server).split()[-1] == before.split()[-1]


def test_a_chain_too_long_for_the_socket(shelf: Shelf, make: Make) -> None:
    """What does not fit into HAProxy's buffer is refused at the socket, told, and loaded by a reload."""
    server = make()
    shelf.put()
    server.pem.write_bytes(server.key.read_bytes() + server.cert.read_bytes() + shelf.root.pem * 40)
    result = shelf.call("haproxy", DEPLOY, **server.env)
    assert result.verdict is HookVerdict.DONE, result.output
    assert "does not load" in result.output
    is_served(shelf, server)


def test_paths_with_spaces(shelf: Shelf, bed: Bed) -> None:
    """Configs, copies and socket may have spaces in their paths, as they are found and as they are named."""
    home = bed.directory / "two words; three"
    home.mkdir()
    server = Haproxy(home, shelf.directory / "www" / "live", api=True)
    more = server.write("one more.cfg", "backend more\n    mode tcp\n")
    server.argv = [*server.argv, "-f", more]
    try:
        server.start()
        for env in ({}, {"HAPROXY_CONF": str(server.home / "haproxy.cfg")}):
            before = workers(server)
            result = deploy(shelf, server, **env)
            assert (result.verdict, result.output) == (HookVerdict.DONE, ""), result.output
            is_served(shelf, server)
            assert workers(server) == before
        more.write_text("frontend nowhere\n    bin\n")
        result = shelf.call("haproxy", TEST, **server.env)
        assert (result.verdict, result.code) == (HookVerdict.FAILED, 1)
        assert f"[{more}:2]" in (result.error or "")
    finally:
        server.stop()


def test_the_config_that_is_named(shelf: Shelf, make: Make) -> None:
    """HAPROXY_CONF must be one of those that will be loaded: another is refused, and not tested instead."""
    server = make()
    other = server.write("other.cfg", "frontend nowhere\n    mode tcp\n")
    result = shelf.call("haproxy", TEST, **server.env, HAPROXY_CONF=str(other))
    assert (result.verdict, result.code) == (HookVerdict.FAILED, 1)
    assert f"HAProxy {server.pid} was not started with HAPROXY_CONF {other}" in (result.error or "")
