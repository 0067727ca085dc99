"""The hook for lighttpd, with real ones."""

import socket
from pathlib import Path

from renewer.hooks import Verdict
from tests.hooks.alone import DEPLOY, TEST, Shelf
from tests.hooks.bed import NAME, Bed
from tests.hooks.walk import Note, walk
from tests.hooks.web import Lighttpd
from tests.servers.handshake import served_serial, wait_until


def test_the_walk(bed: Bed, record_property: Note) -> None:
    """A running lighttpd takes every step of the table."""
    bed.serve(Lighttpd(bed.directory, bed.live))
    walk(bed, record_property)


def test_the_walk_as_a_user_with_copies(bed: Bed, record_property: Note) -> None:
    """The same as www-data, which owns the copies; graceful restarts read them as that user."""
    server = Lighttpd(bed.directory, bed.live, "www-data")
    server.serve_copies("www-data")

    def note(name: str, value: object) -> None:
        assert isinstance(value, tuple)
        record_property(name, ("lighttpd, www-data", value[1]))

    bed.serve(server)
    walk(bed, note)


def test_a_key_that_its_user_cannot_read(bed: Bed) -> None:
    """Restarting as its user, lighttpd would end: `test` and `deploy` notice, and it goes on."""
    shelf = Shelf(bed.directory)
    server = Lighttpd(bed.directory, shelf.put(), "www-data")
    try:
        server.start()
        before = served_serial(server.port, NAME)
        live = shelf.put()
        for event in (TEST, DEPLOY):
            result = shelf.call("lighttpd", event, **server.env)
            assert (result.verdict, result.code) == (Verdict.FAILED, 1)
            assert "Permission denied" in result.output
        assert served_serial(server.port, NAME) == before

        for directory in (shelf.directory.parent, *(live.resolve().parents[level] for level in range(2))):
            directory.chmod(0o755)
        live.chmod(0o755)
        (live / "privkey.pem").chmod(0o644)
        result = shelf.call("lighttpd", DEPLOY, **server.env)
        assert (result.verdict, result.error) == (Verdict.DONE, None), result.output
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
            assert (result.verdict, result.error) == (Verdict.DONE, None), result.output
            server.key.write_bytes(shelf.root.issue(tmp_path / "other", NAME).key.read_bytes())
        assert server.process is not None
        assert server.process.alive
        assert server.log.read_text().count("server started") == 6
    finally:
        server.stop()


def test_an_open_connection_delays_nothing(tmp_path: Path) -> None:
    """With graceful-restart-bg, which the header asks for, a slow client does not hold up the others."""
    shelf = Shelf(tmp_path)
    server = Lighttpd(tmp_path, shelf.put())
    try:
        server.start()
        with socket.create_connection(("127.0.0.1", server.port)) as slow:
            wait_until(lambda: served_serial(server.port, NAME) != "", what="a handshake beside it")
            shelf.put()
            result = shelf.call("lighttpd", DEPLOY, **server.env)
            assert (result.verdict, result.error) == (Verdict.DONE, None), result.output
            serial = shelf.told("www").serial.lstrip("0")
            wait_until(lambda: served_serial(server.port, NAME) == serial, what="the new one")
            slow.sendall(b"still here")
    finally:
        server.stop()
