"""The hook vsftpd and a real vsftpd."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from renewer.hooks import HookVerdict
from tests.hooks.alone import DEPLOY, ROLLBACK, TEST, Shelf
from tests.hooks.bed import NAME, Bed, shown
from tests.hooks.standing import Standing
from tests.hooks.walk import Note, walk
from tests.servers.certificates import ServerRoot
from tests.servers.handshake import wait_until
from tests.servers.vsftpd import Vsftpd


class Served(Standing):
    """A vsftpd."""

    hook = "vsftpd"
    starttls = "ftp"


def test_the_walk(bed: Bed, record_property: Note) -> None:
    """A running vsftpd takes every step of the table."""
    bed.serve(Served(bed, Vsftpd))
    walk(bed, record_property)


def test_started_for_each_session(place: Path) -> None:
    """Without `listen` there is no process and nothing to do, but the pair is judged all the same."""
    root = ServerRoot()
    good, other = (root.issue(place, NAME, stem=stem) for stem in ("good", "other"))
    shelf = Shelf(place)
    shelf.put()
    vsftpd = Vsftpd(place, good.cert, good.key)
    vsftpd.configure()
    vsftpd.config.write_text(vsftpd.config.read_text().replace("listen=YES", "listen=NO"))
    for event in (TEST, DEPLOY, ROLLBACK):
        assert shelf.call("vsftpd", event, **vsftpd.env).verdict is HookVerdict.DONE
    good.key.write_bytes(other.key.read_bytes())
    assert shelf.call("vsftpd", TEST, **vsftpd.env).verdict is HookVerdict.FAILED
    assert vsftpd.listeners() == []


@contextmanager
def running(place: Path) -> Iterator[tuple[Shelf, Vsftpd]]:
    """A vsftpd that serves what lies at `live`."""
    shelf = Shelf(place)
    live = shelf.put()
    vsftpd = Vsftpd(place / "server", live / "fullchain.pem", live / "privkey.pem")
    with vsftpd:
        yield shelf, vsftpd


def test_a_fault_in_its_config_ends_nothing(place: Path) -> None:
    """A restart would end it for good: put off with vsftpd's own words, and the running one is left alone."""
    with running(place) as (shelf, vsftpd):
        before = vsftpd.listener()
        vsftpd.config.write_text(vsftpd.config.read_text() + "anon_rot=/srv/ftp\n")
        for event in (TEST, DEPLOY):
            result = shelf.call("vsftpd", event, **vsftpd.env)
            assert (result.verdict, result.code) == (HookVerdict.LATER, 75)
            assert "500 OOPS: unrecognised variable in config file: anon_rot" in (result.error or "")
        assert vsftpd.listener() == before


@pytest.mark.parametrize("restart", ["yes", ""])
def test_a_restart_that_is_wanted_all_the_same(place: Path, restart: str) -> None:
    """VSFTPD_RESTART=yes restarts it although; why it failed is told, and `rollback` starts it."""
    with running(place) as (shelf, vsftpd):
        good = vsftpd.config.read_text()
        vsftpd.config.write_text(good.replace("listen_address=127.0.0.1", "listen_address=192.0.2.1"))
        if restart:
            vsftpd.config.write_text(good + "anon_rot=/srv/ftp\n")
        result = shelf.call("vsftpd", DEPLOY, **vsftpd.env, VSFTPD_RESTART=restart)
        assert (result.verdict, result.code) == (HookVerdict.FAILED, 1)
        assert ("anon_rot" if restart else "could not bind listening") in (result.error or "")
        assert vsftpd.listeners() == []
        vsftpd.config.write_text(good)
        assert shelf.call("vsftpd", ROLLBACK, **vsftpd.env).verdict is HookVerdict.DONE
        serial = shelf.told("www").serial
        wait_until(lambda: shown(vsftpd.port, "ftp") == serial, what="the old state")


@pytest.mark.parametrize("line", ["listen=yes", "  listen=True", "listen=NO\nlisten_ipv6=yes", "listen=1"])
def test_every_way_to_say_listen(place: Path, line: str) -> None:
    """Whatever vsftpd takes for a yes: a stopped one is told as not running, never as done."""
    shelf = Shelf(place)
    live = shelf.put()
    vsftpd = Vsftpd(place, live / "fullchain.pem", live / "privkey.pem")
    vsftpd.configure()
    vsftpd.config.write_text(vsftpd.config.read_text().replace("listen=YES", line))
    for event in (TEST, DEPLOY):
        assert shelf.call("vsftpd", event, **vsftpd.env).verdict is HookVerdict.LATER


def test_lower_case_is_restarted(place: Path) -> None:
    """With `listen=yes` the new certificate is served after `deploy`, by one with the same words."""

    class Lower(Vsftpd):
        def command(self) -> Sequence[str | Path]:
            self.config.write_text(self.config.read_text().replace("listen=YES", "listen=yes"))
            return [*super().command(), "-oftpd_banner=hello"]

    shelf = Shelf(place)
    live = shelf.put()
    with Lower(place / "server", live / "fullchain.pem", live / "privkey.pem") as vsftpd:
        before = vsftpd.listener()
        shelf.put()
        assert shelf.call("vsftpd", DEPLOY, **vsftpd.env).verdict is HookVerdict.DONE
        serial = shelf.told("www").serial
        wait_until(lambda: shown(vsftpd.port, "ftp") == serial, what="the new one")
        after = vsftpd.listener()
        assert after != before
        assert b"-oftpd_banner=hello" in Path(f"/proc/{after}/cmdline").read_bytes().split(b"\0")


def test_each_instance_by_its_config(place: Path) -> None:
    """Of two the one is tested and restarted whose config the hook is told."""
    shelf = Shelf(place)
    live = shelf.put()
    one, two = (Vsftpd(place / name, live / "fullchain.pem", live / "privkey.pem") for name in ("one", "two"))
    with one, two:
        kept, before = two.listener(), one.listener()
        two.config.write_text("nonsense=1\n")
        assert shelf.call("vsftpd", DEPLOY, **one.env).verdict is HookVerdict.DONE
        assert one.listener() != before
        assert shelf.call("vsftpd", TEST, **two.env).verdict is not HookVerdict.DONE
        assert two.listener() == kept


def test_started_for_each_session_says_so(place: Path) -> None:
    """Where there is nothing to do the hook says that, and not that something was done."""
    shelf = Shelf(place)
    live = shelf.put()
    vsftpd = Vsftpd(place, live / "fullchain.pem", live / "privkey.pem")
    vsftpd.configure()
    vsftpd.config.write_text(vsftpd.config.read_text().replace("listen=YES", "listen=no"))
    assert "nothing to restart" in shelf.call("vsftpd", DEPLOY, **vsftpd.env).output
