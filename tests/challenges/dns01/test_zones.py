"""Where a record has to go, in a real world of names and in hostile ones: bounded, and told clearly."""

from functools import partial

import dns.message
import dns.rcode
import pytest

from renewer.errors import GiveUp, RetryLater
from renewer.network.dns import messages, resolvers, zones
from renewer.network.dns.messages import RecordPlace
from renewer.network.dns.resolvers import Resolvers
from renewer.network.dns.zones import Zones
from tests.challenges.dns01.bed import BIND_ZONE, KNOT_ZONE, SIX_ZONE, Bed
from tests.servers.ports import free_port
from tests.servers.scripted_dns import MUTE, Handler, ScriptedDns, patient, reply

HERE, THERE = "127.0.0.11", "127.0.0.12"
SOA = "example. 60 SOA ns1.example. host.example. 1 60 60 60 60"


@pytest.fixture(autouse=True)
def _patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who is silent on purpose is given up after a moment, and nobody else."""
    patient(monkeypatch, zones, resolvers)


@pytest.fixture
def port(monkeypatch: pytest.MonkeyPatch) -> int:
    """Where the scripted servers listen."""
    number = free_port()
    monkeypatch.setattr(messages, "PORT", number)
    return number


def place(port: int, asked: str = "_acme-challenge.www.example") -> RecordPlace:
    """Ask the scripted resolver."""
    return Zones(Resolvers((f"{HERE}:{port}",))).place(asked)


def resolver(query: dns.message.Message, there: str = THERE) -> dns.message.Message:
    """A resolver that knows the zone `example`, at one name server."""
    name = query.question[0].name.to_text()
    kind = dns.rdatatype.to_text(query.question[0].rdtype)
    known = {
        ("example.", "SOA"): SOA,
        ("example.", "NS"): "example. 60 NS ns1.example.",
        ("ns1.example.", "A"): f"ns1.example. 60 A {there}",
    }
    if found := known.get((name, kind)):
        return reply(query, found, authoritative=False)
    return reply(query, authority=(SOA,), authoritative=False)


def told(port: int, script: Handler, there: str = THERE) -> tuple[str, str]:
    """The zone and the name that come out of what a name server says."""
    with (
        ScriptedDns(partial(resolver, there=there), address=HERE, port=port),
        ScriptedDns(script, address=there, port=port),
    ):
        found = place(port)
    return found.zone, found.name


@pytest.mark.real
@pytest.mark.parametrize(
    ("host", "name", "zone"),
    [
        (BIND_ZONE, f"_acme-challenge.{BIND_ZONE}", BIND_ZONE),
        (f"deep.er.{BIND_ZONE}", f"_acme-challenge.deep.er.{BIND_ZONE}", BIND_ZONE),
        (f"via.{BIND_ZONE}", f"via.acme.{KNOT_ZONE}", KNOT_ZONE),
        (f"chain.{BIND_ZONE}", f"end.{KNOT_ZONE}", KNOT_ZONE),
        (f"cut.{BIND_ZONE}", f"_acme-challenge.cut.{BIND_ZONE}", f"_acme-challenge.cut.{BIND_ZONE}"),
        (f"a.wild.{BIND_ZONE}", f"_acme-challenge.a.wild.{BIND_ZONE}", BIND_ZONE),
        (SIX_ZONE, f"_acme-challenge.{SIX_ZONE}", SIX_ZONE),
    ],
)
def test_places(bed: Bed, host: str, name: str, zone: str) -> None:
    """Apex, depth, aliases, chains, a zone of its own, aliases that a wildcard made up, IPv6 alone."""
    found = Zones(Resolvers((bed.resolver_address,))).place(f"_acme-challenge.{host}")
    assert (name, zone) == (found.name, found.zone)


def test_the_resolver_never_hears_of_the_record(port: int) -> None:
    """What concerns the record is asked of the zone's own servers: a resolver would remember its absence."""
    with (
        ScriptedDns(resolver, address=HERE, port=port) as heard,
        ScriptedDns(
            lambda query: reply(query, authority=(SOA,), rcode=dns.rcode.NXDOMAIN), address=THERE, port=port
        ) as own,
    ):
        assert place(port).zone == "example"
    assert not any("_acme-challenge" in one for one in heard.asked)
    assert own.asked == ["_acme-challenge.www.example CNAME"]


def test_alias_of_another_name_is_no_alias(port: int) -> None:
    """Records about names that nobody asked for are not believed."""
    said = told(port, lambda query: reply(query, "other.example. 60 CNAME evil.test."))
    assert said == ("example", "_acme-challenge.www.example")


@pytest.mark.parametrize(
    "script",
    [
        lambda _: None,
        lambda _: b"nonsense",
        lambda query: reply(query, rcode=dns.rcode.REFUSED),
        lambda query: dns.message.from_wire(b"\0\0" + reply(query).to_wire()[2:]),
    ],
    ids=["silence", "nonsense", "refused", "another id"],
)
def test_servers_without_an_answer(port: int, script: Handler) -> None:
    """If no name server says anything usable, the resolver is asked after all, and the zone is its zone."""
    assert told(port, script, MUTE) == ("example", "_acme-challenge.www.example")


def test_resolvers_without_an_answer(port: int) -> None:
    """If no resolver answers, each is named with what it said; another run may do better."""
    with (
        ScriptedDns(lambda _: None, address=MUTE, port=port),
        ScriptedDns(lambda query: reply(query, rcode=dns.rcode.SERVFAIL), address=THERE, port=port),
        pytest.raises(RetryLater) as caught,
    ):
        Zones(Resolvers((f"{MUTE}:{port}", f"{THERE}:{port}", f"127.0.0.13:{port}"))).place("_a.www.example")
    assert f"{MUTE}:{port}: no answer in" in caught.value.text
    assert "SERVFAIL" in caught.value.text
    assert "Connection refused" in caught.value.text


def test_no_zone_at_all(port: int) -> None:
    """A name that nobody has registered is told as such."""
    root = ". 60 SOA a. b. 1 1 1 1 1"
    script: Handler = lambda query: reply(query, authority=(root,), rcode=dns.rcode.NXDOMAIN)  # noqa: E731
    with (
        ScriptedDns(script, address=HERE, port=port),
        pytest.raises(GiveUp, match=r"no DNS zone was found for www\.example"),
    ):
        place(port)


def test_zone_without_servers(port: int) -> None:
    """A zone whose name servers have no address is told with their names."""

    def script(query: dns.message.Message) -> dns.message.Message:
        if query.question[0].rdtype == dns.rdatatype.A:
            return reply(query, authority=(SOA,), authoritative=False)
        return resolver(query)

    with (
        ScriptedDns(script, address=HERE, port=port),
        pytest.raises(RetryLater, match=r"no name server .*ns1\.example"),
    ):
        place(port)
