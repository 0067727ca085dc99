"""`renewer discover` on a host with real servers: everything is named, and nothing invented."""

import json
import os
import pwd
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes

from tests.agent import Agent
from tests.hooks.web import Apache
from tests.servers.certificates import Pair, ServerRoot
from tests.servers.dovecot import Dovecot
from tests.servers.haproxy import Haproxy
from tests.servers.mariadb import Mariadb
from tests.servers.nginx import Nginx
from tests.servers.own_network import own_network
from tests.servers.ports import free_port
from tests.servers.postfix import Postfix
from tests.servers.postgresql import USER, Postgresql
from tests.servers.prosody import Prosody

pytestmark = pytest.mark.real


def fingerprint(pair: Pair) -> str:
    """SHA-256 of a leaf, in hex."""
    return x509.load_pem_x509_certificate(pair.cert.read_bytes()).fingerprint(hashes.SHA256()).hex()


class Host:
    """Servers with certificates of their own, and what `discover` says of them."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.root = ServerRoot()
        self.servers: dict[str, Pair] = {}
        self.found: dict[str, Any] = {}
        self.document: dict[str, Any] = {}
        self.text = ""
        self.stale = Pair(Path(), Path())

    def issue(self, server: str, name: str, **more: Any) -> Pair:
        """A certificate for a server."""
        self.servers[name] = self.root.issue(self.directory / server, name, stem=name, **more)
        return self.servers[name]

    def of(self, name: str) -> Any:
        """What was found of the certificate for a name."""
        return self.found[fingerprint(self.servers[name])]


def _servers(host: Host, stack: ExitStack) -> None:
    """Start them all; nginx's second certificate is replaced on disk after it was loaded."""
    at = host.directory
    pairs = {name: host.issue("nginx", name) for name in ("one.nginx.example.org", "two.nginx.example.org")}
    sites = {name: (pair.cert, pair.key) for name, pair in pairs.items()}
    stack.enter_context(Nginx(at / "nginx", sites))
    host.stale = host.root.issue(at / "stale", "two.nginx.example.org")
    replaced = host.servers["two.nginx.example.org"]
    before = replaced.cert.read_bytes(), replaced.key.read_bytes()
    replaced.cert.write_bytes(host.stale.cert.read_bytes())
    replaced.key.write_bytes(host.stale.key.read_bytes())
    host.stale.cert.write_bytes(before[0])
    host.stale.key.write_bytes(before[1])

    both = host.issue("haproxy", "haproxy.example.org")
    bundle = at / "haproxy" / "bundle.pem"
    bundle.touch(0o600)
    bundle.write_bytes(both.cert.read_bytes() + both.key.read_bytes())
    port = free_port()
    text = (
        "defaults\n mode http\n timeout client 5s\n timeout server 5s\n timeout connect 5s\n"
        f"frontend a\n bind 127.0.0.1:{port} ssl crt {bundle}\n"
    )
    stack.enter_context(Haproxy(at / "haproxy", text, port))

    mail = host.issue("dovecot", "dovecot.example.org")
    stack.enter_context(Dovecot(at / "dovecot", mail.cert, mail.key))
    post = host.issue("postfix", "postfix.example.org")
    stack.enter_context(Postfix(at / "postfix", post.cert, post.key))
    sql = host.issue("postgresql", "postgresql.example.org")
    for path in (sql.cert, sql.key):
        os.chown(path, pwd.getpwnam(USER).pw_uid, -1)
    stack.enter_context(Postgresql(at / "postgresql", sql.cert, sql.key))
    maria = host.issue("mariadb", "mariadb.example.org")
    maria.key.chmod(0o644)
    stack.enter_context(Mariadb(at / "mariadb", maria.cert, maria.key))
    chat = host.issue("prosody", "www.example.org", valid_for=timedelta(days=300))
    chat.key.chmod(0o640)
    for path in (chat.cert, chat.key):
        os.chown(path, -1, pwd.getpwnam("prosody").pw_gid)
    stack.enter_context(Prosody(at / "prosody", chat.cert, chat.key))

    web = at / "live"
    web.mkdir()
    pair = host.issue("httpd", "apache.example.org")
    (web / "fullchain.pem").write_bytes(pair.cert.read_bytes())
    (web / "privkey.pem").touch(0o600)
    (web / "privkey.pem").write_bytes(pair.key.read_bytes())
    apache = Apache(at, web)
    apache.lines = [line.replace("${APACHE_PORT}", str(apache.port)) for line in apache.lines]
    stack.callback(apache.stop)
    apache.start()


