"""The one walk: the place that a solver finds is the end of the trail that `doctor` judges; and its cost."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import dns.flags
import dns.message
import dns.rcode
import dns.rdatatype
import dns.rrset
import pytest

from renewer import clock
from renewer.errors import GiveUp
from renewer.model.inspection import Stop, Trail
from renewer.network.dns import messages, resolvers, zones
from renewer.network.dns.messages import RecordPlace
from renewer.network.dns.resolvers import Lookups, Resolvers
from renewer.network.dns.zones import NOBODY, Zones
from tests.servers.ports import free_port, release
from tests.servers.scripted_dns import Handler, ScriptedDns, World, zone

PRIMARY, SECONDARY = "127.0.0.1", "127.0.0.2"
ORG = zone("example.org", f"ns1.example.org {PRIMARY}", f"ns2.example.org {SECONDARY}")
NET = zone("example.net", f"ns1.example.net {PRIMARY}", f"ns2.example.net {SECONDARY}")
NAME = "_acme-challenge.www.example.org"
OWN = zone(NAME, "ns1.example.org", "ns2.example.org")
WWW = f"www.example.org A {PRIMARY}"


class Net:
    """A resolver that knows a world, and two name servers of some of its zones."""

    def __init__(self, servers: ExitStack) -> None:
        self.port, self.resolver_port = free_port(), free_port()
        self._servers = servers
        self._asked: list[ScriptedDns] = []

    def world(self, *lines: str, serving: tuple[str, ...] = ("example.org", "example.net")) -> None:
        """Both servers serve these zones."""
        world = World(*lines)
        self.listen(world.resolves(), PRIMARY, self.resolver_port)
        for address in (PRIMARY, SECONDARY):
            self.listen(world.serves(*serving), address, self.port)

    def place(self, name: str = NAME) -> RecordPlace:
        """What a solver makes of it."""
        return Zones(self._resolvers).place(name)

    def trail(self, name: str = NAME) -> Trail:
        """What `doctor` makes of it."""
        deadline = clock.monotonic() + 60
        lookups = Lookups(self._resolvers.servers, deadline=deadline, port=self.port)
        return Zones(self._resolvers, lookups).record(name)

    def cost(self, walk: Callable[[], object]) -> int:
        """How many questions are asked on the way."""
        before = sum(len(one.asked) for one in self._asked)
        walk()
        return sum(len(one.asked) for one in self._asked) - before

    @property
    def _resolvers(self) -> Resolvers:
        return Resolvers((f"{PRIMARY}:{self.resolver_port}",))

    def listen(self, handler: Handler, at: str, port: int) -> None:
        """Somebody answers there."""
        self._asked.append(self._servers.enter_context(ScriptedDns(handler, address=at, port=port)))

    def end(self) -> None:
        """Give the ports back."""
        release(self.port, self.resolver_port)


@pytest.fixture
def net(monkeypatch: pytest.MonkeyPatch) -> Iterator[Net]:
    """Nobody serves yet; all are waited for, since who is asked twice counts twice."""
    for module, times in (
        (zones, ("_TIMEOUTS",)),
        (resolvers, ("_TIMEOUTS", "_LOOK_TIMEOUTS", "_SERVER_TIMEOUTS")),
    ):
        for one in times:
            monkeypatch.setattr(module, one, (20.0,))
    with ExitStack() as servers:
        made = Net(servers)
        monkeypatch.setattr(messages, "PORT", made.port)
        yield made
    made.end()


def _alias(name: str, target: str) -> str:
    return f"{name} CNAME {target}."


@pytest.mark.parametrize(
    ("records", "serving", "end"),
    [
        pytest.param([], ("example.org",), (NAME, "example.org"), id="no record yet"),
        pytest.param(
            [*NET, _alias(NAME, "x.example.net")],
            ("example.org", "example.net"),
            ("x.example.net", "example.net"),
            id="an alias into another zone",
        ),
        pytest.param(
            [_alias(NAME, "a.example.org"), _alias("a.example.org", "b.example.org")],
            ("example.org",),
            ("b.example.org", "example.org"),
            id="a chain",
        ),
        pytest.param(OWN, ("example.org", NAME), (NAME, NAME), id="a zone of its own on the same servers"),
        pytest.param(
            [*NET, _alias(NAME, "x.example.net"), _alias(f"{NOBODY}.www.example.org", "x.example.net")],
            ("example.org", "example.net"),
            (NAME, "example.org"),
            id="an alias that a wildcard makes up",
        ),
        pytest.param(
            [
                _alias(NAME, "a.example.org"),
                *NET,
                _alias("a.example.org", "x.example.net"),
                _alias(f"{NOBODY}.example.org", "x.example.net"),
            ],
            ("example.org", "example.net"),
            ("a.example.org", "example.org"),
            id="a wildcard at the end of an alias",
        ),
    ],
)
def test_a_solver_takes_the_end_of_what_doctor_judges(
    net: Net, records: list[str], serving: tuple[str, ...], end: tuple[str, str]
) -> None:
    """Both go the same way, whether one server of each zone is asked or all of them."""
    net.world(*ORG, WWW, *records, serving=serving)

    place, trail = net.place(), net.trail()

    assert (place.name, place.zone) == end == (trail.end.name, trail.end.zone)
    assert trail.stop is None
    assert len(trail.end.said) == 2


def test_a_referral_is_followed_with_the_addresses_that_it_brings(net: Net) -> None:
    """A zone of its own elsewhere: the parent's word is enough, no resolver is asked for its servers."""
    world = World(*ORG, WWW, *zone(NAME, "ns.acme.test"))
    below = World(*zone(NAME, f"ns.acme.test {SECONDARY} ::1"))

    def refers(query: dns.message.Message) -> dns.message.Message:
        answer = world.serves("example.org")(query)
        assert isinstance(answer, dns.message.Message)
        if not answer.flags & dns.flags.AA:
            for kind in (dns.rdatatype.A, dns.rdatatype.AAAA):
                answer.additional += below._get(dns.name.from_text("ns.acme.test"), kind)
        return answer

    def denies(query: dns.message.Message) -> dns.message.Message:
        answer = world.resolves()(query)
        assert isinstance(answer, dns.message.Message)
        if query.question[0].name == dns.name.from_text("ns.acme.test"):
            answer.set_rcode(dns.rcode.SERVFAIL)
        return answer

    net.listen(denies, PRIMARY, net.resolver_port)
    net.listen(refers, PRIMARY, net.port)
    net.listen(below.serves(NAME), SECONDARY, net.port)
    net.listen(below.serves(NAME), "::1", net.port)

    place, trail = net.place(), net.trail()

    assert (place.name, place.zone) == (NAME, NAME) == (trail.end.name, trail.end.zone)
    assert [(one.server.split(" ")[1], one.trouble) for one in trail.end.said] == [
        (f"({SECONDARY}:{net.port})", ""),
        (f"([::1]:{net.port})", ""),
    ]


