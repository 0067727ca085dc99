"""The provider acme-dns and its command, against a small server of its API; a whole run with it."""

import json
import os
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from renewer.errors import GiveUp, RetryLater, StateError
from renewer.issue.providers import make, register
from renewer.model.desired import Dns01, OptionValue
from renewer.model.dns_provider import AcmeDnsAccount, TxtRecord
from renewer.provisioning import acme_dns as accounts
from tests.agent import Agent
from tests.challenges.dns01.bed import BIND_ZONE, KNOT_ZONE, Bed
from tests.challenges.dns01.providers.world import NAMES, agent, in_bed, provider, record
from tests.servers.acmedns import AcmeDns
from tests.servers.pebble import Pebble
from tests.servers.published import Published


class Client:
    """The provider with its accounts in a file, and the command that makes them."""

    def __init__(self, challenge: Dns01) -> None:
        self.storage = str(dict(challenge.options)["storage"])
        self.register = partial(register, challenge)
        made = make(challenge)
        self.add, self.remove = made.add, made.remove


def client(server: AcmeDns, directory: Path, **more: OptionValue) -> Client:
    """The provider, as the config names it."""
    options = {"server": server.api.url, "storage": str(directory / "acme-dns" / "a.json"), **more}
    return Client(Dns01(provider="acme-dns", options=tuple(options.items())))


def at(account: AcmeDnsAccount, number: int = 1, domain: str = "www.example.org") -> TxtRecord:
    """A record whose CNAME leads to an account."""
    return record(domain, number, name=account.fulldomain)


# --- accounts -----------------------------------------------------------------------------------------------


def test_registering(tmp_path: Path) -> None:
    """An account is stored at once, for nobody else to read, beside those that are there."""
    with AcmeDns() as server:
        one = client(server, tmp_path)
        first = one.register("example.org")
        second = client(server, tmp_path, allow_from=("198.51.100.0/24",)).register("www.example.org")
        url = server.api.url
    assert accounts.load(one.storage) == {"example.org": first, "www.example.org": second}
    assert os.stat(one.storage).st_mode & 0o777 == 0o600
    assert os.stat(tmp_path / "acme-dns").st_mode & 0o777 == 0o700
    assert os.listdir(tmp_path / "acme-dns") == ["a.json"]
    assert server.allowed[second.subdomain] == ["198.51.100.0/24"]
    assert json.loads(Path(one.storage).read_text())["example.org"]["server_url"] == url
    assert first.password not in repr(first)


def test_files_of_others(tmp_path: Path) -> None:
    """A file of lego or of the certbot hook is used as it is, and what is in it stays."""
    path = tmp_path / "acmedns.json"
    entry = {"fulldomain": "X.auth.example.net", "subdomain": "x", "username": "u", "password": "p"}
    path.write_text(json.dumps({"Example.org": {**entry, "allowfrom": []}}))
    path.chmod(0o600)
    assert accounts.load(str(path))["example.org"].subdomain == "x"
    accounts.add(str(path), "b.example", AcmeDnsAccount(**{**entry, "subdomain": "y"}), "https://a")
    assert json.loads(path.read_text())["Example.org"] == {**entry, "allowfrom": []}
    assert accounts.load(str(path))["b.example"].subdomain == "y"


@pytest.mark.parametrize(
    ("content", "mode", "said"),
    [
        ("{}", 0o666, "others could change it"),
        ("{}", 0o644, "everybody can read it"),
        ("{", 0o600, "no JSON object"),
        ("[]", 0o600, "no JSON object"),
        ('{"a": {"fulldomain": "x"}}', 0o600, "the account of a: Object missing required field"),
    ],
)
def test_files_that_are_not_used(tmp_path: Path, content: str, mode: int, said: str) -> None:
    """What others could change or read, and what is no list of accounts, is told and left alone."""
    path = tmp_path / "a.json"
    path.write_text(content)
    path.chmod(mode)
    with pytest.raises(GiveUp, match=said) as caught:
        accounts.load(str(path))
    assert caught.value.hint


def test_place_that_cannot_be_written(tmp_path: Path) -> None:
    """A directory that is not there is told, with what to do."""
    with AcmeDns() as server, pytest.raises(StateError, match="No such file"):
        client(server, tmp_path / "no" / "where").register("example.org")


