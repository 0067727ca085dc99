"""A machine with certbot's certificates: in five commands served and renewed by us, and back again.

A reader polls the port all the while; every handshake must succeed with a certificate of the name.
"""

import socket
import ssl
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Self

import pytest
from cryptography import x509

from tests.moving.old import LATER_CERTBOT, Certbot, Newcomer
from tests.servers.handshake import served_leaf, wait_until
from tests.servers.nginx import Nginx
from tests.servers.pebble import Pebble

ROOT, HOOK, PLUGIN = "www.example.org", "hook.example.org", "plugin.example.org"
NAMES = (ROOT, HOOK, PLUGIN)
VERBS = (
    ("renew", "--force-renewal", "--no-random-sleep-on-renew"),
    ("delete", "--cert-name", ROOT),
    ("revoke", "--cert-name", ROOT, "--delete-after-revoke"),
    ("certonly", "--cert-name", ROOT, "-d", ROOT, "--force-renewal", "--webroot", "-w"),
)


class Poller:
    """Asks a port for a name again and again, and remembers what it was shown and what went wrong."""

    def __init__(self, port: int, name: str) -> None:
        self.serials: list[int] = []
        self.faults: list[str] = []
        self._port, self._name = port, name
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._poll)

    def _poll(self) -> None:
        context = ssl.create_default_context()
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        while not self._over.wait(0.02):
            try:
                with (
                    socket.create_connection(("127.0.0.1", self._port), 30) as plain,
                    context.wrap_socket(plain, server_hostname=self._name) as tls,
                ):
                    leaf = x509.load_der_x509_certificate(tls.getpeercert(binary_form=True) or b"")
            except OSError as error:
                self.faults.append(str(error))
                continue
            names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
            if names.get_values_for_type(x509.DNSName) != [self._name]:
                self.faults.append(f"{names}")
            if [leaf.serial_number] != self.serials[-1:]:
                self.serials.append(leaf.serial_number)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()


class Day:
    """The host: nginx that names certbot's files, and certbot's three certificates."""

    def __init__(self, directory: Path, pebble: Pebble) -> None:
        self.directory, self.pebble = directory, pebble
        self.old = Certbot(directory / "certbot", pebble, LATER_CERTBOT)
        self.live = self.old.config / "live"
        shown = directory / "shown"
        shown.mkdir()
        plain = f"server {{ listen 127.0.0.1:{pebble.http_port}; server_name {PLUGIN}; root {shown}; }}"
        self.nginx = Nginx(directory / "nginx", http_port=pebble.http_port, extra=[plain])
        self.reload = f"{self.nginx.binary} -p {self.nginx.prefix}/ -c {self.nginx.config} -s reload"

    def make(self) -> None:
        """Let certbot make its certificates, then nginx serve them."""
        with self.nginx:
            self._certbot()
        self.nginx.sites = {
            name: (self.live / name / "fullchain.pem", self.live / name / "privkey.pem") for name in NAMES
        }
        script = self.old.config / "renewal-hooks/deploy/10-reload"
        script.write_text(f"#!/bin/sh\nexec {self.reload}\n")
        script.chmod(0o755)

    def _certbot(self) -> None:
        dns = f"http://127.0.0.1:{self.pebble.dns.management_port}"
        record = '\\"host\\":\\"_acme-challenge.$CERTBOT_DOMAIN.\\"'
        auth = f'curl -s {dns}/set-txt -d "{{{record},\\"value\\":\\"$CERTBOT_VALIDATION\\"}}"'
        clean = f'curl -s {dns}/clear-txt -d "{{{record}}}"'
        inline = ("--deploy-hook", f"echo $RENEWED_DOMAINS >>{self.directory}/deployed")
        self.old.certonly(ROOT, "--webroot", "-w", self.nginx.webroot, *inline)
        hooks = ("--manual-auth-hook", auth, "--manual-cleanup-hook", clean)
        self.old.certonly(HOOK, "--manual", "--preferred-challenges", "dns", *hooks)
        nginx = ("--nginx-server-root", self.nginx.prefix, "--nginx-ctl", self.nginx.binary)
        self.old.certonly(PLUGIN, "--nginx", *nginx, "--http-01-port", str(self.pebble.http_port))

    def newcomer(self) -> Newcomer:
        """What is configured before: how to reach the authority, and this nginx, which is not the usual."""
        agent = Newcomer.at(self.directory / "renewer", self.pebble)
        agent.around = ("tests.moving.old:without_zones",)
        agent.tables["authority.pebble"] |= {"staging": self.pebble.directory}
        env = {
            "NGINX": self.nginx.binary,
            "NGINX_PREFIX": f"{self.nginx.prefix}/",
            "NGINX_CONF": self.nginx.config,
            "NGINX_PID": self.nginx.pid_file,
        }
        agent.tables["hook.nginx"] = {"run": "nginx", "env": env}
        agent.tables["defaults"] = {"endpoints": [{"host": "127.0.0.1", "port": self.nginx.port}]}
        return agent

    def serial(self, name: str) -> int:
        """What nginx shows for a name."""
        return served_leaf(self.nginx.port, name).serial_number


