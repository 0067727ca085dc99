"""Which challenge is answered for a name, and which one after it failed."""

from hypothesis import given
from hypothesis import strategies as st

from renewer.errors import GiveUp, RetryLater
from renewer.model.desired import Challenge, Dns01, DnsAccount01, DnsPersist01, Http01, TlsAlpn01
from renewer.model.names import Identifier
from renewer.policy.backoff import count
from renewer.policy.challenge import (
    Way,
    challenges_of,
    choose,
    configured,
    failed_place,
    fault,
    suits,
    type_of,
    ways_of,
)
from tests.builders import NOW, failure, situation, wish

HERE, THERE = Http01(webroot="/srv/here"), Http01(webroot="/srv/there")
TLS, DNS = TlsAlpn01(listen="[::]:443"), Dns01(provider="x")
EVERY: tuple[Challenge, ...] = (HERE, THERE, TLS, DNS, DnsAccount01(provider="x"), DnsPersist01())
TYPES = sorted({type_of(one) for one in EVERY})
NAME, STAR = Identifier.parse("example.org"), Identifier.parse("*.example.org")
ADDRESS = Identifier.parse("192.0.2.7")

ORDERS = st.lists(st.sampled_from(EVERY), min_size=1, unique=True)
OFFERS = st.sets(st.sampled_from([*TYPES, "onion-csr-01"]))
NAMES = st.sampled_from([NAME, STAR, ADDRESS])


def the_ways(order: list[Challenge], name: Identifier = NAME) -> tuple[Way, ...]:
    """The ways of one name, configured in this order."""
    of = wish(challenge=order[0], otherwise=tuple(order[1:]))
    return ways_of(of, Identifier.parse(name.base), wildcard=name.wildcard)


def test_a_name_may_have_its_own_challenge() -> None:
    """`challenges` overrules `challenge` for single names."""
    name, other = Identifier.parse("www.example.org"), Identifier.parse("example.org")
    of = wish(challenge=HERE, challenges=((name, THERE),))

    assert configured(of, name, wildcard=False) == THERE
    assert configured(of, other, wildcard=False) == HERE
    assert challenges_of(of) == {HERE, THERE}


def test_a_name_may_have_several_ways_of_its_own() -> None:
    """A list for a single name is tried instead of the certificate's, in its own order."""
    of = wish(challenge=HERE, otherwise=(TLS,), challenges=((NAME, THERE), (NAME, DNS)))

    assert ways_of(of, NAME, wildcard=False) == (Way(0, THERE), Way(1, DNS))
    assert ways_of(of, Identifier.parse("www.example.org"), wildcard=False) == (Way(0, HERE), Way(1, TLS))
    assert challenges_of(of) == {HERE, TLS, THERE, DNS}


def test_a_wildcard_is_not_its_base() -> None:
    """RFC 8555 §7.1.4: the authorization of *.example.org is for example.org, with a mark."""
    of = wish(challenge=HERE, challenges=((STAR, DNS),))

    assert configured(of, NAME, wildcard=True) == DNS
    assert configured(of, NAME, wildcard=False) == HERE


def test_what_cannot_prove_a_name_is_passed_over() -> None:
    """Of a list a wildcard takes what proves wildcards (RFC 8737 §3), an address what may (RFC 8738 §7)."""
    order: list[Challenge] = [HERE, DNS, TLS, DnsPersist01()]

    assert [way.place for way in the_ways(order, STAR)] == [1, 3]
    assert [way.place for way in the_ways(order, ADDRESS)] == [0, 2]
    assert [way.place for way in the_ways(order)] == [0, 1, 2, 3]


def test_a_challenge_that_is_not_offered_is_told() -> None:
    """The sentence names the identifier, what is wanted and what there is."""
    ways = the_ways([HERE, THERE, TLS])

    assert type_of(HERE) == "http-01"
    told = fault(NAME, ways, {"dns-01", "x-01"})
    assert told == "example.org: the authority does not offer http-01 or tls-alpn-01, only dns-01, x-01"
    assert "only nothing" in fault(NAME, ways, set())


@given(order=ORDERS, offered=OFFERS, name=NAMES, failed=st.none() | st.integers(0, 6))
def test_what_is_chosen_is_configured_offered_and_fit(
    order: list[Challenge], offered: set[str], name: Identifier, failed: int | None
) -> None:
    """Whatever is offered and whatever failed: nothing else is chosen, and something if there is anything."""
    way = choose(the_ways(order, name), offered, failed)

    usable = [one for one in order if type_of(one) in offered and suits(one, name, name.wildcard)]
    assert (way.challenge in usable) if way else not usable
    assert way is None or order[way.place] == way.challenge


@given(order=ORDERS, offered=OFFERS)
def test_without_a_failure_the_first_in_order_is_chosen(order: list[Challenge], offered: set[str]) -> None:
    """The order of the config counts, never that of the authority."""
    usable = [one for one in order if type_of(one) in offered]

    way = choose(the_ways(order), offered)
    assert (way.challenge if way else None) == (usable[0] if usable else None)


@given(order=ORDERS, offered=OFFERS, failed=st.none() | st.integers(0, 6))
def test_every_way_gets_its_turn(order: list[Challenge], offered: set[str], failed: int | None) -> None:
    """As long as all fail, each usable way is tried once before any comes again."""
    ways = the_ways(order)
    usable = [one for one in order if type_of(one) in offered]
    tried: list[Challenge] = []
    for _ in usable:
        way = choose(ways, offered, failed)
        assert way is not None
        tried.append(way.challenge)
        failed = way.place

    assert sorted(map(order.index, tried)) == sorted(map(order.index, usable))


def test_a_failure_remembers_which_way_failed() -> None:
    """The record names the place for each name; a failure of something else forgets nothing."""
    first = count(situation(), "letsencrypt", RetryLater("refused"), NOW, tried={"example.org": 1})
    assert failed_place(first, NAME) == 1
    assert failed_place(first, STAR) is failed_place(None, NAME) is None

    after = situation(failures=(first,))
    network = count(after, "letsencrypt", RetryLater("nobody answers"), NOW)
    assert failed_place(network, NAME) == 1
    other = count(after, "letsencrypt", GiveUp("refused"), NOW, tried={"*.example.org": 0})
    assert (failed_place(other, NAME), failed_place(other, STAR)) == (1, 0)


def test_another_wish_begins_anew() -> None:
    """When the configuration has changed, places mean something else: the first is tried again."""
    before = failure(wish="as it was", tried=(("example.org", 1),))
    after = count(situation(failures=(before,)), "letsencrypt", RetryLater("x"), NOW)
    assert failed_place(after, NAME) is None