def test_registering_in_vain(tmp_path: Path) -> None:
    """A server that registers nobody, or is none of acme-dns, is told; nothing is stored."""
    with AcmeDns(registrations=False) as server, pytest.raises(GiveUp, match="answered 404"):
        client(server, tmp_path).register("example.org")
    server.api.answer = lambda _: (200, {"hello": 1})
    with server, pytest.raises(GiveUp, match="is no account"):
        client(server, tmp_path).register("example.org")
    assert not (tmp_path / "acme-dns").exists()


# --- values -------------------------------------------------------------------------------------------------


def test_two_values(tmp_path: Path) -> None:
    """A name and its wildcard have both places; the next order's values push them out."""
    with AcmeDns() as server:
        one = client(server, tmp_path)
        account = one.register("www.example.org")
        for turn in (1, 3):
            pair = [at(account, turn), at(account, turn + 1)]
            one.add("auth.example.net", pair)
            assert set(server.values(account.fulldomain)) == {part.value for part in pair}
            one.remove("auth.example.net", pair)


def test_same_value_again(tmp_path: Path) -> None:
    """An order that is resumed publishes the same values again: both are there afterwards."""
    with AcmeDns() as server:
        account = client(server, tmp_path).register("www.example.org")
        pair = [at(account, 1), at(account, 2)]
        for _ in range(2):
            one = client(server, tmp_path)
            one.add("auth.example.net", [*pair, pair[0]])
        assert set(server.values(account.fulldomain)) == {part.value for part in pair}
        one.remove("auth.example.net", pair)


def test_three_values(tmp_path: Path) -> None:
    """A third value at one account is refused before anything is sent, with the names that collide."""
    with AcmeDns() as server:
        one = client(server, tmp_path)
        account = one.register("www.example.org")
        three = [at(account, 1), at(account, 2), at(account, 3, "other.example.org")]
        with pytest.raises(GiveUp, match="3 values are needed at once") as caught:
            one.add("auth.example.net", three)
        assert server.published.added == []
    assert "_acme-challenge.other.example.org" in caught.value.text
    assert "an account and a CNAME of its own" in caught.value.hint


def test_two_orders_at_one_account(tmp_path: Path) -> None:
    """Orders in flight do not push out each other's values: the second comes when the first is done."""
    with AcmeDns() as server:
        one, two = client(server, tmp_path), client(server, tmp_path)
        account = one.register("www.example.org")
        one.add("", [at(account, 1), at(account, 2)])
        with pytest.raises(RetryLater, match="is using both places"):
            two.add("", [at(account, 3)])
        two.remove("", [at(account, 3)])
        one.remove("", [at(account, 1), at(account, 2)])
        two.add("", [at(account, 3)])
        two.remove("", [at(account, 3)])


# --- what is wrong ------------------------------------------------------------------------------------------


def test_no_account(tmp_path: Path) -> None:
    """A name without one: the command that makes it is named."""
    with (
        AcmeDns() as server,
        pytest.raises(GiveUp, match=r"no acme-dns account for www\.example\.org") as caught,
    ):
        client(server, tmp_path).add("example.org", [record()])
    assert "renewer acme-dns register" in caught.value.hint


@pytest.mark.parametrize(("name", "seen"), [("", "is no CNAME"), ("x.example.net", "leads to x.example.net")])
def test_no_cname(tmp_path: Path, name: str, seen: str) -> None:
    """A missing or wrong CNAME: the exact record to publish is named, and nothing is sent."""
    with AcmeDns() as server:
        one = client(server, tmp_path)
        account = one.register("www.example.org")
        with pytest.raises(GiveUp, match=seen) as caught:
            one.add("example.org", [record(name=name)])
        assert server.published.added == []
    assert f"_acme-challenge.www.example.org. CNAME {account.fulldomain}." in caught.value.hint


def test_cname_that_cannot_be_followed_here(tmp_path: Path) -> None:
    """Where no zone can be found from here (split DNS), the account of the domain is used."""
    with AcmeDns() as server:
        one = client(server, tmp_path)
        account = one.register("www.example.org")
        one.add("", [record()])
        assert server.values(account.fulldomain) == [record().value]
        one.remove("", [record()])