LOOP = _alias("b.example.org", "a.example.org")


@pytest.mark.parametrize(
    ("records", "stop", "words"),
    [
        (
            [_alias(NAME, "a.example.org"), _alias("a.example.org", "b.example.org"), LOOP],
            Stop.CIRCLE,
            r"run in a circle: _acme-challenge\.www\.example\.org → a\.example\.org → b\..* → a\.ex",
        ),
        ([_alias(NAME, "gone")], Stop.NO_NAME, "no usable name"),
        ([_alias(NAME, "")], Stop.NO_NAME, "no usable name"),
        ([_alias(NAME, "x.gone.test")], Stop.NO_ZONE, r"no DNS zone was found for gone\.test"),
    ],
)
def test_what_has_no_end(net: Net, records: list[str], stop: Stop, words: str) -> None:
    """A solver gives up for the reason that stands in the trail."""
    net.world(*ORG, WWW, *records)

    with pytest.raises(GiveUp, match=words):
        net.place()
    assert net.trail().stop is stop


def test_a_name_that_is_too_long_for_its_record(net: Net) -> None:
    """With the challenge's label it is no name in DNS any more: told, not broken."""
    long = "_acme-challenge." + ".".join(["a" * 60] * 4)

    with pytest.raises(GiveUp, match="no name in DNS"):
        net.place(long)
    assert net.trail(long).stop is Stop.NO_NAME


def test_a_name_with_no_room_for_another_beside_it(net: Net) -> None:
    """Where the name beside it is too long for DNS, nobody can tell a wildcard: the alias counts."""
    long = "_acme-challenge." + ".".join(["a" * 55] * 4) + ".example.org"
    assert len(long) <= 253 < len(long) - len("_acme-challenge") + len(NOBODY)
    net.world(*ORG, *NET, _alias(long, "x.example.net"))

    assert net.place(long).name == "x.example.net" == net.trail(long).end.name


# --- hostile servers ----------------------------------------------------------------------------------------


def _says(world: World, answer: Callable[[dns.message.Message], dns.message.Message]) -> Handler:
    """A server that has its zones' SOA as it should be, and else says what a test wants."""

    def handle(query: dns.message.Message) -> dns.message.Message | bytes | None:
        if query.question[0].rdtype == dns.rdatatype.SOA:
            return world.serves("example.org")(query)
        return answer(query)

    return handle


