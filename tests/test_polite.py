"""A look takes its leave as a client does: no error is counted, nobody is barred, no log tells of attacks."""

import json
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from renewer import secrets
from renewer.model.desired import Endpoint, Starttls
from renewer.network import verify
from tests.servers import postgresql
from tests.servers.certificates import ServerRoot
from tests.servers.dovecot import Dovecot
from tests.servers.foreground import program
from tests.servers.mariadb import USER
from tests.servers.own_network import own_network
from tests.servers.postfix import Postfix
from tests.servers.postgresql import Postgresql

NAME = "www.example.org"
_CHECKOUT = Path(__file__).resolve().parents[1]


@pytest.fixture(autouse=True)
def _alone() -> Iterator[None]:
    """Connections are counted: nobody else of this machine may make one."""
    with own_network():
        yield


def _seen(endpoints: list[Endpoint], roots: str, times: int = 3) -> list[verify.Sight]:
    targets = [verify.Target(endpoint=endpoint, roots=roots) for endpoint in endpoints]
    return [sight for _ in range(times) for sight in verify.look(targets, reads=secrets.roots)]


def _matches(log: Path, stock_filter: str, mode: str = "aggressive") -> int:
    """How many lines of a log one of fail2ban's own filters takes for an attack."""
    told = subprocess.run(
        [program("fail2ban-regex", "fail2ban"), str(log), f"{stock_filter}[mode={mode}]"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    (line,) = [line for line in told.stdout.splitlines() if line.startswith("Lines: ")]
    assert int(line.split()[1]) > 0, told.stdout
    return int(line.split(", ")[2].split()[0])


def _since(log: Path, begun: int, who: str = "") -> Path:
    """The lines that came since, for what waits for a port is no polite client; `who` as syslog has it."""
    lines = log.read_text().splitlines()[begun:]
    written = log.with_suffix(".since")
    written.write_text(
        "".join(f"{one[:15]} host {who}: {one[16:]}\n" if who else f"{one}\n" for one in lines)
    )
    return written


def _lines(log: Path) -> int:
    """How many there are once the server has noticed that the ports were tried."""
    before = -1
    while before != (now := len(log.read_text().splitlines()) if log.exists() else -2):
        before = now
        time.sleep(0.5)
    return before


@pytest.mark.parametrize("trusted", [True, False], ids=["trusted", "untrusted"])
def test_dovecot_takes_it_for_no_attack(place: Path, *, trusted: bool) -> None:
    """IMAP, POP3 and Sieve with STARTTLS, and IMAP with TLS at once, also where the chain is not trusted."""
    root = ServerRoot()
    pair = root.issue(place / "tls", NAME)
    roots = str((root if trusted else ServerRoot()).write(place / "roots.pem"))

    with Dovecot(place / "server", pair.cert, pair.key) as server:
        spoken = (Starttls.IMAP, None, Starttls.POP3, Starttls.SIEVE)
        begun = _lines(place / "server/mail.log")
        endpoints = [
            Endpoint(
                server_name=NAME,
                port=port,
                host="127.0.0.1",
                starttls=starttls,
                protocol=None if starttls else Starttls.IMAP,
            )
            for port, starttls in zip(server.ports, spoken, strict=True)
        ]
        sights = _seen(endpoints, roots)
        server.stop()
        log = _since(place / "server/mail.log", begun, "dovecot")

    assert {(sight.completed, sight.trusted) for sight in sights} == {(True, trusted)}
    assert _matches(log, "dovecot", "normal") == 0, log.read_text()
    # Its aggressive mode matches whoever logs out without a login, which is all that a look can do politely
    assert log.read_text().count("by logging out (no auth attempts") == len(sights)


@pytest.mark.parametrize("trusted", [True, False], ids=["trusted", "untrusted"])
def test_postfix_takes_it_for_no_attack(place: Path, *, trusted: bool) -> None:
    """SMTP with STARTTLS ends with QUIT, also where the chain is not trusted."""
    root = ServerRoot()
    pair = root.issue(place / "tls", NAME)
    roots = str((root if trusted else ServerRoot()).write(place / "roots.pem"))

    with Postfix(place / "server", pair.cert, pair.key) as server:
        begun = _lines(place / "server/mail.log")
        endpoint = Endpoint(server_name=NAME, port=server.port, host="127.0.0.1", starttls=Starttls.SMTP)
        sights = _seen([endpoint], roots)
        server.stop()
        log = _since(place / "server/mail.log", begun)

    assert {(sight.completed, sight.trusted) for sight in sights} == {(True, trusted)}
    assert "lost connection" not in log.read_text()
    assert _matches(log, "postfix") == 0, log.read_text()


def test_mariadb_counts_no_error(place: Path) -> None:
    """Sixty looks from an address that is not loopback: no error is counted, though twenty bar a host."""
    root = ServerRoot()
    pair = root.issue(place / "tls", NAME)
    root.write(place / "roots.pem")
    ServerRoot().write(place / "others.pem")
    shutil.chown(pair.key, USER)
    told = subprocess.run(
        [
            program("unshare", "util-linux"),
            "--net",
            "--mount",
            sys.executable,
            "-m",
            "tests.polite_mariadb",
            str(place),
        ],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
        cwd=_CHECKOUT,
    )

    assert told.returncode == 0, told.stderr
    found = json.loads(told.stdout)
    assert told.stderr == ""
    assert found["seen"] == {"trusted": 30, "untrusted": 30}
    assert found["known"] == 1  # the server keeps a count of this address, so the next figures mean something
    assert found["errors"] == 0
    assert found["still_welcome"] is True


class Screened(Postfix):
    """One whose port is postscreen's, with its usual greeting delay, also for this host."""

    def configure(self) -> None:
        """Write the config."""
        super().configure()
        master = self.config / "master.cf"
        smtpd = f"127.0.0.1:{self.port} inet n - n - - smtpd\n"
        screen = (
            f"127.0.0.1:{self.port} inet n - n - 1 postscreen\n"
            "smtpd pass - - n - - smtpd\n"
            "tlsproxy unix - - n - 0 tlsproxy\n"
            "dnsblog unix - - n - 0 dnsblog\n"
        )
        assert smtpd in master.read_text()
        master.write_text(master.read_text().replace(smtpd, screen))

    def settings(self) -> str:
        """Main.cf: nobody is let past it, and whoever talks first is refused."""
        return (
            super().settings() + "postscreen_access_list =\n"
            "postscreen_greet_wait = 6s\n"
            "postscreen_greet_action = enforce\n"
            "postscreen_cache_map = btree:$data_directory/postscreen_cache\n"
        )


def test_postscreen_learns_who_looks(place: Path) -> None:
    """The first look waits for the greeting, which comes after 6 s; the second is an old acquaintance."""
    root = ServerRoot()
    pair = root.issue(place / "tls", NAME)
    roots = str(root.write(place / "roots.pem"))

    with Screened(place / "server", pair.cert, pair.key) as server:
        begun = _lines(place / "server/mail.log")
        endpoint = Endpoint(server_name=NAME, port=server.port, host="127.0.0.1", starttls=Starttls.SMTP)
        sights = _seen([endpoint], roots)
        server.stop()
        log = _since(place / "server/mail.log", begun)

    assert [(sight.completed, sight.trusted, sight.error) for sight in sights] == [(True, True, None)] * 3
    said = log.read_text()
    assert [said.count(f"{word} [127.0.0.1]") for word in ("PASS NEW", "PASS OLD")] == [1, 2], said
    for harm in ("PREGREET", "HANGUP", "COMMAND", "NOQUEUE", "lost connection", "errors after", "warning"):
        assert harm not in said, said
    assert _matches(log, "postfix") == 0, said


class Talkative(Postgresql):
    """One that logs whoever comes and goes."""

    def __init__(self, directory: Path, cert: Path, key: Path) -> None:
        super().__init__(directory, cert, key)
        self.settings |= {"log_connections": "on", "log_disconnections": "on", "log_min_messages": "info"}


@pytest.mark.parametrize("trusted", [True, False], ids=["trusted", "untrusted"])
def test_postgresql_logs_no_error(place: Path, *, trusted: bool) -> None:
    """Its own log has no line of an error or a broken start, also where the chain is not trusted."""
    root = ServerRoot()
    pair = root.issue(place / "tls", NAME)
    shutil.chown(pair.key, postgresql.USER)
    roots = str((root if trusted else ServerRoot()).write(place / "roots.pem"))

    with Talkative(place / "server", pair.cert, pair.key) as server:
        begun = _lines(server.log)
        starttls = Starttls.POSTGRESQL
        endpoint = Endpoint(server_name=NAME, port=server.port, host="127.0.0.1", starttls=starttls)
        sights = _seen([endpoint], roots, times=5)
        log = _since(server.log, begun) if _lines(server.log) else server.log

    assert [(sight.completed, sight.trusted) for sight in sights] == [(True, trusted)] * 5
    said = log.read_text()
    assert said.count("connection received: host=127.0.0.1") == 5, said
    lines = [line for line in said.splitlines() if not re.search(r"\bLOG:  connection received: ", line)]
    assert lines == [], said