@pytest.fixture(scope="module")
def host() -> Iterator[Host]:
    """All servers started, looked at once as a newcomer would: without a configuration."""
    # Others than root may enter it, unlike pytest's own: servers give up their rights before they read
    host = Host(Path(tempfile.mkdtemp(prefix="rnw-")))
    host.directory.chmod(0o755)
    expired = host.root.issue(
        host.directory / "lying",
        "expired.example.org",
        not_before=datetime.now(UTC) - timedelta(days=100),
    )
    host.servers["expired.example.org"] = expired
    with own_network(), ExitStack() as stack:
        _servers(host, stack)
        argv = [sys.executable, "-m", "renewer", "--config", "/nonexistent", "discover", "--json"]
        ended = subprocess.run(
            [*argv, str(expired.cert.parent)], capture_output=True, text=True, timeout=120, check=False
        )
        assert ended.returncode == 0, ended.stderr
        host.document = json.loads(ended.stdout)
        host.found = {one["fingerprint_sha256"]: one for one in host.document["certificates"]}
        host.text = ended.stdout
        yield host
    shutil.rmtree(host.directory)


WHO = {
    "one.nginx.example.org": "nginx",
    "two.nginx.example.org": "nginx",
    "haproxy.example.org": "haproxy",
    "dovecot.example.org": "dovecot",
    "postfix.example.org": "postfix",
    "postgresql.example.org": "postgresql",
    "mariadb.example.org": "mariadb",
    "www.example.org": "prosody",
    "apache.example.org": "apache",
}


@pytest.mark.parametrize("name", sorted(WHO))
def test_each_server_is_named_with_its_line_and_its_port(name: str, host: Host) -> None:
    """Who reads a certificate, where that is written, and that its port shows what is on disk."""
    one = host.of(name)
    assert {use["server"] for use in one["servers"]} == {WHO[name]}
    assert all(use["line"] >= 1 and use["config"] for use in one["servers"])
    assert one["names"] == [name]
    assert one["renewed_by"] is None
    if name != "two.nginx.example.org":
        assert one["ports"]
        assert all(port["matches_disk"] for port in one["ports"])
    assert any(place.startswith(one["servers"][0]["config"]) for place in one["how"])


def test_a_port_that_shows_what_is_not_on_disk_any_more(host: Host) -> None:
    """Nginx was not reloaded: the port is told at what it shows, and at what it should show."""
    wanted = host.of("two.nginx.example.org")
    assert [one["code"] for one in wanted["findings"]] == ["port-differs", "nobody-renews"]
    shown = host.found[fingerprint(host.stale)]
    assert [port["matches_disk"] for port in shown["ports"]] == [False]


def test_one_expired_and_a_key_for_everybody(host: Host) -> None:
    """What is wrong is said of whom it concerns, and of nobody else."""
    codes = {
        name: [each["code"] for each in host.of(name)["findings"]] for name in (*WHO, "expired.example.org")
    }
    assert codes["expired.example.org"] == ["expired"]
    assert "key-readable" in codes["mariadb.example.org"]
    assert [name for name, found in codes.items() if "key-readable" in found] == ["mariadb.example.org"]
    assert "PRIVATE KEY" not in host.text


def test_when_each_was_seen_is_remembered(tmp_path: Path) -> None:
    """First and last seen come from the ledger, where there is a state; the table has a line for each."""
    pair = ServerRoot().issue(tmp_path / "lying", "lying.example.org")
    agent = Agent(tmp_path / "agent", {})
    agent.state.mkdir(parents=True, mode=0o700)
    first = _only(agent.json("discover", "--json", str(pair.cert.parent)), pair)
    again = _only(agent.json("discover", "--json", str(pair.cert.parent)), pair)
    assert first["first_seen"] == first["last_seen"] == again["first_seen"] < again["last_seen"]
    table = agent.cli("discover", str(pair.cert.parent)).out
    assert any(line.startswith("lying.example.org\t") and "nobody" in line for line in table.splitlines())


@pytest.mark.parametrize(
    ("form", "says"), [("text", "ready for 47 days"), ("html", "<!doctype html>"), ("json", "first")]
)
def test_the_readiness_of_this_host(form: str, says: str, tmp_path: Path) -> None:
    """The report finds what is on this host, in each form, and needs no configuration for it."""
    live = tmp_path / "state" / "certificates" / "www" / "versions" / "1"
    ServerRoot().issue(live, "ready.example.org", stem="fullchain")
    agent = Agent(tmp_path, {})
    agent.state.chmod(0o700)
    (live.parents[1] / "live").symlink_to("versions/1")
    said = agent.cli("report", "--readiness", "--format", form).out
    assert "ready.example.org" in said
    if form == "json":
        document = json.loads(said)
        one = next(one for one in document["certificates"] if one["names"] == ["ready.example.org"])
        assert one["renewed_by"] == "renewer"
        assert one["ready"] == {"64d": True, "47d": True, "6d": True}
        assert one["reasons"] == []
    else:
        assert says in said


def _only(document: Any, pair: Pair) -> Any:
    return next(one for one in document["certificates"] if one["fingerprint_sha256"] == fingerprint(pair))
