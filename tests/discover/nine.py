"""Nine real servers with two certificates each: what a host looks like that grew for years."""

import os
import pwd
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes

from tests.hooks.web import Apache
from tests.servers.certificates import Pair, ServerRoot
from tests.servers.dovecot import Dovecot
from tests.servers.foreground import program
from tests.servers.haproxy import Haproxy
from tests.servers.mariadb import USER as MARIADB
from tests.servers.mariadb import Mariadb
from tests.servers.nginx import Nginx
from tests.servers.ports import free_port
from tests.servers.postfix import Postfix
from tests.servers.postgresql import USER as POSTGRESQL
from tests.servers.postgresql import Postgresql
from tests.servers.process import Process
from tests.servers.prosody import USER as PROSODY
from tests.servers.prosody import Prosody

SERVERS = (
    *("apache", "dovecot", "haproxy", "lighttpd", "mariadb"),
    *("nginx", "postfix", "postgresql", "prosody"),
)
STALE = ("two.haproxy.example.org", "two.nginx.example.org")
READABLE = "two.mariadb.example.org"
EXPIRED = "expired.example.org"
NAMES = {f"{number}.{server}.example.org": server for server in SERVERS for number in ("one", "two")}


def fingerprint(pair: Pair) -> str:
    """SHA-256 of a leaf, in hex."""
    return x509.load_pem_x509_certificate(pair.cert.read_bytes()).fingerprint(hashes.SHA256()).hex()


