"""What is answered of what an authority offers: unknown types, and challenges without a token, do no harm."""

from types import SimpleNamespace
from typing import Any

import pytest

from renewer.errors import GiveUp, RetryLater
from renewer.issue.proof import Chosen, Proof
from renewer.issue.readiness import Readiness
from renewer.model.desired import Challenge, DnsPersist01, Http01, TlsAlpn01
from renewer.network.acme import wire
from renewer.network.acme.resources import Authorization
from tests.builders import failure, wish

WEB, TLS, PERSIST = Http01(webroot="/srv/www"), TlsAlpn01(listen="[::]:443"), DnsPersist01()
ACCOUNT = "https://acme.example/acct/1"
ODD: tuple[dict[str, Any], ...] = (
    {"type": "quantum-01", "qubits": 7},
    {"type": "dns-01", "token": ""},
    {"type": "dns-01", "token": 7},
    {"type": 7, "token": "token"},
    {},
)


def authorization(*offers: dict[str, Any], wildcard: bool = False) -> Authorization:
    """A pending one with these challenges, read as they come from an authority."""
    known = [{"url": "https://acme.example/c", "status": "pending", **offer} for offer in offers]
    document = {
        "identifier": {"type": "dns", "value": "example.org"},
        "status": "pending",
        "wildcard": wildcard,
        "challenges": known,
    }
    return wire.authorization(document, "https://acme.example/a")


def proof(*ways: Challenge, tried: int | None = None) -> Proof:
    """The proof of an order, with somebody who hands out solvers and somebody who knows our key."""
    issuer: Any = SimpleNamespace(context=None, solver=lambda challenge: challenge)
    session: Any = SimpleNamespace(
        account=ACCOUNT,
        thumbprint="thumbprint",
        directory=SimpleNamespace(account_hash_prefix=None),
        key_authorization=lambda token: f"{token}.thumbprint",
    )
    of = wish(challenge=ways[0], otherwise=ways[1:])
    before = None if tried is None else failure(tried=(("example.org", tried),))
    order: Any = None
    return Proof(Readiness(issuer, of, of.authorities[0], before), session, order)


def chosen(of: Proof, *offers: dict[str, Any]) -> Chosen:
    """What is to be answered."""
    return of._chosen(authorization(*offers))


def test_what_nobody_knows_is_passed_over() -> None:
    """RFC 8555 §8: unknown types, challenges without a token, nonsense: the known one is answered."""
    one = chosen(proof(WEB), *ODD, {"type": "http-01", "token": "abc"})
    assert (one.task.type, one.task.token, one.task.key_authorization) == ("http-01", "abc", "abc.thumbprint")
    assert (one.name, one.place, one.others) == ("example.org", 0, False)
    assert (one.task.account, one.task.issuers) == (ACCOUNT, ())


@pytest.mark.parametrize("offer", [{"type": "http-01"}, {"type": "http-01", "token": "../../x"}])
def test_without_a_token_the_next_way_is_taken(offer: dict[str, Any]) -> None:
    """A type that needs a token and has none cannot be answered; another one of the config can."""
    one = chosen(proof(WEB, TLS), offer, {"type": "tls-alpn-01", "token": "abc"})
    assert (one.task.type, one.place, one.others) == ("tls-alpn-01", 1, False)
    with pytest.raises(GiveUp, match="does not offer http-01, only nothing"):
        chosen(proof(WEB), offer)


def test_a_challenge_that_has_no_token() -> None:
    """dns-persist-01 carries names and an account instead; no key authorization is asked for."""
    offer = {
        "type": "dns-persist-01",
        "accounturi": "https://acme.example/acct/other",
        "issuerDomainNames": ["ca.example"],
        "token": "is not meant",
    }
    task = chosen(proof(PERSIST), offer).task
    assert (task.token, task.key_authorization) == ("", "")
    assert (task.account, task.issuers) == ("https://acme.example/acct/other", ("ca.example",))


def test_after_a_failure_the_next_one_has_its_turn() -> None:
    """What failed last for the name stands in the record of failures."""
    both = ({"type": "http-01", "token": "abc"}, {"type": "tls-alpn-01", "token": "abc"})
    assert chosen(proof(WEB, TLS), *both).place == 0
    assert chosen(proof(WEB, TLS, tried=0), *both).place == 1
    assert chosen(proof(WEB, TLS, tried=1), *both).place == 0


def test_who_is_blamed() -> None:
    """Those that an error names, else all of the solver's; final only if there is no other way."""
    of = proof(WEB, TLS)
    both = ({"type": "http-01", "token": "abc"}, {"type": "tls-alpn-01", "token": "abc"})
    one = chosen(of, *both)
    other = one._replace(name="www.example.org", others=False)
    with pytest.raises(GiveUp), of._blaming([one, other]):
        raise GiveUp("gone", identifiers=(("example.org", "gone"),))
    assert of.failed == {"example.org": 0}
    turned = of._with_others(GiveUp("gone", hint="mend it", kind="webroot"), [one, other])
    assert isinstance(turned, RetryLater)
    assert (turned.text, turned.kind) == ("gone", "webroot")
    assert turned.hint == "mend it; next time another challenge of the config is tried"

    with pytest.raises(GiveUp), of._blaming([one, other]):
        raise GiveUp("all of it")
    assert of.failed == {"example.org": 0, "www.example.org": 0}
    final = GiveUp("all of it")
    assert of._with_others(final, [one, other]) is final
    with pytest.raises(RetryLater), proof(WEB)._blaming([one], only_named=True):
        raise RetryLater("the network")
