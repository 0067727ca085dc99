"""The door to who speaks to an authority: it has no key, and has nothing signed but what it was asked for."""

import base64
import contextlib
import dataclasses
import json
import math
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, ClassVar

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from msgspec.structs import replace

from renewer import certs, clock
from renewer.accounts.keeper import Keeper
from renewer.accounts.session import Session
from renewer.errors import GiveUp, RenewerError, RetryLater
from renewer.model.desired import Authority, Eab, Secret, SecretSource
from renewer.network import door, protocol
from renewer.network.acme import duty
from renewer.network.acme.lost import Lost, Unreached
from renewer.network.acme.messages import (
    AccountNow,
    AccountRequest,
    AnswerChallenge,
    AskWindow,
    AuthorizationShown,
    AwaitOrder,
    DeactivateAuthorization,
    Doubt,
    FetchChain,
    FinalizeOrder,
    FindOrder,
    LookAtAuthorization,
    LookAtOrder,
    NewOrder,
    OrderShown,
    RevokeCertificate,
    Sign,
    Signature,
    SignKind,
)
from renewer.network.acme.resources import AcmeOrder
from renewer.network.door import Asker
from renewer.network.protocol import DoorMessage
from tests.acme.conftest import Answerer, authority_of, csr, name, obtain
from tests.faults.conftest import HostFactory
from tests.faults.host import failed
from tests.servers.bendable import Bendable, BendableFactory
from tests.servers.bends import Answer, Call, refusal, say
from tests.servers.pebble import Pebble
from tests.servers.ports import free_port

NONCE = "bm9uY2U"
ELSEWHERE = "https://elsewhere.example.net/order/1"
HMAC = "c2VjcmV0LW9mLXRoZS1iaW5kaW5n"
Wish = Callable[[Bendable, Any, Asker], None]


class BentSpeaker(duty.Speaker):
    """Wishes for something when it is asked for something, then works on as if nothing had been."""

    wish: ClassVar[Any]
    at: ClassVar[type[DoorMessage]]
    got: ClassVar[list[bytes]] = []

    def answer(self, request: Any, main: Asker) -> Iterator[DoorMessage]:
        """First its own wish, whatever comes of it."""
        if type(request) is type(self).at:
            with contextlib.suppress(RenewerError):
                type(self).wish(request, main)
        yield from super().answer(request, main)


@pytest.fixture
def authority(bendable: BendableFactory) -> Bendable:
    """One that nobody has bent."""
    return bendable()


def wish(authority: Bendable, **changes: Any) -> Authority:
    """The config's table for it."""
    given: dict[str, Any] = {
        "name": "bendable",
        "directory": authority.directory,
        "ca_bundle": str(authority.ca_bundle),
        "agree_terms": True,
    }
    return Authority(**(given | changes))


def placed(session: Session) -> AcmeOrder:
    """An order that is proven: the authority believes everybody."""
    order = session.new_order([name("www.example.org")])
    for url in order.authorizations:
        session.answer(session.authorization(url).challenges[0])
    session.wait_authorizations(order.authorizations, clock.monotonic() + 60)
    return session.order(order.url)


def whole(session: Session) -> bytes:
    """Everything that a run says to an authority."""
    order = placed(session)
    session.find_order(order.identifiers)
    done = session.wait_order(
        session.finalize(order, csr("www.example.org")).url, clock.monotonic() + 60, order
    )
    other = session.new_order([name("other.example.org")])
    session.deactivate_authorization(other.authorizations[0])
    session.renewal_info("AAAA.BBBB")
    chain = session.download(done)
    session.revoke(certs.der(chain))
    return chain


def sign(kind: SignKind, url: str | None = None) -> Wish:
    """Have that signed, at the authority's own place for it if no other is named."""

    def ask(authority: Bendable, _: Any, main: Asker) -> None:
        at = url or f"{authority.base}/{kind.value}"
        BentSpeaker.got.append(main.ask(Sign(kind=kind, url=at, nonce=NONCE), Signature).body)

    return ask


def order_twice(authority: Bendable, _: Any, main: Asker) -> None:
    """One newOrder is due; the worker makes one for itself first."""
    main.ask(Sign(kind=SignKind.NEW_ORDER, url=f"{authority.base}/new-order", nonce=NONCE), Signature)


def finalize_another(authority: Bendable, request: Any, main: Asker) -> None:
    """The order of another certificate would be finalized."""
    sign(SignKind.FINALIZE, request.order.finalize + "0")(authority, request, main)