class NineServers:
    """The servers; `pairs` by name, and in `loaded` the fingerprints that the ports of two still show."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.pairs: dict[str, Pair] = {}
        self.loaded: dict[str, str] = {}
        self._root = ServerRoot()

    def issue(self, name: str, **more: Any) -> Pair:
        """A certificate in a directory of its own."""
        self.pairs[name] = self._root.issue(self.directory / "pairs" / name, name, stem=name, **more)
        return self.pairs[name]

    def start(self, stack: ExitStack) -> None:
        """Start them all, each with its two; two are replaced on disk afterwards, and nobody is told."""
        for server in SERVERS:
            one, two = self.issue(f"one.{server}.example.org"), self.issue(f"two.{server}.example.org")
            for started in getattr(self, f"_{server}")(one, two):
                if isinstance(started, Apache | Process):
                    stack.callback(started.stop)
                else:
                    stack.enter_context(started)
        for name in STALE:
            self._replace(name)
        self.pairs[READABLE].key.chmod(0o644)

    def _replace(self, name: str) -> None:
        pair = self.pairs[name]
        self.loaded[name] = fingerprint(pair)
        new = self._root.issue(self.directory.parent / f"{self.directory.name}.new", name, stem=name)
        # HAProxy wants both in one file
        pair.cert.write_bytes(new.cert.read_bytes() + (new.key.read_bytes() if "haproxy" in name else b""))
        pair.key.write_bytes(new.key.read_bytes())
        shutil.rmtree(new.cert.parent)

    def _place(self, name: str) -> Path:
        place = self.directory / name
        place.mkdir(mode=0o755)
        return place

    def _nginx(self, *pairs: Pair) -> Iterator[Nginx]:
        sites = {pair.cert.parent.name: (pair.cert, pair.key) for pair in pairs}
        yield Nginx(self._place("nginx"), sites)

    def _apache(self, one: Pair, two: Pair) -> Iterator[Apache]:
        live = self._place("live")
        for source, name in ((one.cert, "fullchain.pem"), (one.key, "privkey.pem")):
            shutil.move(source, live / name)
        self.pairs["one.apache.example.org"] = Pair(live / "fullchain.pem", live / "privkey.pem")
        apache = Apache(self.directory, live)
        second = (
            f"<VirtualHost *:{apache.port}>\nServerName two.apache.example.org\nSSLEngine on\n"
            f"SSLCertificateFile {two.cert}\nSSLCertificateKeyFile {two.key}\n</VirtualHost>"
        )
        apache.lines = [one.replace("${APACHE_PORT}", str(apache.port)) for one in (*apache.lines, second)]
        apache.start()
        yield apache

    def _haproxy(self, *pairs: Pair) -> Iterator[Haproxy]:
        for pair in pairs:
            pair.cert.write_bytes(pair.cert.read_bytes() + pair.key.read_bytes())
            pair.cert.chmod(0o600)
        port = free_port()
        text = (
            "defaults\n mode http\n timeout client 5s\n timeout server 5s\n timeout connect 5s\n"
            f"frontend a\n bind 127.0.0.1:{port} ssl crt {pairs[0].cert} crt {pairs[1].cert}\n"
        )
        yield Haproxy(self._place("haproxy"), text, port)

    def _dovecot(self, one: Pair, two: Pair) -> Iterator[Dovecot]:
        dovecot = Dovecot(self._place("dovecot"), one.cert, one.key)
        block = (
            f"local_name two.dovecot.example.org {{\n  ssl_cert = <{two.cert}\n  ssl_key = <{two.key}\n}}\n"
        )
        dovecot.extra = block
        yield dovecot

    def _postfix(self, one: Pair, two: Pair) -> Iterator[Postfix]:
        place = self._place("postfix")
        maps = place / "sni"
        maps.write_text(f"two.postfix.example.org {two.key} {two.cert}\n")
        (place / "none").mkdir()
        (place / "none" / "main.cf").write_text("compatibility_level = 3.6\n")
        postmap = [program("postmap", "postfix"), "-c", str(place / "none"), "-F", f"hash:{maps}"]
        subprocess.run(postmap, check=True, timeout=60)

        class WithMaps(Postfix):
            def settings(self) -> str:
                return f"{Postfix.settings(self)}tls_server_sni_maps = hash:{maps}\n"

        yield WithMaps(place, one.cert, one.key)

    def _postgresql(self, *pairs: Pair) -> Iterator[Postgresql]:
        for pair in pairs:
            for path in (pair.cert, pair.key):
                os.chown(path, pwd.getpwnam(POSTGRESQL).pw_uid, -1)
            yield Postgresql(self._place(f"postgresql-{pair.cert.parent.name}"), pair.cert, pair.key)

    def _mariadb(self, *pairs: Pair) -> Iterator[Mariadb]:
        for pair in pairs:
            os.chown(pair.key, pwd.getpwnam(MARIADB).pw_uid, -1)
            yield Mariadb(self._place(f"mariadb-{pair.cert.parent.name}"), pair.cert, pair.key)

    def _prosody(self, one: Pair, two: Pair) -> Iterator[Prosody]:
        for pair in (one, two):
            pair.key.chmod(0o640)
            os.chown(pair.key, -1, pwd.getpwnam(PROSODY).pw_gid)

        class WithTwo(Prosody):
            def configure(self) -> None:
                Prosody.configure(self)
                text = self.config.read_text().replace("www.example.org", "one.prosody.example.org")
                more = f'VirtualHost "two.prosody.example.org"\n  ssl = {{ certificate = "{two.cert}", '
                self.config.write_text(f'{text}{more}key = "{two.key}" }}\n')

        yield WithTwo(self._place("prosody"), one.cert, one.key)

    def _lighttpd(self, one: Pair, two: Pair) -> Iterator[Process]:
        place, port = self._place("lighttpd"), free_port()
        config = place / "lighttpd.conf"
        config.write_text(
            'server.modules = ("mod_openssl")\n'
            f'server.document-root = "{place}"\nserver.bind = "127.0.0.1"\nserver.port = {port}\n'
            f'ssl.engine = "enable"\nssl.pemfile = "{one.cert}"\nssl.privkey = "{one.key}"\n'
            f'$HTTP["host"] == "two.lighttpd.example.org" {{\n'
            f'  ssl.pemfile = "{two.cert}"\n  ssl.privkey = "{two.key}"\n}}\n'
        )
        argv = [program("lighttpd", "lighttpd"), "-D", "-f", str(config)]
        started = Process(argv, log=place / "log")
        started.wait_for_port(port)
        yield started
