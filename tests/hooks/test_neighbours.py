"""Hooks beside a second instance of their server, with a config that is broken, and without root."""

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from renewer.hooks import HookVerdict
from renewer.proc import last_telling_line
from tests.hooks import table
from tests.hooks.alone import DEPLOY, DIRECTORY, TEST, Shelf
from tests.hooks.bed import shown
from tests.hooks.walk import Note
from tests.hooks.web import Apache, Haproxy, WebServer
from tests.servers import mariadb, postgresql, prosody
from tests.servers.dovecot import Dovecot
from tests.servers.foreground import Foreground, program
from tests.servers.handshake import wait_until
from tests.servers.mariadb import Mariadb
from tests.servers.postfix import Postfix
from tests.servers.postgresql import Postgresql
from tests.servers.prosody import Prosody
from tests.servers.redis import Redis
from tests.servers.vsftpd import Vsftpd

KINDS: dict[str, tuple[type[Foreground], str | None, str]] = {
    "dovecot": (Dovecot, "imap", "root"),
    "mariadb": (Mariadb, "mysql", mariadb.USER),
    "postfix": (Postfix, "smtp", "root"),
    "postgresql": (Postgresql, "postgresql", postgresql.USER),
    "prosody": (Prosody, "xmpp", prosody.USER),
    "redis": (Redis, None, "root"),
    "vsftpd": (Vsftpd, "ftp", "root"),
}
CONFIGS: dict[str, str] = {
    "apache": "apache.conf",
    "dovecot": "dovecot.conf",
    "haproxy": "haproxy.cfg",
    "postfix": "etc/master.cf",
    "postgresql": "postgresql.conf",
    "prosody": "prosody.cfg.lua",
    "vsftpd": "vsftpd.conf",
}
"""What a reload or restart reads anew; MariaDB and Redis read none."""
ALL = ["apache", "haproxy", *KINDS]


class Instance:
    """One running server of a kind, with files of its own."""

    def __init__(self, hook: str, home: Path) -> None:
        home.mkdir()
        self.hook, self.shelf = hook, Shelf(home)
        self.live = self.shelf.put()
        self.starttls: str | None = None
        self.server: WebServer | Foreground
        if hook in KINDS:
            kind, self.starttls, self.owner = KINDS[hook]
            self.tls = home / "tls"
            self.tls.mkdir()
            self.server = kind(home / "server", self.tls / "fullchain.pem", self.tls / "privkey.pem")
            self.config = home / "server" / CONFIGS.get(hook, "")
        else:
            self.server = Apache(home, self.live) if hook == "apache" else Haproxy(home, self.live, api=False)
            self.config = self.server.home / CONFIGS[hook]
        self.lay()
        for path in (home, *home.parents):
            path.chmod(path.stat().st_mode | 0o011)

    def lay(self) -> None:
        """What is live becomes what the server's config names."""
        if isinstance(self.server, Haproxy):
            self.server.lay()
        elif isinstance(self.server, Foreground):
            for name in ("fullchain.pem", "privkey.pem"):
                shutil.copy(self.live / name, self.tls / name)
                shutil.chown(self.tls / name, self.owner, self.owner)
                (self.tls / name).chmod(0o600)

    def renew(self) -> str:
        """A new version, laid; its serial."""
        self.shelf.put()
        self.lay()
        return self.shelf.told("www").serial

    @property
    def served(self) -> str:
        """The serial at its port."""
        return shown(self.server.port, self.starttls)


@pytest.fixture
def instance(place: Path) -> Iterator[Callable[[str], Instance]]:
    """Makes a running one; all are ended."""
    made: list[Instance] = []

    def make(hook: str) -> Instance:
        one = Instance(hook, place / str(len(made)))
        made.append(one)
        one.server.start()
        return one

    yield make
    for one in made:
        one.server.stop()


@pytest.mark.parametrize("hook", ALL)
def test_a_second_instance_and_a_broken_config(
    instance: Callable[[str], Instance], record_property: Note, hook: str
) -> None:
    """Each is told apart: one is renewed while the other's config is broken, which its own `test` refuses."""
    one, other = instance(hook), instance(hook)
    before = other.served
    if hook in CONFIGS:
        other.config.write_text("}} this is = no config {{\n" + other.config.read_text())
    waiting = other.renew()
    serial = one.renew()
    # Each new smtpd of Postfix reads the files as they stand, whether anybody asks it to reload or not
    fine = {before, waiting} if hook == "postfix" else {before}
    for event in (TEST, DEPLOY):
        result = one.shelf.call(hook, event, **one.server.env)
        assert (result.verdict, result.error) == (HookVerdict.DONE, None), result.output
    wait_until(lambda: one.served == serial, what="the new one")
    assert other.served in fine
    record_property(table.PROPERTY, (hook, "second instance"))
    if hook not in CONFIGS:
        record_property(table.PROPERTY, (hook, "config broken", "not read"))
        return
    result = other.shelf.call(hook, TEST, **other.server.env)
    assert result.verdict is (HookVerdict.LATER if hook == "vsftpd" else HookVerdict.FAILED), result.output
    assert other.served in fine
    record_property(table.PROPERTY, (hook, "config broken"))


@pytest.mark.parametrize("hook", ALL)
def test_without_root(instance: Callable[[str], Instance], record_property: Note, hook: str) -> None:
    """Whoever may not do it is told that it needs root, and not that the server is stopped."""
    one = instance(hook)
    one.renew()
    before = one.served
    with as_nobody(one, hook) as (code, said):
        if hook in ("mariadb", "redis"):
            assert (code, "ermission denied" in said or "Access denied" in said) == (1, True), said
            record_property(table.PROPERTY, (hook, "without root", "by its account"))
        else:
            assert (code, last_telling_line(said).partition("needs root: ")[1]) == (1, "needs root: "), said
            record_property(table.PROPERTY, (hook, "without root", "said"))
        assert "Traceback" not in said
        assert "not running" not in said
    assert one.served == before


@contextmanager
def as_nobody(one: Instance, hook: str) -> Iterator[tuple[int, str]]:
    """The exit code of the hook's `test` as another user, and what it says."""
    ended = subprocess.run(
        [
            program("setpriv", "util-linux"),
            "--reuid=nobody",
            "--regid=nogroup",
            "--clear-groups",
            DIRECTORY / hook,
            "test",
        ],
        env={"PATH": os.environ["PATH"], "RENEWER_LIVE": str(one.live), **one.server.env},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        cwd="/",
    )
    yield ended.returncode, ended.stdout + ended.stderr
