"""The hook dovecot and a real dovecot."""

import time
from pathlib import Path

import pytest

from renewer.hooks import HookVerdict
from tests.hooks.alone import DEPLOY, TEST, Shelf
from tests.hooks.bed import NAME, Bed
from tests.hooks.sessions import Session
from tests.hooks.standing import Standing
from tests.hooks.walk import Note, walk
from tests.servers.certificates import ServerRoot
from tests.servers.dovecot import Dovecot
from tests.servers.handshake import wait_until


class Served(Standing):
    """A dovecot."""

    hook = "dovecot"
    starttls = "imap"


def test_the_walk(bed: Bed, record_property: Note) -> None:
    """A running dovecot takes every step of the table."""
    bed.serve(Served(bed, Dovecot))
    walk(bed, record_property)


def test_the_pair_of_one_name_is_looked_at_too(place: Path) -> None:
    """A key that does not fit in a local_name block is refused; a block with a certificate alone is not."""
    root = ServerRoot()
    good, other = (root.issue(place, NAME, stem=stem) for stem in ("good", "other"))
    dovecot = Dovecot(place / "server", good.cert, good.key)
    shelf = Shelf(place)
    shelf.put()
    with dovecot:
        for key, verdict in (
            (good.key, HookVerdict.DONE),
            (other.key, HookVerdict.FAILED),
            (None, HookVerdict.DONE),
        ):
            lines = f"ssl_cert = <{good.cert}\n" + (f"ssl_key = <{key}\n" if key else "")
            dovecot.extra = f"local_name {NAME} {{\n{lines}}}\n"
            dovecot.configure()
            assert shelf.call("dovecot", TEST, **dovecot.env).verdict is verdict


def test_a_config_with_a_fault_is_refused(place: Path) -> None:
    """What dovecot would not read at a reload, `test` refuses in dovecot's words."""
    pair = ServerRoot().issue(place, NAME)
    shelf = Shelf(place)
    shelf.put()
    with Dovecot(place / "server", pair.cert, pair.key) as dovecot:
        dovecot.config.write_text(dovecot.config.read_text() + "nonsense = yes\n")
        result = shelf.call("dovecot", TEST, **dovecot.env)
    assert result.verdict is HookVerdict.FAILED
    assert "Unknown setting: nonsense" in (result.error or "")


@pytest.mark.parametrize(
    "lines",
    [
        "ssl_alt_cert = <{good}\nssl_alt_key = <{other}\n",
        "local_name a.example.org {{\n  ssl_cert = <{good2}\n}}\n",
        "local_name a.example.org {{\n  ssl_key = <{other}\n}}\n",
        (
            "local 127.0.0.1 {{\n  local_name a.example.org {{\n"
            "    ssl_cert = <{good}\n    ssl_key = <{other}\n  }}\n}}\n"
        ),
        "local_name a.example.org {{\n  ssl_cert = </no/such.pem\n}}\n",
        "ssl_alt_cert = </no/such.pem\nssl_alt_key = <{other}\n",
    ],
)
def test_whatever_names_a_file_is_read(place: Path, lines: str) -> None:
    """A second pair, a block within a block, and what a block takes from around it are judged."""
    root = ServerRoot()
    good, other = (root.issue(place, NAME, stem=stem) for stem in ("good", "other"))
    shelf = Shelf(place)
    shelf.put()
    with Dovecot(place / "server", good.cert, good.key) as dovecot:
        assert shelf.call("dovecot", TEST, **dovecot.env).verdict is HookVerdict.DONE
        dovecot.extra = lines.format(good=good.cert, other=other.key, good2=other.cert)
        dovecot.configure()
        assert shelf.call("dovecot", TEST, **dovecot.env).verdict is HookVerdict.FAILED


@pytest.mark.parametrize("shut", ["yes", "no"])
def test_what_a_reload_does_to_sessions_is_said(place: Path, shut: str) -> None:
    """A session ends at a reload by default, and `test` says so before; else it goes on."""
    pair = ServerRoot().issue(place, NAME)
    shelf = Shelf(place)
    shelf.put()
    dovecot = Dovecot(place / "server", pair.cert, pair.key)
    dovecot.extra = f"shutdown_clients = {shut}\nmail_location = mbox:{place}/mail\nmail_home = {place}\n"
    with dovecot:
        said = shelf.call("dovecot", TEST, **dovecot.env).output
        assert ("ends every session" in said) is (shut == "yes")
        with Session("imap", dovecot.imap) as session:
            assert shelf.call("dovecot", DEPLOY, **dovecot.env).verdict is HookVerdict.DONE
            if shut == "yes":
                wait_until(lambda: not session.alive(), what="the end of the session")
            else:
                time.sleep(1)
                assert session.alive()