def test_refused(tmp_path: Path) -> None:
    """A lost database and a forbidden address look alike to acme-dns: both are named."""
    with AcmeDns() as server:
        one = client(server, tmp_path, allow_from=("192.0.2.0/24",))
        account = one.register("www.example.org")
        with pytest.raises(GiveUp, match="401: forbidden") as caught:
            one.add("", [at(account)])
        one.remove("", [at(account)])
    assert "allowfrom" in caught.value.hint
    assert "Register anew" in caught.value.hint or "register anew" in caught.value.hint
    assert account.password not in caught.value.text + caught.value.hint


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({}, "server is missing"),
        ({"server": "http://auth.example.org"}, "would send credentials"),
        ({"server": "https://a", "storage": "a.json"}, "storage must be an absolute path"),
        ({"server": "https://a", "allow_from": "x"}, "allow_from must be a list"),
        ({"server": "https://a"}, "needs a file for its accounts"),
    ],
)
def test_options(options: dict[str, Any], said: str) -> None:
    """Every option is looked at before anything is sent."""
    with pytest.raises(GiveUp) as caught:
        provider("acme-dns", **options)
    assert said in caught.value.text


# --- the command and a whole run ----------------------------------------------------------------------------


def host(directory: Path, pebble: Pebble, server: AcmeDns) -> Agent:
    """An agent whose names are proved by a server of acme-dns."""
    return agent(directory, pebble, {"provider": "acme-dns", "options": {"server": server.api.url}})


def test_whole_run(tmp_path: Path, pebble: Pebble) -> None:
    """Register, publish the CNAMEs that are printed, run: a wildcard, its apex and a further name."""
    with AcmeDns(Published(pebble.dns)) as server:
        one = host(tmp_path, pebble, server)
        early = one.json("run", code=3)
        told = [outcome["detail"] for outcome in early["outcomes"] if outcome["step"] == "issue"]
        assert "there is no acme-dns account for" in told[0]
        missing = one.json("acme-dns", "show", code=1)
        assert [entry["target"] for entry in missing["records"]] == [None, None]

        made = one.json("acme-dns", "register")
        assert one.json("acme-dns", "register", "www") == made
        assert [entry["domain"] for entry in made["records"]] == ["example.org", "www.example.org"]
        plain = one.cli("acme-dns", "register")
        for entry in made["records"]:
            assert f"{entry['name']}. CNAME {entry['target']}." in plain.out
            pebble.dns.set_cname(entry["name"], entry["target"])
        (stored,) = (one.state / "acme-dns").iterdir()
        assert stored.stat().st_mode & 0o777 == 0o600
        assert stored.parent.stat().st_mode & 0o777 == 0o700
        try:
            document = one.json("run", "--force", "--only", "www")
        finally:
            for entry in made["records"]:
                pebble.dns.clear_cname(entry["name"])
    assert {outcome["result"] for outcome in document["outcomes"]} == {"done"}
    assert len(server.published.added) == len(NAMES)


@pytest.mark.real
def test_published(tmp_path: Path, bed: Bed, looking: Pebble) -> None:
    """`show` follows the CNAMEs as the world sees them, and says which are published."""
    storage = tmp_path / "accounts.json"
    for name in ("via", "host"):
        account = AcmeDnsAccount(
            fulldomain=f"{name}.acme.{KNOT_ZONE}", subdomain=name, username="u", password="p"
        )
        accounts.add(str(storage), f"{name}.{BIND_ZONE}", account, "https://auth.example.net")
    options = {"server": "https://auth.example.net", "storage": str(storage)}
    names = [f"via.{BIND_ZONE}", f"host.{BIND_ZONE}"]
    one = in_bed(tmp_path / "agent", bed, looking, {"provider": "acme-dns", "options": options}, names)
    shown = one.json("acme-dns", "show", code=1)["records"]
    assert {entry["domain"]: entry["published"] for entry in shown} == dict(
        zip(names, (True, False), strict=True)
    )


def test_usage(tmp_path: Path, pebble: Pebble) -> None:
    """A certificate that is not there, or that is proved otherwise, is a usage error."""
    with AcmeDns() as server:
        one = host(tmp_path, pebble, server)
        assert one.cli("acme-dns", "register", "nobody").code == 2
        one.tables["challenge.dns"] = {"type": "http-01", "webroot": str(tmp_path)}
        one.tables["certificate.www"]["names"] = ["www.example.org"]
        ended = one.cli("acme-dns", "register")
    assert (ended.code, "no name is proved by acme-dns" in ended.err) == (2, True)