def finalize_often(_: Bendable, request: Any, main: Asker) -> None:
    """The CSR may be said twice, if the first is lost."""
    for _again in range(3):
        main.ask(Sign(kind=SignKind.FINALIZE, url=request.order.finalize, nonce=NONCE), Signature)


def retry_without_end(authority: Bendable, _: Any, main: Asker) -> None:
    """Each time it pretends that the nonce before was refused."""
    url = f"{authority.base}/new-order"
    for _again in range(1000):
        main.ask(Sign(kind=SignKind.NEW_ORDER, url=url, nonce=NONCE, again=True), Signature)


def deactivate_account(authority: Bendable, request: Any, main: Asker) -> None:
    """With the words that give an authorization up."""
    sign(SignKind.DEACTIVATE, request.account)(authority, request, main)


def key_twice(authority: Bendable, request: Any, main: Asker) -> None:
    """One change of keys is due, once."""
    url = f"{authority.base}/key-change"
    if request.kind is SignKind.KEY_CHANGE:
        main.ask(Sign(kind=SignKind.KEY_CHANGE, url=url, nonce=NONCE), Signature)
    sign(SignKind.KEY_CHANGE, url)(authority, request, main)


def doubt(_: Bendable, request: Any, main: Asker) -> None:
    """An operator looks at the account, and no run is to find another."""
    main.ask(Doubt(account=request.account, sure=True), AccountNow)


BREACHES: dict[str, tuple[type[DoorMessage], Wish]] = {
    "another key for the account": (LookAtOrder, sign(SignKind.KEY_CHANGE)),
    "the account's end": (NewOrder, sign(SignKind.END_ACCOUNT)),
    "the account's end while an authorization is given up": (DeactivateAuthorization, deactivate_account),
    "another contact": (AnswerChallenge, sign(SignKind.CONTACT)),
    "another account": (LookAtAuthorization, sign(SignKind.NEW_ACCOUNT)),
    "a revocation": (FetchChain, sign(SignKind.REVOKE)),
    "an authorization given up": (LookAtAuthorization, sign(SignKind.DEACTIVATE)),
    "an order while one is looked at": (AwaitOrder, sign(SignKind.NEW_ORDER)),
    "a second order": (NewOrder, order_twice),
    "orders without end": (NewOrder, retry_without_end),
    "the end of another order": (FinalizeOrder, finalize_another),
    "the end of an order again and again": (FinalizeOrder, finalize_often),
    "something read elsewhere": (FindOrder, sign(SignKind.READ, ELSEWHERE)),
    "another order read": (LookAtOrder, sign(SignKind.READ, ELSEWHERE)),
    "an answer to nobody's challenge": (AnswerChallenge, sign(SignKind.ANSWER, ELSEWHERE)),
    "an order elsewhere": (NewOrder, sign(SignKind.NEW_ORDER, ELSEWHERE)),
    "anything where nothing is to be signed": (AskWindow, sign(SignKind.READ)),
    "another certificate revoked elsewhere": (RevokeCertificate, sign(SignKind.REVOKE, ELSEWHERE)),
}


