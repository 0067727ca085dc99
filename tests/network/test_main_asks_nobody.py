"""Who has rights opens no socket to anybody and resolves nothing, whatever is typed (PEP 578's audit hooks).

Once with workers in processes of their own, where nothing at all may be seen in main's but what binds a port
for a challenge; once with workers in main's process, where what is seen must have been done inside the door.
"""

import json
from collections.abc import Iterator
from typing import NamedTuple

import pytest

from tests.agent import Agent, authority, listen
from tests.challenges.dns01.providers.test_httpreq import publishing
from tests.servers.acmedns import AcmeDns
from tests.servers.certificates import ServerRoot
from tests.servers.pebble import Pebble
from tests.servers.ports import free_port
from tests.servers.published import Published
from tests.servers.tls_peer import Peer, tls
from tests.tell.listener import Listener

pytestmark = [pytest.mark.real, pytest.mark.slow]
ALLOWED = {  # in main's process, and why
    "renewer/provisioning/sockets.py": "binds a literal address for challenges; a worker serves there",
}
ONLY = {"socket.__new__", "socket.bind", "socket.getaddrinfo"}  # the last with AI_NUMERICHOST


class Asked(NamedTuple):
    """One thing that main's process asked the system for, and by which of our modules, the nearest first."""

    event: str
    what: str
    callers: list[str]


class Spied:
    """An agent whose commands are spied upon."""

    def __init__(self, agent: Agent, how: str) -> None:
        self.agent = agent
        self.how = how
        self._file = agent.directory / "asked"

    def asked(self, *words: str) -> list[Asked]:
        """What a command asked for, besides what is allowed."""
        self._file.unlink(missing_ok=True)
        self.agent.around = ("tests.network.spied:spying", self.how, str(self._file))
        ended = self.agent.cli(*words)
        assert ended.code in (0, 1, 3), ended.out + ended.err
        lines = self._file.read_text("utf-8").splitlines()
        return [one for one in (Asked(*json.loads(line)) for line in lines) if not _allowed(one)]


def _allowed(one: Asked) -> bool:
    return one.event in ONLY and bool(one.callers) and one.callers[0] in ALLOWED


def _inside(one: Asked) -> bool:
    """Whether a worker that lives in main's process did it."""
    return any(caller.startswith("renewer/network/") for caller in one.callers)


@pytest.fixture(scope="module", params=["apart", "here"])
def spied(
    request: pytest.FixtureRequest, pebble: Pebble, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Spied]:
    """An agent that has something to say to everybody whom a command may speak to."""
    directory = tmp_path_factory.mktemp("spied")
    root = ServerRoot()
    roots = str(root.write(directory / "roots.pem"))
    pair = root.issue(directory, "www.example.org")
    published = Published(pebble.dns)
    with (
        publishing(published) as api,
        AcmeDns() as accounts,
        Listener() as listener,
        Peer(tls(pair)) as peer,
    ):
        url = directory / "url"
        url.write_text(listener.url("/x"))
        url.chmod(0o600)
        dns = {
            "type": "dns-01",
            "propagation": {
                "wait": "0s",
                "resolvers": [pebble.dns.address],
                "timeout": "5s",
                "check": "none",
            },
        }
        certificate = {"authority": "pebble", "endpoints": []}
        place = {"server_name": "www.example.org", "host": "127.0.0.1", "port": peer.port}
        agent = Agent(
            directory,
            {
                "agent": {"preflight": "warn"},
                "authority.pebble": {**authority(pebble), "roots": roots},
                "challenge.dns": {**dns, "provider": "httpreq", "options": {"endpoint": f"{api.url}/v1"}},
                "challenge.accounts": {
                    **dns,
                    "provider": "acme-dns",
                    "options": {"server": accounts.api.url},
                },
                "challenge.alpn": {"type": "tls-alpn-01", "listen": f"127.0.0.1:{pebble.tls_port}"},
                "certificate.www": {
                    **certificate,
                    "names": ["www.example.org"],
                    "challenge": {**listen(pebble.http_port), "preflight": "warn"},
                    "endpoints": [place],
                },
                "certificate.wild": {**certificate, "names": ["*.example.org"], "challenge": "dns"},
                "certificate.alpn": {**certificate, "names": ["alpn.example.org"], "challenge": "alpn"},
                "notify.hook": {"type": "webhook", "url": {"file": str(url)}},
                "notify.mail": {
                    "type": "email",
                    "to": ["a@example.org"],
                    "from": "b@example.org",
                    "server": f"localhost:{free_port()}",
                    "security": "plain",
                },
                "report": {"heartbeat": {"file": str(url)}},
                "watch.port": {"endpoint": f"localhost:{free_port()}", "roots": roots},
            },
        )
        yield Spied(agent, request.param)


def test_whatever_is_typed(spied: Spied) -> None:
    """From the first order over every look, question and message to the revocation."""
    roots = str(spied.agent.directory / "roots.pem")
    seen = {
        "config check": spied.asked("config", "check"),
        "run": spied.asked("run"),
        "run again": spied.asked("run"),  # asks for renewal windows
        "account show": spied.asked("account", "show"),
        "check": spied.asked("check", "--roots", roots),
        "rehearse": spied.asked("rehearse", "www", "wild", "--authority", "pebble"),
        "doctor": spied.asked("doctor", "--timeout", "2"),
        "discover": spied.asked("discover", str(spied.agent.directory)),
        "notify test": spied.asked("notify", "test"),
        "account rollover": spied.asked("account", "rollover"),
        "revoke": spied.asked("revoke", "wild", "--yes", "--keep"),
    }
    spied.agent.tables["certificate.wild"]["challenge"] = "accounts"
    seen["acme-dns register"] = spied.asked("acme-dns", "register")
    seen["acme-dns show"] = spied.asked("acme-dns", "show")
    wrong = {
        command: [one for one in asked if spied.how == "apart" or not _inside(one)]
        for command, asked in seen.items()
    }
    assert wrong == {command: [] for command in seen}
    if (
        spied.how == "here"
    ):  # each has somebody to talk to, and did; one looks at a file, one at servers that run
        silent = {command for command, asked in seen.items() if not asked}
        assert silent <= {"config check", "discover"}
    for name in ("www", "wild", "alpn"):
        assert "Pebble" in spied.agent.chain(name)[0].issuer.rfc4514_string()
