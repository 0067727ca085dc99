"""Which challenge is answered for a name."""

from renewer.model.desired import Http01
from renewer.model.names import Identifier
from renewer.policy.challenge import challenges_of, configured, fault, type_of
from tests.builders import (
    wish,
)

HERE, THERE = Http01(webroot="/srv/here"), Http01(webroot="/srv/there")


def test_a_name_may_have_its_own_challenge() -> None:
    """`challenges` overrules `challenge` for single names."""
    name, other = Identifier.parse("www.example.org"), Identifier.parse("example.org")
    of = wish(challenge=HERE, challenges=((name, THERE),))

    assert configured(of, name, wildcard=False) == THERE
    assert configured(of, other, wildcard=False) == HERE
    assert challenges_of(of) == {HERE, THERE}


def test_a_wildcard_is_not_its_base() -> None:
    """RFC 8555 §7.1.4: the authorization of *.example.org is for example.org, with a mark."""
    star, base = Identifier.parse("*.example.org"), Identifier.parse("example.org")
    of = wish(challenge=HERE, challenges=((star, THERE),))

    assert configured(of, base, wildcard=True) == THERE
    assert configured(of, base, wildcard=False) == HERE


def test_a_challenge_that_is_not_offered_is_told() -> None:
    """The sentence names the identifier, what is wanted and what there is."""
    name = Identifier.parse("www.example.org")

    assert type_of(HERE) == "http-01"
    assert fault(name, "http-01", {"http-01", "dns-01"}) is None
    told = fault(name, "http-01", {"tls-alpn-01", "dns-01"})
    assert told == "www.example.org: the authority does not offer http-01, only dns-01, tls-alpn-01"
    assert "only nothing" in (fault(name, "http-01", set()) or "")
