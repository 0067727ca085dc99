"""dns-lexicon as a provider: a real PowerDNS by its HTTP API, and everything that can go wrong on the way."""

import os
import signal
import socket
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from renewer import workers
from renewer.errors import GiveUp, OurFault, RenewerError, RetryLater
from renewer.issue.providers import make
from renewer.model.desired import Dns01, OptionValue
from renewer.model.dns_provider import Provider, TxtRecord
from tests.agent import Agent
from tests.challenges.dns01.providers.world import agent, provider, record, secret
from tests.network.processes import below, ended, name_of, user_of
from tests.servers.jsonapi import Answer, JsonApi
from tests.servers.nameserver import txt_at
from tests.servers.pebble import Pebble
from tests.servers.powerdns import PowerDns

ADDRESS, ZONE, DEEP = "127.0.0.8", "pdns.example", "acme.pdns.example"
pytestmark = pytest.mark.real


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PowerDns]:
    """A PowerDNS with a zone and one below it."""
    with PowerDns(tmp_path_factory.mktemp("pdns"), [ZONE, DEEP], address=ADDRESS) as running:
        yield running


def at(server: PowerDns, **more: OptionValue) -> Provider:
    """The provider as a config has it."""
    options: dict[str, OptionValue] = {
        "service": "powerdns",
        "pdns_server": server.api,
        "pdns_server_id": "localhost",
        "auth_token": secret(server.key),
        **more,
    }
    return provider("lexicon", **options)


def here(number: int = 1, zone: str = ZONE, host: str = "_acme-challenge.www") -> TxtRecord:
    """A record in the zone."""
    return record(f"www.{zone}", number, name=f"{host}.{zone}")


def refusal(client: Provider, zone: str = ZONE) -> RenewerError:
    """The error of a change that must fail."""
    with pytest.raises((GiveUp, RetryLater, OurFault)) as caught:
        client.add(zone, [here()])
    return caught.value


# --- a real service -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("zone", [ZONE, DEEP])
def test_values_are_added_and_removed_one_by_one(server: PowerDns, zone: str) -> None:
    """Several values at one name, some of others; in the zone that is named, also below another one."""
    first, second, other = here(1, zone), here(2, zone), here(3, zone, "_acme-challenge.b")
    server.add_txt(zone, first.name, "not ours")
    client = at(server)
    client.add(zone, [first, second, other])
    client.add(zone, [first])
    theirs = (first.name, "not ours")
    assert server.txt(zone) == {theirs, *((one.name, one.value) for one in (first, second, other))}
    assert txt_at(ADDRESS, server.port, first.name) == {"not ours", first.value, second.value}
    client.remove(zone, [first, other])
    client.remove(zone, [first])
    assert server.txt(zone) == {theirs, (second.name, second.value)}
    client.remove(zone, [second])
    client.close()


def test_ttl(server: PowerDns) -> None:
    """Short by itself, and as the config wants it."""
    from tests.servers.loopback import ask

    for client, expected in (at(server), 60), (at(server, ttl="300"), 300):
        client.add(ZONE, [here(4, host="_acme-challenge.ttl")])
        url = f"{server.api}/api/v1/servers/localhost/zones/{ZONE}."
        found = ask("GET", url, headers={"X-API-Key": server.key}).json()["rrsets"]
        name = f"_acme-challenge.ttl.{ZONE}."
        assert [one["ttl"] for one in found if one["name"] == name] == [expected]
        client.remove(ZONE, [here(4, host="_acme-challenge.ttl")])


def test_wrong_credentials(server: PowerDns) -> None:
    """401 is final, with advice; the secret is in no text."""
    told = refusal(at(server, auth_token=secret("wr0ng-key")))
    assert (type(told), told.kind) == (GiveUp, "http-401")
    assert "are the credentials right" in told.hint
    assert "wr0ng-key" not in told.text + told.hint


def test_zone_of_somebody_else(server: PowerDns) -> None:
    """A zone that the account does not have: the zone is named."""
    told = refusal(at(server), "elsewhere.example")
    assert (type(told), told.kind) == (GiveUp, "http-404")
    assert "elsewhere.example" in told.hint


# --- what is wrong with the config --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "said", "hint"),
    [
        ({"service": "cloudfare"}, "is not supported by Lexicon", "lexicon --help"),
        ({"auth_tokn": "x"}, "the option auth_tokn is none of", "did you mean auth_token?"),
        ({"pdns_server": ""}, "pdns_server", "missing or wrong"),
    ],
)
def test_wrong_options(server: PowerDns, options: dict[str, str], said: str, hint: str) -> None:
    """A service that is not there, an option that it does not have, one that it misses."""
    told = refusal(at(server, **options))
    assert (said in told.text, hint in told.hint) == (True, True), (told.text, told.hint)


@pytest.mark.parametrize(
    ("options", "said"),
    [({}, "service is missing"), ({"service": "x", "ttl": "1h"}, "ttl must be a number in quotes")],
)
def test_rules(options: dict[str, Any], said: str) -> None:
    """What is ours to know is checked with the config."""
    with pytest.raises(GiveUp) as caught:
        provider("lexicon", **options)
    assert said in caught.value.text


