"""Against a real Pebble; its own lists say what really happened."""

import json
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest
from cryptography import x509

from renewer import clock
from renewer.accounts.session import Session
from renewer.errors import GiveUp, RetryLater, StateError
from renewer.model.desired import Eab, KeyType, Secret, SecretSource
from renewer.network.acme.resources import OrderStatus
from tests.acme.conftest import Answerer, ari_id, authority_of, csr, name, obtain, prove
from tests.servers.pebble import Pebble, PebbleFactory, new_eab_key

ACCOUNTS = "/sign-me-up"


def _posts(pebble: Pebble, since: int) -> list[str]:
    return [each.path for each in pebble.requests(since) if each.method == "POST"]


def _folder(state: Path) -> Path:
    (folder,) = state.glob("authorities/*/pebble")
    return folder


# --- the account ------------------------------------------------------------------------------------------


def test_the_account_is_made_once_and_remembered(pebble: Pebble, state: Path) -> None:
    """A second session asks nobody for the account: its URL is on disk."""
    first = Session.open(authority_of(pebble), state=str(state)).account
    mark = pebble.mark()
    assert Session.open(authority_of(pebble), state=str(state)).account == first
    assert _posts(pebble, mark) == []


def test_a_lost_account_file_is_found_again_by_the_key(pebble: Pebble, state: Path) -> None:
    """RFC 8555, section 7.3.1: "onlyReturnExisting" finds the account of a key; none is made."""
    first = Session.open(authority_of(pebble), state=str(state)).account
    (_folder(state) / "account.json").unlink()
    assert Session.open(authority_of(pebble), state=str(state)).account == first
    assert json.loads((_folder(state) / "account.json").read_text())["url"] == first


def test_the_key_is_ours_alone_from_the_first_moment(session: Session, state: Path) -> None:
    """Key and account file are 0600 below directories of 0700, and nothing else is left there."""
    _ = session.account
    folder = _folder(state)
    assert {each.name: each.stat().st_mode & 0o777 for each in folder.iterdir()} == {
        "key.pem": 0o600,
        "account.json": 0o600,
    }
    assert {each.stat().st_mode & 0o777 for each in (folder, folder.parent, folder.parent.parent)} == {0o700}


