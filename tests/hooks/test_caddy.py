"""The hook for Caddy, with real ones."""

import os

import pytest

from renewer.hooks import HookVerdict
from tests.hooks.alone import DEPLOY, TEST, Shelf
from tests.hooks.bed import NAME, Bed
from tests.hooks.walk import Note, walk
from tests.hooks.web import Caddy
from tests.servers.handshake import served_serial, wait_until

USER = "www-data"


@pytest.fixture
def shelf(bed: Bed) -> Shelf:
    """One certificate, where others than root may go."""
    return Shelf(bed.directory)


def test_the_walk(bed: Bed, record_property: Note) -> None:
    """A running Caddy takes every step of the table."""
    bed.serve(Caddy(bed.directory, bed.live))
    walk(bed, record_property)


def test_a_key_that_its_user_cannot_read(shelf: Shelf, bed: Bed) -> None:
    """Caddy reads as its own user: a key that root alone may read is noticed by `test`, and not loaded."""
    server = Caddy(bed.directory, shelf.put(), USER)
    server.serve_copies(USER)
    try:
        server.start()
        before = served_serial(server.port, NAME)
        server.key.chmod(0o600)
        server.key.write_bytes((shelf.put() / "privkey.pem").read_bytes())
        server.cert.write_bytes((server.live / "fullchain.pem").read_bytes())
        os.chown(server.key, 0, 0)
        for event in (TEST, DEPLOY):
            result = shelf.call("caddy", event, **server.env)
            assert (result.verdict, result.code) == (HookVerdict.FAILED, 1)
            assert "permission denied" in result.output
        assert served_serial(server.port, NAME) == before
        server.key.chmod(0o644)
        assert shelf.call("caddy", TEST, **server.env).verdict is HookVerdict.DONE
        assert shelf.call("caddy", DEPLOY, **server.env).verdict is HookVerdict.DONE
        serial = shelf.told("www").serial.lstrip("0")
        wait_until(lambda: served_serial(server.port, NAME) == serial, what="the new one")
    finally:
        server.stop()


def test_log_files_stay_caddys(shelf: Shelf, bed: Bed) -> None:
    """`caddy validate` makes the log files of the config: root's would shut Caddy out at its reload."""
    server = Caddy(bed.directory, shelf.put(), USER)
    server.serve_copies(USER)
    try:
        server.start()
        log = server.data / "site.log"
        server.more = f"log {{\n output file {log}\n }}"
        server.configure()
        result = shelf.call("caddy", TEST, **server.env)
        assert (result.verdict, result.error) == (HookVerdict.DONE, None), result.output
        assert log.owner() == USER
        assert shelf.call("caddy", DEPLOY, **server.env).verdict is HookVerdict.DONE
        assert [path.owner() for path in server.data.rglob("*")].count("root") == 0
    finally:
        server.stop()


def test_the_address_of_the_api(shelf: Shelf, bed: Bed) -> None:
    """CADDY_ADMIN is asked instead of the config's address; nobody there is a failure that names it."""
    server = Caddy(bed.directory, shelf.put())
    try:
        server.start()
        server.conf.write_text(server.conf.read_text().replace(server.admin, "127.0.0.1:1"))
        result = shelf.call("caddy", DEPLOY, **server.env)
        assert (result.verdict, result.code) == (HookVerdict.FAILED, 1)
        assert "127.0.0.1:1" in (result.error or "")
        server.configure()
        result = shelf.call("caddy", DEPLOY, **server.env, CADDY_ADMIN=server.admin)
        assert (result.verdict, result.error) == (HookVerdict.DONE, None), result.output
    finally:
        server.stop()
