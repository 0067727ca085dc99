"""The bendable authority keeps RFC 8555 as long as nobody bends it, and bends exactly what it was told to."""

import contextlib
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization

from renewer import clock
from renewer.accounts.session import Session
from renewer.errors import GiveUp, RenewerError, RetryLater
from renewer.model.desired import Authority, Eab, KeyType, Secret, SecretSource
from renewer.model.names import Identifier
from renewer.network.acme.resources import AcmeOrder
from tests.acme.conftest import csr
from tests.servers.bendable import Bendable, BendableFactory
from tests.servers.bends import (
    Call,
    cut,
    dropped,
    error,
    html,
    late,
    lost,
    problem,
    stays,
    thin,
)

NAME = "www.example.org"
SECRET = Secret(source=SecretSource.ENV, argument=("UNUSED",))
LATER = datetime(2031, 5, 1, 12, tzinfo=UTC)


@pytest.fixture
def authority(bendable: BendableFactory) -> Bendable:
    """One that nobody has bent yet."""
    return bendable()


def session_with(authority: Bendable, state: Path, **changes: object) -> Session:
    """The agent's own door to it."""
    given: dict[str, object] = {
        "name": "bendable",
        "directory": authority.directory,
        "ca_bundle": str(authority.ca_bundle),
        "agree_terms": True,
    }
    state.mkdir(mode=0o700, exist_ok=True)
    wish = Authority(**(given | changes))  # type: ignore[arg-type]
    return Session.open(wish, state=str(state), eab_hmac="c2VjcmV0", timeout=30)


@pytest.fixture
def session(authority: Bendable, tmp_path: Path) -> Iterator[Session]:
    """A session with it."""
    opened = session_with(authority, tmp_path / "state")
    yield opened
    opened.close()


def ordered(session: Session, *names: str, replaces: str | None = None) -> AcmeOrder:
    """A new order whose challenges are answered."""
    order = session.new_order([Identifier.parse(name) for name in names or (NAME,)], replaces=replaces)
    for url in order.authorizations:
        session.answer(session.authorization(url).challenges[0])
    return order


def obtained(session: Session, *names: str) -> bytes:
    """A whole order, to its chain."""
    order = ordered(session, *names)
    found = session.finalize(order, csr(*(names or (NAME,))))
    return session.download(session.wait_order(found.url, clock.monotonic() + 60))


def test_whole_order(authority: Bendable, session: Session) -> None:
    """Unbent it registers, validates, signs and hands out; everything is counted."""
    chain = x509.load_pem_x509_certificates(obtained(session, NAME, "*.example.org"))

    chain[0].verify_directly_issued_by(chain[1])
    chain[1].verify_directly_issued_by(authority.signer.roots[0])
    assert authority.issued[0].names == {NAME, "*.example.org"}
    assert authority.count(Call.CHALLENGE, order=1) == 2
    assert (len(authority.orders), len(authority.issued), len(authority.accounts)) == (1, 1, 1)


def test_window_and_alternate(authority: Bendable, session: Session) -> None:
    """Renewal information names the last third, and another chain leads to another root."""
    obtained(session)
    renewal = session.renewal_info(authority.issued[0].ari_id)

    assert renewal is not None
    assert renewal.start is not None
    life = timedelta(days=90)
    assert abs(authority.issued[0].not_after - renewal.start - life / 3) < timedelta(minutes=1)
    other = session.download(
        session.order(authority.orders[0].url),
        choose=lambda chain: (
            x509.load_pem_x509_certificates(chain)[1].issuer == authority.signer.roots[1].subject
        ),
    )
    x509.load_pem_x509_certificates(other)[1].verify_directly_issued_by(authority.signer.roots[1])


def test_its_clock(bendable: BendableFactory, tmp_path: Path) -> None:
    """Certificates, expiry and Date are of the clock that it was given."""
    authority = bendable(clock=lambda: LATER)
    authority.profiles = {"week": timedelta(days=6)}
    session = session_with(authority, tmp_path / "state")
    obtained(session)

    assert authority.issued[0].not_after == LATER - timedelta(hours=1) + timedelta(days=6, seconds=-1)
    assert authority.orders[0].expires == LATER + timedelta(days=7)
    assert session.date_skew is not None
    assert abs(session.date_skew - (LATER - datetime.now(UTC))) < timedelta(minutes=1)


@pytest.mark.parametrize("kind", [KeyType.ECDSA_P256, KeyType.ECDSA_P384, KeyType.RSA_2048])
def test_signatures(authority: Bendable, tmp_path: Path, kind: KeyType) -> None:
    """A signature counts if it is of the account's key, whatever sort of key, and only then."""
    session = session_with(authority, tmp_path / "state", account_key=kind)
    order = ordered(session)
    authority.accounts[0].jwk = {**authority.accounts[0].jwk, "x": "AAAA", "n": "AAAA"}

    with pytest.raises(RenewerError):
        session.order(order.url)


def test_unknown_nonce(authority: Bendable, session: Session) -> None:
    """A nonce is good once: the others are refused, and the agent goes on with a fresh one."""
    authority._nonces.clear()
    obtained(session)
    authority._nonces.clear()
    session.order(authority.orders[0].url)

    refused = [seen for seen in authority.seen if seen.status == 400]
    assert len(refused) == 1