def test_the_key_is_on_disk_before_the_account_is_asked_for(
    pebble: Pebble, state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed after the authority made the account, the next run finds that very account."""
    from renewer.statedir import StateDirectory

    write = StateDirectory.put

    def killed(self: StateDirectory, file: str, data: bytes) -> None:
        if file == "account.json":
            raise KeyboardInterrupt
        write(self, file, data)

    monkeypatch.setattr(StateDirectory, "put", killed)
    with pytest.raises(KeyboardInterrupt):
        _ = Session.open(authority_of(pebble), state=str(state)).account
    monkeypatch.undo()
    key = (_folder(state) / "key.pem").read_bytes()
    mark = pebble.mark()
    session = Session.open(authority_of(pebble, agree_terms=False), state=str(state))
    assert session.account  # found: without agree_terms none could have been made
    assert (_folder(state) / "key.pem").read_bytes() == key
    assert ACCOUNTS in _posts(pebble, mark)


def test_many_threads_and_sessions_make_one_account(pebble: Pebble, state: Path) -> None:
    """Eight sessions on one state directory at the same time agree on one account."""
    barrier = threading.Barrier(8)

    def ask(_: int) -> str:
        session = Session.open(authority_of(pebble), state=str(state))
        barrier.wait(10)
        return session.account

    with ThreadPoolExecutor(8) as pool:
        assert len(set(pool.map(ask, range(8)))) == 1


def test_terms_are_agreed_to_only_by_the_operator(pebble: Pebble, state: Path) -> None:
    """Without agree_terms nothing is registered, and the message names the terms."""
    session = Session.open(authority_of(pebble, agree_terms=False), state=str(state))
    with pytest.raises(GiveUp, match="terms of service") as caught:
        _ = session.account
    assert session.directory.terms is not None
    assert session.directory.terms in caught.value.text
    assert "agree_terms = true" in caught.value.hint
    assert list(_folder(state).iterdir()) == []


def test_a_changed_contact_is_told_once(pebble: Pebble, state: Path) -> None:
    """The contact of the config is compared with what was last sent, never with what is echoed."""
    account = Session.open(authority_of(pebble), state=str(state)).account
    changed = authority_of(pebble, contact=("new@example.org",))
    mark = pebble.mark()
    assert Session.open(changed, state=str(state)).account == account
    assert "/my-account/" in _posts(pebble, mark)
    mark = pebble.mark()
    assert Session.open(changed, state=str(state)).account == account
    assert _posts(pebble, mark) == []


@pytest.mark.parametrize("kind", list(KeyType))
def test_every_type_of_account_key(pebble: Pebble, state: Path, kind: KeyType) -> None:
    """Accounts can have any key of the config, made and loaded again."""
    authority = authority_of(pebble, account_key=kind)
    account = Session.open(authority, state=str(state)).account
    (_folder(state) / "account.json").unlink()
    assert Session.open(authority, state=str(state)).account == account


def test_a_broken_key_is_told_and_never_overwritten(pebble: Pebble, state: Path) -> None:
    """A key file that is none is left as it is."""
    _ = Session.open(authority_of(pebble), state=str(state)).account
    key = _folder(state) / "key.pem"
    key.write_text("broken")
    with pytest.raises(StateError, match=r"key\.pem"):
        _ = Session.open(authority_of(pebble), state=str(state)).account
    assert key.read_text() == "broken"


def test_a_link_in_the_place_of_the_directory_is_not_followed(pebble: Pebble, state: Path) -> None:
    """Below the state directory no link is followed."""
    (state / "elsewhere").mkdir()
    (state / "authorities").symlink_to(state / "elsewhere")
    with pytest.raises(StateError):
        _ = Session.open(authority_of(pebble), state=str(state)).account
    assert list((state / "elsewhere").iterdir()) == []


def test_a_missing_state_directory_is_told(pebble: Pebble, tmp_path: Path) -> None:
    """No directory, no traceback."""
    with pytest.raises(StateError, match="No such file"):
        _ = Session.open(authority_of(pebble), state=str(tmp_path / "none")).account


def test_an_account_that_the_authority_lost_is_registered_again(
    pebble_factory: PebbleFactory, state: Path
) -> None:
    """A new authority at the old address: the key stays, and the order goes through at once."""
    pebble = pebble_factory()
    _ = Session.open(authority_of(pebble), state=str(state)).account
    pebble.kill()
    pebble.start()
    session = Session.open(authority_of(pebble), state=str(state), timeout=30)
    assert session.new_order([name("a.example.org")], profile="default").status is OrderStatus.PENDING


# --- external account binding -----------------------------------------------------------------------------


def test_external_account_binding(pebble_factory: PebbleFactory, state: Path) -> None:
    """RFC 8555, section 7.3.4: missing and wrong credentials are told apart, right ones give an account."""
    key = new_eab_key()
    pebble = pebble_factory(eab={"kid-1": key})
    with pytest.raises(GiveUp, match="external account") as missing:
        _ = Session.open(authority_of(pebble), state=str(state)).account
    assert missing.value.kind == "externalAccountRequired"
    hmac = Secret(source=SecretSource.FILE, argument=("/unused",))
    authority = authority_of(pebble, eab=Eab(kid="kid-1", hmac=hmac))
    with pytest.raises(GiveUp) as wrong:
        _ = Session.open(authority, state=str(state), eab_hmac=new_eab_key()).account
    assert "eab" in wrong.value.hint
    with pytest.raises(GiveUp, match="not base64url"):
        _ = Session.open(authority, state=str(state), eab_hmac="!?").account
    assert Session.open(authority, state=str(state), eab_hmac=f" {key}==\n").account


# --- orders -----------------------------------------------------------------------------------------------


def test_a_whole_order(session: Session, pebble: Pebble, answerer: Answerer) -> None:
    """Two names from newOrder to the chain; Pebble lists the very serial."""
    mark = pebble.mark()
    order, chain = obtain(session, answerer, "a.example.org", "b.example.org")
    leaf = x509.load_pem_x509_certificate(chain)
    assert order.status is OrderStatus.VALID
    assert order.profile == "default"
    assert pebble.certificates_issued(mark) == (f"{leaf.serial_number:x}",)
    assert chain.count(b"BEGIN CERTIFICATE") == 2


@pytest.mark.parametrize("percent", [20, 50])
def test_orders_with_refused_nonces(
    pebble_factory: PebbleFactory,
    answerer_at: Callable[[int], Answerer],
    state: Path,
    percent: int,
) -> None:
    """RFC 8555, section 6.5: with a fifth or half of all nonces refused, every order succeeds."""
    pebble = pebble_factory(nonce_reject=percent)
    answerer = answerer_at(pebble.http_port)
    session = Session.open(authority_of(pebble), state=str(state), timeout=30)
    with ThreadPoolExecutor(4) as pool:
        chains = list(pool.map(lambda n: obtain(session, answerer, f"n{n}.example.org")[1], range(12)))
    assert len(set(chains)) == 12


def test_retry_after_of_orders_and_authorizations_is_obeyed(
    pebble_factory: PebbleFactory, answerer_at: Callable[[int], Answerer], state: Path
) -> None:
    """RFC 8555, section 7.5.1: polling waits as long as Retry-After says, and no longer than the deadline."""
    pebble = pebble_factory(retry_after_order=1, retry_after_authz=1, nonce_reject=0)
    answerer = answerer_at(pebble.http_port)
    session = Session.open(authority_of(pebble), state=str(state), timeout=30)
    obtain(session, answerer, "a.example.org")
    order = session.new_order([name("b.example.org")], profile="default")
    with pytest.raises(RetryLater, match="still validating") as caught:
        session.wait_authorizations(order.authorizations, clock.monotonic() + 0.2)
    assert caught.value.kind == "waiting"
    prove(session, order, answerer)
    done = session.finalize(session.order(order.url), csr("b.example.org"))
    assert session.wait_order(done.url, clock.monotonic() + 60).status is OrderStatus.VALID


def test_an_order_is_found_again_by_its_url_and_its_names(session: Session) -> None:
    """A lost URL is found in the account's list (RFC 8555, section 7.1.2.1) where the authority has one."""
    names = [name("c.example.org"), name("d.example.org")]
    order = session.new_order(names, profile="default")
    again = session.order(order.url)
    assert (again.url, again.status, set(again.identifiers)) == (order.url, order.status, set(names))
    found = session.find_order(reversed(names))
    assert found is not None
    assert found.url == order.url
    assert session.find_order([name("other.example.org")]) is None


def test_an_order_that_is_gone_says_so(session: Session) -> None:
    """What the authority does not know is "gone", which a run may take as a reason to order anew."""
    order = session.new_order([name("e.example.org")], profile="default")
    with pytest.raises(GiveUp) as caught:
        session.order(order.url + "0")
    assert caught.value.kind == "gone"


def test_finalising_twice_is_harmless(session: Session, answerer: Answerer) -> None:
    """A run that was killed after finalising may do it again."""
    order = session.new_order([name("f.example.org")], profile="default")
    prove(session, order, answerer)
    request = csr("f.example.org")
    session.finalize(order, request)
    session.wait_order(order.url, clock.monotonic() + 60)
    assert session.finalize(order, request).status is OrderStatus.VALID


def test_a_certificate_is_replaced_once(session: Session, answerer: Answerer) -> None:
    """RFC 9773, section 5: the second order that replaces a certificate gets 409, and goes without."""
    _, chain = obtain(session, answerer, "g.example.org")
    replaced = ari_id(chain)
    first, _ = obtain(session, answerer, "g.example.org", replaces=replaced)
    assert first.replaces_refused is None
    again = session.new_order([name("g.example.org")], profile="default", replaces=replaced)
    assert again.status in (OrderStatus.PENDING, OrderStatus.READY)
    assert again.replaces_refused is not None
    assert "409" in again.replaces_refused


def test_an_unknown_profile_is_refused_before_it_is_ordered(session: Session, pebble: Pebble) -> None:
    """The directory lists the profiles; the message names them."""
    mark = pebble.mark()
    with pytest.raises(GiveUp, match="default, long, seconds, shortlived") as caught:
        session.new_order([name("h.example.org")], profile="tlsserver")
    assert caught.value.kind == "invalidProfile"
    assert pebble.orders_created(mark) == 0


def test_a_refused_name_is_named(pebble_factory: PebbleFactory, state: Path) -> None:
    """RFC 8555, section 6.7: rejectedIdentifier is final and says which name it was."""
    pebble = pebble_factory(blocklist=["blocked.example.org"])
    session = Session.open(authority_of(pebble), state=str(state), timeout=30)
    with pytest.raises(GiveUp, match=r"blocked\.example\.org") as caught:
        session.new_order([name("a.example.org"), name("blocked.example.org")], profile="default")
    assert caught.value.kind == "rejectedIdentifier"


def test_a_name_that_does_not_validate_says_what_was_seen(session: Session, answerer: Answerer) -> None:
    """A 404 at the token comes back as unauthorized, with the name and what to do."""
    from renewer.network.acme.problems import failed_authorizations

    order = session.new_order([name("i.example.org")], profile="default")
    offer = next(o for o in session.authorization(order.authorizations[0]).challenges if o.type == "http-01")
    assert offer.token not in answerer.answers
    session.answer(offer)
    judged = session.wait_authorizations(order.authorizations, clock.monotonic() + 60)
    error = failed_authorizations(judged, "pebble")
    assert isinstance(error, RetryLater)
    assert error.identifiers[0][0] == "i.example.org"
    assert "i.example.org" in error.text
    assert error.hint


def test_alternate_chains_are_fetched_only_if_asked_for(
    pebble_factory: PebbleFactory, answerer_at: Callable[[int], Answerer], state: Path
) -> None:
    """RFC 8555, section 7.4.2: every Link with rel="alternate" is tried until one is liked."""
    pebble = pebble_factory(alternate_roots=2, nonce_reject=0)
    session = Session.open(authority_of(pebble), state=str(state), timeout=30)
    order, first = obtain(session, answerer_at(pebble.http_port), "a.example.org")
    seen: list[bytes] = []
    assert session.download(order, choose=lambda chain: bool(seen.append(chain))) == first  # type: ignore[func-returns-value]
    assert len(set(seen)) == 3
    assert session.download(order, choose=lambda chain: chain == seen[2]) == seen[2]
    mark = pebble.mark()
    assert session.download(order, choose=lambda _: True) == first
    assert len(_posts(pebble, mark)) == 1


def test_revocation_is_idempotent(session: Session, pebble: Pebble, answerer: Answerer) -> None:
    """RFC 8555, section 7.6: alreadyRevoked is what was wanted."""
    from cryptography.hazmat.primitives.serialization import Encoding

    _, chain = obtain(session, answerer, "j.example.org")
    leaf = x509.load_pem_x509_certificate(chain)
    for _ in range(2):
        session.revoke(leaf.public_bytes(Encoding.DER), 4)
    assert pebble.cert_status(f"{leaf.serial_number:x}") == "Revoked"


def test_an_authorization_can_be_given_up(session: Session) -> None:
    """RFC 8555, section 7.5.2: deactivated, and again without complaint."""
    order = session.new_order([name("k.example.org")], profile="default")
    for _ in range(2):
        session.deactivate_authorization(order.authorizations[0])
    assert session.authorization(order.authorizations[0]).status == "deactivated"


def test_renewal_information_of_a_certificate(session: Session, pebble: Pebble, answerer: Answerer) -> None:
    """RFC 9773: the window that the authority was given comes back; one it does not know has none."""
    _, chain = obtain(session, answerer, "l.example.org")
    start = datetime(2026, 12, 1, tzinfo=UTC)
    page = "https://ca.example/incident"
    pebble.set_renewal_info(chain.decode(), start, start + timedelta(days=1), explanation_url=page)
    found = session.renewal_info(ari_id(chain))
    assert found is not None
    assert (found.start, found.end, found.explanation_url) == (start, start + timedelta(days=1), page)
    unknown = session.renewal_info("aYhba4dGQEHhs3uEe6CuLN4ByNQ.AIdlQyE", failures=2)
    assert unknown is not None
    assert (unknown.start, unknown.failures) == (None, 0)


def test_the_clocks_are_compared(session: Session) -> None:
    """The authority's Date against ours: here they are the same clock. What may be cached tells nothing."""
    _ = session.directory
    before = session.date_skew
    assert before is None
    session.new_order([name("clock.example.org")])
    assert session.date_skew is not None
    assert abs(session.date_skew) < timedelta(seconds=3)


def test_tokens_that_could_be_paths_are_refused(session: Session) -> None:
    """RFC 8555, section 8.3: a token has no characters outside base64url; it becomes a file's name."""
    from renewer.errors import OurFault

    with pytest.raises(OurFault):
        session.key_authorization("../../etc/passwd")


def test_values_are_our_own(session: Session) -> None:
    """What comes out can be written as JSON by msgspec: no foreign type is in it."""
    order = session.new_order([name("m.example.org")], profile="default")
    for each in (session.directory, order, session.authorization(order.authorizations[0])):
        assert msgspec.json.encode(each)