def test_extra_that_is_not_installed(server: PowerDns, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without dns-lexicon the message says what to install."""
    workers.end()
    program = f"import sys; sys.modules['lexicon'] = None\n{workers.PROGRAM}"
    monkeypatch.setattr(workers, "PROGRAM", program)
    try:
        with pytest.raises(GiveUp) as caught:
            at(server).ready(["www.example.org"])
    finally:
        workers.end()
    told = caught.value
    assert "dns-lexicon is not there" in told.text
    assert "renewer[lexicon]" in told.hint


# --- what goes wrong at the service -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("answer", "error", "said"),
    [
        ((503, "come back"), RetryLater, "come back"),
        ((429, "slowly"), RetryLater, "429"),
        ((403, {"error": "no such customer"}), GiveUp, "no such customer"),
        (b"", RetryLater, "ConnectionError"),
    ],
)
def test_service_that_fails(server: PowerDns, answer: Answer, error: type[RenewerError], said: str) -> None:
    """What a service says is told; what may pass is tried again."""
    with JsonApi(lambda _: answer) as api:
        told = refusal(at(server, pdns_server=api.url))
    assert (type(told), said in told.text) == (error, True), told.text


def test_nobody_there(server: PowerDns) -> None:
    """No connection: told as such, tried again."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    told = refusal(at(server, pdns_server=f"http://127.0.0.1:{port}"))
    assert (type(told), "Connection refused" in told.text) == (RetryLater, True)
    assert "can this host reach the service" in told.hint


def test_service_that_never_answers(server: PowerDns) -> None:
    """Lexicon knows no time limit; we do."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        began = time.monotonic()
        told = refusal(at(server, pdns_server=f"http://127.0.0.1:{silent.getsockname()[1]}", timeout="2s"))
    assert time.monotonic() - began < 60
    assert (type(told), "did not answer in 2 s" in told.text) == (RetryLater, True)


def test_environment() -> None:
    """What `env` gives reaches it, as the way through a proxy; nothing else of ours does."""
    with JsonApi(lambda _: (502, "here is the proxy")) as api:
        options = {"service": "powerdns", "pdns_server": "http://elsewhere.example", "auth_token": "x"}
        client = make(
            Dns01(provider="lexicon", options=tuple(options.items()), env=(("http_proxy", api.url),))
        )
        assert "here is the proxy" in refusal(client).text
    assert api.calls[0].path.startswith("http://elsewhere.example/")


def test_death_in_the_middle(server: PowerDns) -> None:
    """A process that ends without an answer is no success: it is tried again."""

    def kill(_: object) -> Answer:
        (worker,) = (pid for pid in below(os.getpid()) if name_of(pid) == "renewer provide")
        os.kill(worker, signal.SIGKILL)
        return b""

    with JsonApi(kill) as api:
        told = refusal(at(server, pdns_server=api.url))
    assert isinstance(told, RetryLater)
    assert "changes DNS records ended" in told.text
    workers.end()


def test_it_is_never_in_this_process(server: PowerDns) -> None:
    """What it imports, prints and waits for is a worker's without rights, which is gone after the call."""
    seen: list[tuple[int, int]] = []

    def look(_: object) -> Answer:
        (worker,) = (pid for pid in below(os.getpid()) if name_of(pid) == "renewer provide")
        seen.append((user_of(worker), worker))
        return 503, "later"

    with JsonApi(look) as api:
        refusal(at(server, pdns_server=api.url))
    assert all(uid >= workers.NAMELESS for uid, _ in seen) or os.geteuid()
    assert all(ended(worker) for _, worker in seen)
    assert "lexicon.client" not in sys.modules


# --- whole runs ---------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def asking(server: PowerDns, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pebble]:
    """A Pebble that asks PowerDNS."""
    address = f"{ADDRESS}:{server.port}"
    with Pebble(tmp_path_factory.mktemp("pebble"), dns_server=address) as pebble:
        yield pebble


def host(directory: Path, server: PowerDns, pebble: Pebble, key: str) -> Agent:
    """An agent that changes PowerDNS and asks it whether the record is there."""
    directory.mkdir()
    (directory / "token").write_text(f"{key}\n")
    (directory / "token").chmod(0o600)
    options = {
        "service": "powerdns",
        "pdns_server": server.api,
        "auth_token": {"file": str(directory / "token")},
    }
    rule = {"resolvers": [f"{ADDRESS}:{server.port}"], "timeout": "20s"}
    challenge = {"provider": "lexicon", "options": options, "propagation": rule}
    names = [f"a.{ZONE}", f"*.a.{ZONE}", f"b.{DEEP}"]
    one = agent(directory, pebble, challenge, names)
    one.around = ("tests.challenges.dns01.agent:elsewhere", str(server.port), "0.3")
    return one


def test_whole_run(tmp_path: Path, server: PowerDns, asking: Pebble) -> None:
    """A wildcard, its apex, a name in a zone below: issued, and the zones are as before."""
    before = server.txt(ZONE), server.txt(DEEP)
    document = host(tmp_path / "agent", server, asking, server.key).json("run")
    assert {one["result"] for one in document["outcomes"]} == {"done"}
    assert (server.txt(ZONE), server.txt(DEEP)) == before


def test_whole_run_in_vain(tmp_path: Path, server: PowerDns, asking: Pebble) -> None:
    """Wrong credentials: a final refusal with its advice, and nothing of the secret anywhere."""
    one = host(tmp_path / "agent", server, asking, "wr0ng-key")
    document = one.json("run", code=3)
    (outcome,) = [entry for entry in document["outcomes"] if entry["step"] == "issue"]
    assert "powerdns (by lexicon) failed" in outcome["detail"]
    files = [content for name, content in one.files().items() if name != "token"]
    assert all(b"wr0ng-key" not in content for content in files)
