"""Web servers under load while their certificate is renewed: no more is lost than by any reload."""

import contextlib
import http.server
import os
import re
import shutil
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.hooks import table
from tests.hooks.bed import Bed
from tests.hooks.load import Count, load
from tests.hooks.sessions import Download, Session
from tests.hooks.standing import Standing
from tests.hooks.test_nginx import Served as Nginx
from tests.hooks.walk import Note
from tests.hooks.web import Apache, Haproxy
from tests.servers.dovecot import Dovecot
from tests.servers.foreground import Foreground
from tests.servers.handshake import wait_until
from tests.servers.mariadb import Mariadb
from tests.servers.postfix import Postfix
from tests.servers.postgresql import Postgresql
from tests.servers.prosody import Prosody
from tests.servers.redis import Redis
from tests.servers.vsftpd import Vsftpd

TIMES = 20
OPEN = 3  # sessions, or files under way, that are held open meanwhile
REST = 0.15  # seconds between two bare reloads: by then each server here has replaced its processes
SLACK = 0.001  # of all requests, that a busy machine may drop beyond what twice as many bare reloads cost


SIZE = 32 * 1024 * 1024  # bytes of a file under way: far more than sockets and servers hold for a slow reader


class Backend(http.server.BaseHTTPRequestHandler):
    """Answers every request with a file of that size."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        """Send it as fast as it is taken."""
        self.send_response(200)
        self.send_header("Content-Length", str(SIZE))
        self.end_headers()
        with contextlib.suppress(OSError):
            for _ in range(SIZE // 65536):
                self.wfile.write(bytes(65536))

    def log_message(self, *_: object) -> None:
        """Nothing is told."""


@pytest.fixture(scope="module")
def backend() -> Iterator[int]:
    """The port of a web server that stands behind a proxy."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Backend) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        yield server.server_port
        server.shutdown()


def nginx(bed: Bed, _: int = 0) -> Callable[[], None]:
    """Serve it by nginx; how it is reloaded without the agent."""
    server = Nginx(bed)
    bed.serve(server)
    return server.nginx.hangup


def apache(bed: Bed, _: int) -> Callable[[], None]:
    """Serve it by Apache."""
    server = Apache(bed.directory, bed.live)
    with (server.home / "file").open("wb") as file:
        file.truncate(SIZE)
    bed.serve(server)
    return lambda: os.kill(server.pid, signal.SIGUSR1)


def haproxy(bed: Bed, backend: int) -> Callable[[], None]:
    """Serve it by HAProxy, which is reloaded."""
    server = proxied(bed, backend, api=False)
    bed.serve(server)
    return lambda: os.kill(server.pid, signal.SIGUSR2)


def haproxy_api(bed: Bed, backend: int) -> Callable[[], None]:
    """Serve it by HAProxy, told through its runtime API; a bare reload is its master's all the same."""
    server = proxied(bed, backend, api=True)
    bed.serve(server)
    return lambda: os.kill(server.pid, signal.SIGUSR2)


def proxied(bed: Bed, backend: int, *, api: bool) -> Haproxy:
    """One that may have a web server behind it, and lets slow readers read on: its defaults."""
    server = Haproxy(bed.directory, bed.live, api=api)
    conf = server.home / "haproxy.cfg"
    text = conf.read_text().replace("    hard-stop-after 5s\n", "")
    text = re.sub(r"(timeout (?:client|server)) 5s", r"\1 60s", text)
    answer = "    http-request return status 200 content-type text/plain string ok"
    text = text.replace(answer, "    use_backend behind if { path /file }\n" + answer + " if !{ path /file }")
    conf.write_text(f"{text}backend behind\n    server one 127.0.0.1:{backend}\n")
    return server


KINDS = {"nginx": nginx, "apache": apache, "haproxy, reload": haproxy, "haproxy, runtime API": haproxy_api}


FILED = {"apache": "apache", "haproxy, reload": "haproxy", "haproxy, runtime API": "haproxy"}
"""Those that have the large file, and their hook."""


@pytest.mark.parametrize("kind", KINDS)
def test_renewals_under_load(bed: Bed, record_property: Note, backend: int, kind: str) -> None:
    """Twenty renewals break no handshake, mix no pair, end no download, drop no more than bare reloads."""
    reload = KINDS[kind](bed, backend)
    versions = [bed.put()]
    assert bed.run().exit == 0

    with ExitStack() as stack:
        port = bed.server.port
        held = [stack.enter_context(Download(port, "/file", SIZE)) for _ in range(OPEN * (kind in FILED))]
        with load(port, bed.roots) as renewed:
            for _ in range(TIMES):
                versions.append(bed.put())
                report = bed.run()
                assert report.exit == 0, report.outcomes
                for one in held:
                    one.go_on()
        kept = sum(one.whole() for one in held)
    with load(bed.server.port, bed.roots) as bare:
        for _ in range(TIMES):
            reload()
            time.sleep(REST)

    record_property(table.LOAD, _row(kind, f"{TIMES} renewals", renewed, f"{kept} of {OPEN}" if held else ""))
    record_property(table.LOAD, _row(kind, f"{TIMES} bare reloads", bare, ""))
    assert kept == len(held)
    if kind in FILED:
        record_property(table.PROPERTY, (FILED[kind], "sessions kept", "yes"))
    assert renewed.broken == bare.broken == []
    assert renewed.serials == {version.leaf.serial for version in versions}
    assert renewed.dropped <= 2 * bare.dropped + SLACK * renewed.requests


