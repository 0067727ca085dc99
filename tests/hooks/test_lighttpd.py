"""The hook for lighttpd, with real ones."""

import socket
from pathlib import Path

import pytest

from renewer.hooks import HookVerdict
from tests.hooks.alone import DEPLOY, TEST, Shelf
from tests.hooks.bed import NAME, Bed
from tests.hooks.walk import Note, walk
from tests.hooks.web import Lighttpd
from tests.servers.handshake import served_serial, wait_until

USER = "www-data"


def test_the_walk(bed: Bed, record_property: Note) -> None:
    """A running lighttpd takes every step of the table."""
    bed.serve(Lighttpd(bed.directory, bed.live))
    walk(bed, record_property)


def test_the_walk_as_a_user_with_copies(bed: Bed, record_property: Note) -> None:
    """The same as www-data, which owns the copies; graceful restarts read them as that user."""
    server = Lighttpd(bed.directory, bed.live, USER)
    server.serve_copies(USER)

    def note(name: str, value: object) -> None:
        assert isinstance(value, tuple)
        record_property(name, ("lighttpd, www-data", value[1]))

    bed.serve(server)
    walk(bed, note)


def test_a_key_that_its_user_cannot_read(bed: Bed) -> None:
    """Restarting as its user, lighttpd would end: `test` and `deploy` notice, and it goes on."""
    shelf = Shelf(bed.directory)
    server = Lighttpd(bed.directory, shelf.put(), USER)
    try:
        server.start()
        before = served_serial(server.port, NAME)
        live = shelf.put()
        for event in (TEST, DEPLOY):
            result = shelf.call("lighttpd", event, **server.env)
            assert (result.verdict, result.code) == (HookVerdict.FAILED, 1)
            assert "Permission denied" in result.output
        assert served_serial(server.port, NAME) == before

        for directory in (shelf.directory.parent, *(live.resolve().parents[level] for level in range(2))):
            directory.chmod(0o755)
        live.chmod(0o755)
        (live / "privkey.pem").chmod(0o644)
        result = shelf.call("lighttpd", DEPLOY, **server.env)
        assert (result.verdict, result.error) == (HookVerdict.DONE, None), result.output
        serial = shelf.told("www").serial.lstrip("0")
        wait_until(lambda: served_serial(server.port, NAME) == serial, what="the new one")
    finally:
        server.stop()


def test_it_returns_when_the_files_are_read(tmp_path: Path) -> None:
    """When `deploy` returns, lighttpd has read key and certificate: they may change at once."""
    shelf = Shelf(tmp_path)
    server = Lighttpd(tmp_path, shelf.put())
    try:
        server.start()
        for _ in range(5):
            shelf.put()
            result = shelf.call("lighttpd", DEPLOY, **server.env)
            assert (result.verdict, result.error) == (HookVerdict.DONE, None), result.output
            server.key.write_bytes(shelf.root.issue(tmp_path / "other", NAME).key.read_bytes())
        assert server.process is not None
        assert server.process.alive
        assert server.errors.read_text().count("server started") == 6
    finally:
        server.stop()


@pytest.mark.parametrize(
    "errorlog", ['server.errorlog-use-syslog = "enable"', 'server.errorlog = "/dev/null"', "deleted"]
)
def test_a_log_that_tells_nothing(bed: Bed, errorlog: str) -> None:
    """Where the awaited line cannot be seen, `deploy` looks for a second whether lighttpd lives on."""
    shelf = Shelf(bed.directory)
    server = Lighttpd(bed.directory, shelf.put())
    if errorlog != "deleted":
        server.errorlog = errorlog
    try:
        server.start()
        if errorlog == "deleted":
            server.errors.unlink()
        shelf.put()
        result = shelf.call("lighttpd", DEPLOY, **server.env)
        assert (result.verdict, result.error) == (HookVerdict.DONE, None), result.output
        serial = shelf.told("www").serial.lstrip("0")
        wait_until(lambda: served_serial(server.port, NAME) == serial, what="the new one")
    finally:
        server.stop()


@pytest.mark.parametrize("user", ["root", USER])
def test_open_connections_delay_nothing(bed: Bed, user: str) -> None:
    """With graceful-restart-bg and no pid file, a slow client holds up neither the restart nor others."""
    shelf = Shelf(bed.directory)
    server = Lighttpd(bed.directory, shelf.put(), user, background=True, pid=False)
    server.serve_copies(user)
    try:
        server.start()
        systemctl = server.write("systemctl", f'#!/bin/sh\n[ "$1" = show ] || exec kill -USR1 {server.pid}\n')
        systemctl.chmod(0o755)
        systemctl.write_text(f"{systemctl.read_text()}echo {server.pid}\n")
        env = {**server.env, "PATH": f"{server.home}:/usr/sbin:/usr/bin:/bin"}
        del env["LIGHTTPD_PID"]
        with socket.create_connection(("127.0.0.1", server.port)):
            wait_until(lambda: served_serial(server.port, NAME) != "", what="a handshake beside it")
            live = shelf.put()
            server.key.write_bytes((live / "privkey.pem").read_bytes())
            server.cert.write_bytes((live / "fullchain.pem").read_bytes())
            result = shelf.call("lighttpd", DEPLOY, **env)
            assert (result.verdict, result.error) == (HookVerdict.DONE, None), result.output
            serial = shelf.told("www").serial.lstrip("0")
            wait_until(lambda: _seen(server.port) == serial, what="the new one")
    finally:
        server.stop()


def _seen(port: int) -> str:
    """The serial at a port; "" for a handshake that the restart cuts off."""
    try:
        return served_serial(port, NAME)
    except OSError:
        return ""


def test_a_pid_file_that_its_user_cannot_write(bed: Bed) -> None:
    """With graceful-restart-bg lighttpd would open it as its user, and end: `test` and `deploy` notice."""
    shelf = Shelf(bed.directory)
    server = Lighttpd(bed.directory, shelf.put(), USER, background=True)
    server.serve_copies(USER)
    try:
        server.start()
        for event in (TEST, DEPLOY):
            result = shelf.call("lighttpd", event, **server.env)
            assert (result.verdict, result.code) == (HookVerdict.FAILED, 1)
            assert "cannot write server.pid-file again" in (result.error or "")
        assert served_serial(server.port, NAME)
    finally:
        server.stop()