@pytest.fixture(scope="module")
def day(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Day]:
    """The host, with its servers running; its Pebble refuses no nonce, which certbot would not survive."""
    lifetimes = {"default": timedelta(days=90)}
    with Pebble(tmp_path_factory.mktemp("pebble"), nonce_reject=0, profiles=lifetimes) as pebble:
        made = Day(tmp_path_factory.mktemp("day"), pebble)
        made.make()
        with made.nginx:
            yield made


def said(agent: Newcomer, *words: str) -> str:
    """What a command that went well said."""
    ended = agent.cli(*words)
    assert ended.code == 0, ended.out + ended.err
    return ended.out + ended.err


def test_from_certbot_to_us_and_back(day: Day) -> None:
    """Import, rehearsal, takeover; renewed as the timer does; certbot's verbs reach nothing; and back."""
    agent, at = day.newcomer(), ("--from", str(day.old.config))
    with Poller(day.nginx.port, ROOT) as poller:
        # 1: apt install, which has tests of its own; 2 to 5:
        dry = said(agent, "import", "certbot", *at, "--dry-run")
        told = said(agent, "import", "certbot", *at)
        assert f'webroot = "{day.directory}/shown"' in told  # nginx's own block for the plugin's name
        assert "127.0.0.1:8402" not in dry + told
        rehearsed = said(agent, "rehearse", "--all")
        assert "all of it would work in production" in rehearsed
        before = {name: day.serial(name) for name in NAMES}
        taken = said(agent, "takeover", "certbot", *at)
        assert taken.count("leads to ours") == 3
        assert {name: day.serial(name) for name in NAMES} == before
        assert said(agent, "status").startswith("all is well")
        _renewed_by_the_timer(day, agent, taken, before)
        _untouched_by_certbot(day, agent)
        newest = {name: day.serial(name) for name in NAMES}
        back = said(agent, "takeover", "certbot", *at, "--undo")
        assert back.count("certbot's again, with the newest certificate") == 3
        assert not any((day.live / name).is_symlink() for name in NAMES)
        day.old.run("renew", "--no-random-sleep-on-renew")
        assert {name: day.serial(name) for name in NAMES} == newest  # not due: the newest was handed back
        day.old.run("renew", "--force-renewal", "--no-random-sleep-on-renew", "--cert-name", ROOT)
        wait_until(lambda: day.serial(ROOT) != newest[ROOT], what="certbot's renewal at the port")
    assert poller.faults == []
    # Workers of nginx that are about to end may still answer between those that come
    assert set(poller.serials) == {before[ROOT], newest[ROOT], day.serial(ROOT)}


def _renewed_by_the_timer(day: Day, agent: Newcomer, taken: str, before: dict[str, int]) -> None:
    """What cron or systemd is given to call renews what is due, each at its port at once."""
    (line,) = [one for one in taken.splitlines() if " run" in one and one.split()[0].isdigit()]
    assert f"--config {agent.directory}/config.toml run" in line
    now = datetime.now(UTC)
    for name in NAMES:
        chain = (day.live / name / "fullchain.pem").read_text()
        day.pebble.set_renewal_info(chain, now - timedelta(hours=2), now - timedelta(hours=1))
    ran = agent.cli("run", "--ask")
    assert ran.code == 0, ran.out + ran.err
    for name in NAMES:
        assert day.serial(name) == agent.chain(name)[0].serial_number != before[name]
    # by certbot when it was new, at the takeover, and now
    assert (day.directory / "deployed").read_text() == f"{ROOT}\n" * 3


def _untouched_by_certbot(day: Day, agent: Newcomer) -> None:
    """Every verb that certbot has, run by the real one: our files and what is served stay as they are."""
    kept = {name: one for name, one in agent.files().items() if name.startswith("certificates/")}
    for words in VERBS:
        day.old.run(*words, *([day.nginx.webroot] if words[-1] == "-w" else []), code=None)
    now = {name: one for name, one in agent.files().items() if name.startswith("certificates/")}
    assert now == kept
    assert all((day.live / name).is_symlink() for name in NAMES)