def _row(kind: str, what: str, count: Count, kept: str) -> tuple[str, ...]:
    rate = round(count.requests / count.seconds)
    return kind, what, str(count.requests), str(rate), str(count.dropped), str(len(count.broken)), kept


class Mailboxes(Dovecot):
    """A dovecot whose users have a mailbox."""

    def configure(self) -> None:
        """Write the config; whoever logs in is nobody."""
        mail = self.directory / "mail"
        mail.mkdir(exist_ok=True)
        shutil.chown(mail, "nobody")
        self.extra = f"mail_home = {mail}\nmail_location = mbox:{mail}/box\n" + self.more
        super().configure()

    more = ""


class Quiet(Mailboxes):
    """A dovecot whose sessions outlive a reload."""

    more = "shutdown_clients = no\n"


class Private(Vsftpd):
    """One whose anonymous users may have TLS."""

    def configure(self) -> None:
        """Write the config."""
        super().configure()
        self.config.write_text(self.config.read_text() + "allow_anon_ssl=YES\n")


class Roomy(Postgresql):
    """One with room for more than a few connections."""

    def __init__(self, directory: Path, cert: Path, key: Path) -> None:
        super().__init__(directory, cert, key)
        self.settings["max_connections"] = "20"


class Named(Standing):
    """A server of one of the kinds below."""

    def __init__(self, bed: Bed, name: str) -> None:
        self.hook, kind, self.starttls, self.owner, _ = SPEAKING[name]
        self.mode = "0600" if self.owner else "0640"
        super().__init__(bed, kind)


SPEAKING: dict[str, tuple[str, type[Foreground], str | None, str | None, str]] = {
    "postfix": ("postfix", Postfix, "smtp", None, "smtp"),
    "dovecot": ("dovecot", Mailboxes, "imap", None, "imap"),
    "dovecot, shutdown_clients = no": ("dovecot", Quiet, "imap", None, "imap"),
    "postgresql": ("postgresql", Roomy, "postgresql", "postgres", "postgresql"),
    "mariadb": ("mariadb", Mariadb, "mysql", "mysql", "mysql"),
    "redis": ("redis", Redis, None, None, "redis"),
    "prosody": ("prosody", Prosody, "xmpp", "prosody", "xmpp"),
    "vsftpd": ("vsftpd", Private, "ftp", None, "ftp"),
}
"""Hook, server, starttls, the owner of its copies, and how its sessions speak."""
ENDED = {"dovecot": "end, as said"}
"""What a reload ends, and the table says so; vsftpd's sessions are processes of their own."""
LOST = {"dovecot": 1, "dovecot, shutdown_clients = no": 1, "vsftpd": 4}
"""Connections a renewal: log-ins in the moment of the reload, and a restart's gap."""


@pytest.mark.parametrize("name", SPEAKING)
def test_sessions_and_connections(bed: Bed, record_property: Note, name: str) -> None:
    """Twenty renewals: new connections verify, and open sessions go on, but where the docs say otherwise."""
    hook, _, _, _, kind = SPEAKING[name]
    bed.serve(Named(bed, name))
    versions = [bed.put()]
    assert bed.run().exit == 0
    port = bed.server.port
    wait_until(lambda: bed.served() == versions[0].leaf.serial, what="the first version")

    with ExitStack() as stack:
        held = [stack.enter_context(Session(kind, port)) for _ in range(OPEN)]
        with load(port, bed.roots, kind) as renewed:
            for _ in range(TIMES):
                versions.append(bed.put())
                report = bed.run()
                assert report.exit == 0, report.outcomes
        kept = sum(session.alive() for session in held)

    record_property(table.LOAD, _row(name, f"{TIMES} renewals", renewed, f"{kept} of {OPEN}"))
    assert renewed.broken == []
    assert renewed.serials <= {version.leaf.serial for version in versions}
    assert renewed.answered > TIMES
    assert kept == (0 if name in ENDED else OPEN)
    assert renewed.dropped <= LOST.get(name, 0) * TIMES + renewed.requests // 200
    if name in (hook, "dovecot"):
        record_property(table.PROPERTY, (hook, "sessions kept", ENDED.get(name, "yes")))


def test_the_load_sees_what_breaks(bed: Bed) -> None:
    """A certificate that no root vouches for counts as a failure of TLS, a closed port as dropped."""
    nginx(bed)
    with load(bed.server.port, bed.roots) as untrusted:
        wait_until(lambda: untrusted.requests > 0, what="a request")
    assert (untrusted.answered, untrusted.dropped) == (0, 0)
    assert all("certificate verify failed" in reason for reason in untrusted.broken)
    bed.server.stop()
    with load(bed.server.port, bed.roots) as closed:
        wait_until(lambda: closed.requests > 0, what="a request")
    assert (closed.answered, closed.broken) == (0, [])
