"""Chains as authorities really send them: what means the same is put right, the rest is kept and told."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from cryptography import x509

from renewer import inventory
from renewer.issue import chains
from renewer.model.decision import Step
from renewer.model.facts import Order, OrderState
from tests.faults.conftest import HostFactory
from tests.faults.host import Host, failed
from tests.servers.bendable import Bendable, BendableFactory
from tests.servers.bends import Answer, Call
from tests.store.looking import live_pair

END = b"-----END CERTIFICATE-----\n"


@pytest.fixture
def at(make_host: HostFactory, bendable: BendableFactory, agents_clock: Any) -> tuple[Host, Bendable]:
    """A host and its authority."""
    authority = bendable(clock=agents_clock.now)
    table = {"directory": authority.directory, "ca_bundle": authority.ca_bundle, "roots": authority.roots()}
    return make_host(0, {"f": table}), authority


def blocks(body: bytes) -> list[bytes]:
    """The certificates of a chain."""
    return [one + END for one in body.split(END) if one.strip()]


def explained(body: bytes) -> bytes:
    """As `openssl s_client -showcerts` writes it."""
    return b"".join(b" 0 s:CN=x\n   i:CN=y\nValidity: long\n" + one for one in blocks(body)) + b"\nbye\n"


SPOILT: dict[str, Callable[[bytes], bytes]] = {
    "an intermediate twice": lambda body: body + blocks(body)[-1],
    "the leaf twice": lambda body: blocks(body)[0] + body,
    "text before each block": explained,
    "backwards": lambda body: b"".join(reversed(blocks(body))),
    "a byte order mark": lambda body: b"\xef\xbb\xbf" + body,
    "CRLF": lambda body: body.replace(b"\n", b"\r\n"),
    "all of it": lambda body: (
        b"\xef\xbb\xbf" + explained(b"".join(reversed(blocks(body)))).replace(b"\n", b"\r\n")
    ),
}


@pytest.mark.parametrize("how", SPOILT)
def test_what_means_the_same_is_installed(at: tuple[Host, Bendable], how: str) -> None:
    """The certificate is live, leaf first, and nothing was ordered twice."""
    host, authority = at

    def spoilt(request: Any) -> Answer:
        usual = request.usual()
        return Answer(usual.status, SPOILT[how](usual.body), usual.headers)

    authority.bend(Call.CERTIFICATE, spoilt)
    report = host.run()
    assert (report.exit, failed(report), len(authority.orders)) == (0, [], 1)
    live_pair(host.state, "www")
    chain = (host.state / "certificates/www/live/fullchain.pem").read_bytes()
    assert chain.count(END) == len(blocks(chain)) == 2
    assert chain.startswith(b"-----BEGIN CERTIFICATE-----\n")


def test_what_is_refused_is_kept(at: tuple[Host, Bendable]) -> None:
    """A chain without our leaf cannot be installed: the file is kept, and told, for who wants to look."""
    host, authority = at

    def without_leaf(request: Any) -> Answer:
        usual = request.usual()
        return Answer(usual.status, b"".join(blocks(usual.body)[1:]), usual.headers)

    authority.bend(Call.CERTIFICATE, without_leaf)
    report = host.run()
    kept = host.state / "refused" / "www.pem"
    assert kept.read_bytes().count(END) == 1
    assert kept.stat().st_mode & 0o777 == 0o600
    assert any(str(kept) in outcome.hint for outcome in report.outcomes)
    assert "does not belong to any certificate" in failed(report)[0]


def preferring(at: tuple[Host, Bendable]) -> tuple[Host, Bendable]:
    """A certificate whose preferred chain could not be had: the default one is live."""
    host, authority = at
    host.authorities["f"] |= {"chain": "Bendable Root 2", "roots": "any"}
    host.write_config()
    authority.bend(Call.ALTERNATE, lambda _: Answer(500, b"", {}))
    assert host.run().exit == 0
    assert host.situation().chain is not None
    assert ends_at(host) == "Bendable Root 1"
    authority.mend()
    host.clock.forward(timedelta(minutes=15))
    return host, authority


def ends_at(host: Host) -> str:
    """Who signed the last certificate of the live chain."""
    text = (host.state / "certificates" / "www" / "live" / "fullchain.pem").read_bytes()
    last = x509.load_pem_x509_certificates(text)[-1]
    return str(last.issuer.rfc4514_string()).removeprefix("CN=")


def test_the_preferred_chain_is_asked_for_again(at: tuple[Host, Bendable]) -> None:
    """Without an order, and installed once it can be had."""
    host, authority = preferring(at)
    assert host.run().exit == 0
    assert ends_at(host) == "Bendable Root 2"
    assert len(authority.orders) == 1


def test_not_while_an_order_is_open(at: tuple[Host, Bendable]) -> None:
    """There is one record of an order: it is left as it is, with its key, and the chain waits."""
    host, authority = preferring(at)
    asked = authority.count(Call.ALTERNATE)
    with host.context() as context:
        wish = context.config.certificates["www"]
        order = Order(
            certificate="www",
            pending="20260101T000000Z-open",
            state=OrderState.OPEN,
            authority="f",
            directory=authority.directory,
            identifiers=wish.names,
            key_type=wish.key,
            profile=None,
            at=host.clock.now(),
            url=f"{authority.directory}/none",
        )
        context.store.prepare("www", order.pending, b"a key", b"{}")
        context.ledger.save(order)

        situation = inventory.take(context, ["www"])["www"]
        live = situation.live_version
        assert live is not None
        assert chains.again(context, [(situation, live)]) == set()
        assert context.ledger.load(Order, "www") == [order]

    host.run(steps=frozenset({Step.INSTALL, Step.DEPLOY, Step.LOOK}))

    assert authority.count(Call.ALTERNATE) == asked
    assert host.situation().order == order
    with host.context() as context:
        context.ledger.drop(order)
        context.store.clear("www", order.pending)
    host.run()
    assert ends_at(host) == "Bendable Root 2"
    assert len(authority.orders) == 1