def test_binding(authority: Bendable, tmp_path: Path) -> None:
    """If it wants a binding, then a right one."""
    authority.eab = {"kid-1": "c2VjcmV0"}
    wrong = session_with(authority, tmp_path / "a", eab=Eab(kid="kid-2", hmac=SECRET))
    right = session_with(authority, tmp_path / "b", eab=Eab(kid="kid-1", hmac=SECRET))

    with pytest.raises(RenewerError):
        ordered(wrong)
    ordered(right)
    assert [account.kid for account in authority.accounts] == ["kid-1"]


def test_forgotten_account(authority: Bendable, session: Session) -> None:
    """Who was forgotten does not exist."""
    ordered(session)
    authority.forget_accounts()
    order = ordered(session, "other.example.org")

    assert order.url == authority.orders[1].url
    assert authority.registered == 2


def test_same_order_handed_back(authority: Bendable, session: Session) -> None:
    """A pending order for the same names comes back; a renewal of what is being replaced is a conflict."""
    first = session.new_order([Identifier.parse(NAME)], replaces="x.y")
    again = session.new_order([Identifier.parse(NAME)], replaces="x.y")

    assert again.url == first.url
    assert again.replaces_refused
    assert (len(authority.orders), authority.orders[0].asked) == (1, 2)


def test_deactivated_authorization(session: Session) -> None:
    """It ends the order, and the next one is a new one."""
    first = session.new_order([Identifier.parse(NAME)])
    session.deactivate_authorization(first.authorizations[0])

    assert session.order(first.url).status == "invalid"
    assert session.new_order([Identifier.parse(NAME)]).url != first.url


def test_refused_name_and_rate_limit(authority: Bendable, session: Session) -> None:
    """A name can be refused, and orders beyond a limit are, too, until their time is over."""
    authority.refused.add(NAME)
    authority.order_limit = (1, timedelta(hours=2))
    order = ordered(session)

    assert session.order(order.url).status == "invalid"
    with pytest.raises(RetryLater) as limited:
        ordered(session)
    assert limited.value.not_before is not None
    assert limited.value.not_before > datetime.now(UTC) + timedelta(hours=1, minutes=55)


def test_bent_by_call_order_and_count(authority: Bendable, session: Session) -> None:
    """A bend strikes the calls, the order and the times that it was made for."""
    authority.bend(Call.ORDER_POLL, stays("processing", retry_after="1"), order=2, skip=1, times=1)
    for _ in range(2):
        session.finalize(ordered(session), csr(NAME))
    looks = [[session.order(order.url).status for order in authority.orders] for _ in range(3)]

    assert looks == [["valid", "valid"], ["valid", "processing"], ["valid", "valid"]]
    assert [seen.order.number for seen in authority.seen if seen.bent and seen.order] == [2]


def test_thin_object(authority: Bendable, session: Session) -> None:
    """What was asked for is done, and the answer says only so much."""
    authority.bend(Call.FINALIZE, thin("status"))
    with contextlib.suppress(RenewerError):
        session.finalize(ordered(session), csr(NAME))

    (seen,) = authority.requests(Call.FINALIZE)
    assert seen.answer is not None
    assert set(seen.answer.document) == {"status", "expires", "identifiers", "authorizations", "finalize"}
    assert session.order(authority.orders[0].url).status == "valid"


def test_ways_to_answer_badly(authority: Bendable, session: Session) -> None:
    """A refusal, a page, an error, an end in the midst, no end, nothing: each reaches the agent as it is."""
    order = ordered(session)
    for bend, error_, said in (
        (problem("acme.example:odd", 400), RetryLater, "odd"),
        (problem("malformed", 404), GiveUp, "no more"),
        (html(), RetryLater, "not a JSON"),
        (error(500), RetryLater, "500"),
        (cut(5), RetryLater, "broke"),
        (dropped, RetryLater, "broke"),
    ):
        authority.mend()
        authority.bend(Call.ORDER, bend)
        with pytest.raises(error_, match=said):
            session.order(order.url)
    authority.mend()
    authority.bend(Call.ORDER, late(0.2), times=1)
    began = time.monotonic()
    session.order(order.url)
    assert time.monotonic() - began >= 0.2


def test_done_but_not_told(authority: Bendable, session: Session) -> None:
    """A lost reply: what was asked for is done all the same."""
    order = session.new_order([Identifier.parse(NAME)])
    offer = session.authorization(order.authorizations[0]).challenges[0]
    authority.bend(Call.CHALLENGE, lost, times=1)
    session.answer(offer)

    assert authority.count(Call.CHALLENGE) == 2
    assert session.order(order.url).status == "ready"


def test_revoked(authority: Bendable, session: Session) -> None:
    """What is revoked is on record, once."""
    leaf = x509.load_pem_x509_certificate(obtained(session))
    for _ in range(2):
        session.revoke(leaf.public_bytes(serialization.Encoding.DER))

    assert authority.revoked == [authority.issued[0].serial]


def test_it_comes_back(authority: Bendable, session: Session) -> None:
    """Stopped it refuses connections; started again it is where it was, and knows what it knew."""
    order = ordered(session)
    authority.stop()
    with pytest.raises(RetryLater):
        session.order(order.url)
    authority.start()

    assert session.order(order.url).status == "ready"