def _reply(query: dns.message.Message, *, authoritative: bool) -> dns.message.Message:
    answer = dns.message.make_response(query)
    answer.flags |= dns.flags.AA if authoritative else 0
    return answer


def _rrset(name: str, kind: str, text: str) -> dns.rrset.RRset:
    return dns.rrset.from_text(name, 60, "IN", kind, text)


def test_an_endless_chain(net: Net) -> None:
    """A server that invents one alias after the other is given up after ten."""

    def invents(query: dns.message.Message) -> dns.message.Message:
        answer, label = _reply(query, authoritative=True), query.question[0].name.labels[0]
        if NOBODY.encode() != label:
            target = f"x{len(label)}{'x' * len(label)}.example.org."
            answer.answer.append(_rrset(query.question[0].name.to_text(), "CNAME", target))
        return answer

    world = World(*ORG, WWW)
    net.listen(world.resolves(), PRIMARY, net.resolver_port)
    for address in (PRIMARY, SECONDARY):
        net.listen(_says(world, invents), address, net.port)

    with pytest.raises(GiveUp, match="chain of too many aliases"):
        net.place()
    trail = net.trail()
    assert trail.stop is Stop.ENDLESS
    assert len(trail.hops) == zones.MAX_ALIASES + 1


def test_an_endless_delegation(net: Net) -> None:
    """A server that delegates deeper and deeper to itself is asked a bounded number of times."""
    asked = "_acme-challenge." + "a." * 20 + "example.org"
    depth = {"CNAME": 0, "TXT": 0}

    def deeper(query: dns.message.Message) -> dns.message.Message:
        name, kind = query.question[0].name, query.question[0].rdtype
        if kind == dns.rdatatype.SOA:
            answer = _reply(query, authoritative=True)
            answer.answer.append(_rrset(name.to_text(), "SOA", "a. b. 1 1 1 1 1"))
            return answer
        depth[dns.rdatatype.to_text(kind)] += 1
        below = ".".join(asked.split(".")[-2 - depth[dns.rdatatype.to_text(kind)] :])
        answer = _reply(query, authoritative=False)
        answer.authority.append(_rrset(f"{below}.", "NS", "ns1.example.org."))
        return answer

    world = World(*zone("example.org", f"ns1.example.org {PRIMARY}"))
    net.listen(world.resolves(), PRIMARY, net.resolver_port)
    net.listen(deeper, PRIMARY, net.port)

    with pytest.raises(GiveUp, match="too many zones"):
        net.place(asked)
    assert len(net.trail(asked).hops) == 1
    assert depth == {"CNAME": zones.MAX_CUTS, "TXT": 1}  # who looks asks nobody the same twice


@pytest.mark.parametrize(
    ("owner", "kind", "text", "authoritative"),
    [
        (".", "NS", "a.root.", False),
        ("test.", "NS", "ns.test.", False),
        ("other.example.org.", "NS", "ns.other.example.org.", False),
        ("evil.test.", "SOA", "a. b. 1 1 1 1 1", True),
        ("org.", "SOA", "a. b. 1 1 1 1 1", True),
        ("example.org.", "SOA", "a. b. 1 1 1 1 1", True),
    ],
)
def test_wrong_cuts(net: Net, owner: str, kind: str, text: str, *, authoritative: bool) -> None:
    """Delegations upwards and sideways, and denials from strange zones, move nobody."""

    def lies(query: dns.message.Message) -> dns.message.Message:
        answer = _reply(query, authoritative=authoritative)
        answer.authority.append(_rrset(owner, kind, text))
        return answer

    world = World(*ORG, WWW)
    net.listen(world.resolves(), PRIMARY, net.resolver_port)
    for address in (PRIMARY, SECONDARY):
        net.listen(_says(world, lies), address, net.port)

    place, trail = net.place(), net.trail()

    assert (place.name, place.zone) == (NAME, "example.org") == (trail.end.name, trail.end.zone)


# --- cost ---------------------------------------------------------------------------------------------------


def test_the_walk_is_cheap(net: Net) -> None:
    """One question to one server of a zone for the solver; a handful to each for `doctor`."""
    net.world(*ORG, WWW)

    assert net.cost(net.place) <= 7
    assert net.cost(net.trail) <= 10


def test_an_alias_costs_one_more_zone(net: Net) -> None:
    """The zone that it leads to, and one question whether a wildcard made it up."""
    net.world(*ORG, *NET, WWW, _alias(NAME, "x.example.net"))

    assert net.cost(net.place) <= 15
    assert net.cost(net.trail) <= 22