@pytest.mark.parametrize("what", sorted(BREACHES))
def test_nothing_else_is_signed(
    authority: Bendable, state_of: Path, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    """Who asks for it gets no signature, and whatever it answers then is believed no more."""
    at, ask = BREACHES[what]
    authority.lists_orders = True
    session = Session.open(wish(authority), state=str(state_of), timeout=30)
    account = session.account
    monkeypatch.setattr(duty, "Speaker", BentSpeaker)
    BentSpeaker.at, BentSpeaker.got = at, []
    BentSpeaker.wish = staticmethod(lambda request, main: ask(authority, request, main))
    bent = Session.open(wish(authority), state=str(state_of), timeout=30)
    with pytest.raises(RetryLater) as caught:
        whole(bent)
    assert caught.value.kind == "worker"
    assert "refused" in caught.value.text or "never given" in caught.value.text
    assert BentSpeaker.got == []
    assert authority.accounts[0].status == "valid"
    assert session.account == account
    session.close()
    bent.close()


ACCOUNT: dict[str, tuple[Callable[[Keeper], Any], Wish]] = {
    "its end while it is looked at": (Keeper.look, sign(SignKind.END_ACCOUNT)),
    "its end while its key changes": (Keeper.roll_over, deactivate_account),
    "another key while it is looked at": (Keeper.look, sign(SignKind.KEY_CHANGE)),
    "another key again": (Keeper.roll_over, key_twice),
    "an order while it is registered": (Keeper.register, sign(SignKind.NEW_ORDER)),
    "a reading elsewhere": (Keeper.look, sign(SignKind.READ, ELSEWHERE)),
    "a doubt that nobody has": (Keeper.look, doubt),
    "its end elsewhere": (Keeper.deactivate, sign(SignKind.END_ACCOUNT, ELSEWHERE)),
}


@pytest.mark.parametrize("what", sorted(ACCOUNT))
def test_a_command_about_the_account_is_no_other(
    authority: Bendable, state_of: Path, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    """Only what the operator typed is signed, with the key that is in hand: the account stays as it is."""
    command, ask = ACCOUNT[what]
    url, _ = Keeper(wish(authority), state=str(state_of), timeout=30).register()
    monkeypatch.setattr(duty, "Speaker", BentSpeaker)
    BentSpeaker.at, BentSpeaker.got = AccountRequest, []
    BentSpeaker.wish = staticmethod(lambda request, main: ask(authority, request, main))
    with pytest.raises(RetryLater, match="refused"):
        command(Keeper(wish(authority), state=str(state_of), timeout=30))
    assert BentSpeaker.got == []
    assert authority.accounts[0].status == "valid"
    monkeypatch.undo()
    keeper = Keeper(wish(authority), state=str(state_of), timeout=30)
    assert keeper.recover() == url
    keeper.close()


def test_what_is_signed_is_our_own_request(
    authority: Bendable, state_of: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Main hands out the CSR that it made, for the order that it means: nobody else can name another."""
    mine, bodies = csr("www.example.org"), []

    def ask(request: Any, main: Asker) -> None:
        signed = main.ask(Sign(kind=SignKind.FINALIZE, url=request.order.finalize, nonce=NONCE), Signature)
        bodies.append(json.loads(signed.body))

    monkeypatch.setattr(duty, "Speaker", BentSpeaker)
    BentSpeaker.at, BentSpeaker.wish = FinalizeOrder, staticmethod(ask)
    session = Session.open(wish(authority), state=str(state_of), timeout=30)
    order = placed(session)
    session.finalize(order, mine)
    assert json.loads(_decoded(bodies[0]["payload"])) == {
        "csr": base64.urlsafe_b64encode(mine).rstrip(b"=").decode()
    }
    protected = json.loads(_decoded(bodies[0]["protected"]))
    assert (protected["url"], protected["kid"]) == (order.finalize, session.account)
    session.close()


def test_the_account_is_never_given_up_as_an_authorization(authority: Bendable, state_of: Path) -> None:
    """However its URL is spelled where an authorization should be."""
    session = Session.open(wish(authority), state=str(state_of), timeout=30)
    account = session.account
    head, _, number = account.rpartition("/")
    for url in (
        account,
        account + "/",
        account + "?x=1",
        account + "#x",
        f"{head}//{number}",
        f"{head}/./{number}",
    ):
        with pytest.raises(RetryLater, match="our account"):
            session.deactivate_authorization(url)
    assert authority.accounts[0].status == "valid"
    session.close()


@pytest.mark.parametrize("sure", [True, False])
def test_a_doubt_of_the_account_brings_no_other_one(
    authority: Bendable, state_of: Path, monkeypatch: pytest.MonkeyPatch, *, sure: bool
) -> None:
    """Who says that our account is gone makes main ask, once; the same is found again by its key."""
    first = Session.open(wish(authority), state=str(state_of), timeout=30).account

    def ask(request: Any, main: Asker) -> None:
        for _ in range(3):
            assert main.ask(Doubt(account=request.account, sure=sure), AccountNow).url == first

    monkeypatch.setattr(duty, "Speaker", BentSpeaker)
    BentSpeaker.at, BentSpeaker.wish = LookAtOrder, staticmethod(ask)
    session = Session.open(wish(authority), state=str(state_of), timeout=30)
    assert placed(session).status == "ready"
    assert session.account == first
    assert len(authority.accounts) == 1
    assert len(authority.requests(Call.NEW_ACCOUNT)) == 2
    session.close()


def test_a_breach_is_told(
    make_host: HostFactory, bendable: BendableFactory, agents_clock: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A person reads what was asked for, that it was refused, and the certificate is tried again later."""
    authority = bendable(clock=agents_clock.now)
    monkeypatch.setattr(duty, "Speaker", BentSpeaker)
    BentSpeaker.at, BentSpeaker.got = NewOrder, []
    BentSpeaker.wish = staticmethod(lambda request, main: sign(SignKind.KEY_CHANGE)(authority, request, main))
    table = {"directory": authority.directory, "ca_bundle": authority.ca_bundle}
    host = make_host(free_port(), {"ours": table})
    (told,) = failed(host.run())
    assert "asked for a signature for key-change" in told
    assert "refused" in told
    assert authority.accounts[0].status == "valid"


class Liar(duty.Speaker):
    """Answers for another order than was asked for, or for another name's authorization."""

    def answer(self, request: Any, main: Asker) -> Iterator[DoorMessage]:
        """The truth, but for whose it is."""
        for said in super().answer(request, main):
            if isinstance(said, OrderShown):
                yield OrderShown(order=replace(said.order, identifiers=(name("other.example.org"),)))
            elif isinstance(said, AuthorizationShown):
                yield AuthorizationShown(authorization=replace(said.authorization, url=ELSEWHERE))
            else:
                yield said


def test_what_is_shown_is_what_was_asked_for(
    authority: Bendable, state_of: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An order for other names and an authorization from elsewhere are no answer."""
    monkeypatch.setattr(duty, "Speaker", Liar)
    session = Session.open(wish(authority), state=str(state_of), timeout=30)
    order = session.new_order([name("www.example.org")])
    for ask in (
        lambda: session.order(order.url, order),
        lambda: session.finalize(order, csr("www.example.org")),
        lambda: session.wait_order(order.url, clock.monotonic() + 1, order),
        lambda: session.authorization(order.authorizations[0]),
        lambda: session.wait_authorizations(order.authorizations, clock.monotonic()),
    ):
        with pytest.raises(RetryLater):
            ask()
    session.close()


def padded(seen: Any) -> Answer:
    """What is usual, and a lot beside it."""
    usual: Answer = seen.usual()
    return usual.with_members(pad="x" * 200_000)


@pytest.mark.parametrize("call", [Call.DIRECTORY, Call.NEW_ORDER, Call.ORDER, Call.AUTHORIZATION])
def test_what_is_too_large_to_cross_is_told(authority: Bendable, state_of: Path, call: Call) -> None:
    """An object that no authority sends is a bad reply, not a defect of ours."""
    authority.bend(call, padded)
    session = Session.open(wish(authority), state=str(state_of), timeout=30)
    with pytest.raises(RetryLater, match="more than 192 KiB") as caught:
        placed(session)
    assert caught.value.kind == "bad-reply"
    session.close()


def test_a_chain_that_is_too_long_is_told(authority: Bendable, state_of: Path) -> None:
    """No more than 64 KiB, which no chain has."""
    authority.bend(Call.CERTIFICATE, lambda seen: replace_body(seen.usual()))
    session = Session.open(wish(authority), state=str(state_of), timeout=30)
    with pytest.raises(RetryLater, match="more than 64 KiB"):
        whole(session)
    session.close()


def test_a_refusal_that_is_too_long_is_told(authority: Bendable, state_of: Path) -> None:
    """Hundreds of reasons for refusing an account are cut."""
    reasons = [{"type": "x", "detail": "y" * 1900, "identifier": {"value": f"{n}"}} for n in range(300)]
    authority.bend(Call.NEW_ACCOUNT, say(refusal("malformed", 400, subproblems=reasons)))
    session = Session.open(wish(authority), state=str(state_of), timeout=30)
    with pytest.raises(GiveUp, match="refused to register the account"):
        _ = session.account
    session.close()


def replace_body(answer: Answer) -> Answer:
    """The same chain, with a comment that is longer than it."""
    return dataclasses.replace(answer, body=answer.body + b"#" * 70_000)


# --- what crosses -------------------------------------------------------------------------------------------


@pytest.fixture
def state_of(tmp_path: Path) -> Path:
    """An empty state directory."""
    path = tmp_path / "state"
    path.mkdir(mode=0o700)
    return path


@pytest.fixture
def crossed(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """Everything that crosses the door, both ways, as it crosses."""
    frames: list[bytes] = []
    real = protocol.frame

    def spied(number: int, message: DoorMessage, within: float = math.inf) -> bytes:
        frames.append(real(number, message, within))
        return frames[-1]

    monkeypatch.setattr(door, "frame", spied)
    return frames


def test_no_key_is_ever_in_a_frame(
    pebble: Pebble, state_of: Path, crossed: list[bytes], answerer_at: Callable[[int], Answerer]
) -> None:
    """Account, whole order, roll over, revocation by the certificate's own key: public halves cross alone."""
    answerer = answerer_at(pebble.http_port)
    session = Session.open(authority_of(pebble), state=str(state_of), timeout=30)
    _, chain = obtain(session, answerer, "keys.example.org")
    secrets = _secrets_of(state_of)
    Keeper(authority_of(pebble), state=str(state_of), timeout=30).roll_over()
    secrets |= _secrets_of(state_of)
    own = ec.generate_private_key(ec.SECP256R1())
    pem = own.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    with pytest.raises(RenewerError):  # it is not the certificate's
        session.revoke(certs.der(chain), key=pem)
    secrets |= _forms_of(pem)
    everything = b"\n".join(crossed)
    assert b'"Sign"' in everything
    assert b"key-change" in everything
    assert [one for one in secrets if one in everything or one in _unpacked(crossed)] == []
    assert b"PRIVATE KEY" not in _unpacked(crossed)
    session.close()


def test_no_secret_of_the_binding_is_ever_in_a_frame(
    authority: Bendable, state_of: Path, crossed: list[bytes]
) -> None:
    """The external account binding crosses signed; the key that signs it does not."""
    authority.eab = {"kid-1": HMAC}
    secret = Secret(source=SecretSource.ENV, argument=("UNUSED",))
    config = wish(authority, eab=Eab(kid="kid-1", hmac=secret))
    session = Session.open(config, state=str(state_of), eab_hmac=HMAC, timeout=30)
    whole(session)
    seen = b"\n".join(crossed) + _unpacked(crossed)
    assert b"kid-1" in seen
    assert HMAC.encode() not in seen
    assert _decoded(HMAC) not in seen
    assert [one for one in _secrets_of(state_of) if one in seen] == []
    session.close()


def test_an_order_crosses_in_few_frames(authority: Bendable, state_of: Path, crossed: list[bytes]) -> None:
    """What an order costs at the door is a number of frames, each small."""
    session = Session.open(wish(authority), state=str(state_of), timeout=30)
    _ = session.account
    crossed.clear()
    whole(session)
    assert len(crossed) < 200
    assert max(map(len, crossed)) < 16 * 1024
    session.close()


def test_errors_keep_what_is_decided_by(state_of: Path) -> None:
    """What is not reached, and what does not answer, are told apart in main as they were by the worker."""
    nobody = Authority(name="none", directory="https://127.0.0.1:1/dir")
    with pytest.raises(Unreached, match="Connection refused") as refused:
        _ = Session.open(nobody, state=str(state_of)).directory
    assert not refused.value.timed_out
    silent = Lost("it did not answer", kind="network")
    silent.timed_out = silent.untouched = True
    _, said = protocol.message(protocol.frame(1, protocol.Failed.of(silent)), protocol.Failed)
    got = said.error()
    assert (type(got), got.timed_out, got.untouched, got.kind) == (Lost, True, True, "network")


def _secrets_of(state: Path) -> set[bytes]:
    found: set[bytes] = set()
    for path in state.glob("authorities/*/*/*.pem"):
        found |= _forms_of(path.read_bytes())
    assert found
    return found


def _forms_of(pem: bytes) -> set[bytes]:
    """The private number of a key however somebody might write it, and the lines of its PEM."""
    key: Any = serialization.load_pem_private_key(pem, None)
    number = key.private_numbers().private_value
    raw = number.to_bytes((key.key_size + 7) // 8, "big")
    lines = {line for line in pem.splitlines() if not line.startswith(b"-") and len(line) > 20}
    inner = {base64.b64encode(line) for line in lines}
    return {
        raw,
        raw.hex().encode(),
        str(number).encode(),
        base64.b64encode(raw).rstrip(b"="),
        base64.urlsafe_b64encode(raw).rstrip(b"="),
        *lines,
        *inner,
    }


def _unpacked(frames: list[bytes]) -> bytes:
    """What is base64 in frames, and in that, undone."""
    seen, found = b"\n".join(frames), b""
    for _ in range(3):
        seen = b"\n".join(_decoded(one.decode()) for one in re.findall(rb"[A-Za-z0-9+/_=-]{16,}", seen))
        found += seen
    return found


def _decoded(text: str) -> bytes:
    plain = text.rstrip("=").replace("+", "-").replace("/", "_")
    plain = plain[: len(plain) - (len(plain) % 4 == 1)]
    return base64.urlsafe_b64decode(plain + "=" * (-len(plain) % 4))
