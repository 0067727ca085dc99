"""What an operator does with an account, against a real Pebble: found, rolled over, ended, recovered."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from josepy.jwk import JWKRSA

from renewer.accounts import account
from renewer.accounts.keeper import Keeper
from renewer.accounts.key import AccountKey
from renewer.accounts.session import Session
from renewer.errors import GiveUp, RenewerError
from renewer.model.desired import KeyType
from renewer.network.acme.transport import Transport
from renewer.statedir import StateDirectory
from tests.acme.conftest import authority_of, name
from tests.servers.faultproxy import FaultProxy, Reset
from tests.servers.pebble import Pebble, PebbleFactory


def keeper(pebble: Pebble, state: Path, **changes: object) -> Keeper:
    """The account at a Pebble, in an operator's hands."""
    return Keeper(authority_of(pebble, **changes), state=str(state), timeout=30)


def folder(state: Path) -> Path:
    """Where the account lies."""
    (found,) = state.glob("authorities/*/pebble")
    return found


def orders(pebble: Pebble, state: Path, **changes: object) -> bool:
    """Whether a new session can order with what lies on disk, registering nothing."""
    session = Session.open(authority_of(pebble, agree_terms=False, **changes), state=str(state), timeout=30)
    return bool(session.new_order([name("a.example.org")], profile="default").url)


def test_looking_registers_nothing(pebble: Pebble, state: Path) -> None:
    """Without an account there is nothing to show, and afterwards as well."""
    assert keeper(pebble, state).on_disk() == {"files": []}
    assert list(state.iterdir()) == []
    assert keeper(pebble, state).look() is None
    assert keeper(pebble, state).on_disk() == {"files": []}


def test_an_account_is_shown(pebble: Pebble, state: Path) -> None:
    """URL, status, contact and list of orders come from the authority (RFC 8555, section 7.1.2)."""
    url, new = keeper(pebble, state).register()
    assert new
    shown = keeper(pebble, state).look()
    assert shown is not None
    assert (shown.url, shown.status, shown.contact) == (url, "valid", ("mailto:ops@example.org",))
    assert shown.orders
    assert keeper(pebble, state).register() == (url, False)


@pytest.mark.parametrize("kind", [KeyType.ECDSA_P384, KeyType.RSA_2048])
def test_a_rollover_changes_the_key_and_keeps_the_account(pebble: Pebble, state: Path, kind: KeyType) -> None:
    """RFC 8555, section 7.3.5: the same account, another key, of the type that the config says now."""
    url, _ = keeper(pebble, state).register()
    before = (folder(state) / "key.pem").read_bytes()
    rolled = keeper(pebble, state, account_key=kind)
    assert rolled.roll_over() == url
    assert (folder(state) / "key.pem").read_bytes() != before
    assert (folder(state) / "key.pem").stat().st_mode & 0o777 == 0o600
    assert sorted(one.name for one in folder(state).iterdir()) == ["account.json", "key.pem"]
    document = json.loads((folder(state) / "account.json").read_text())
    assert document["thumbprint"] == rolled.thumbprint
    assert document["registered_at"]
    (folder(state) / "account.json").unlink()
    assert keeper(pebble, state).url() == url
    assert orders(pebble, state)


class Killed(BaseException):
    """The process was killed here."""


def _killed_at(monkeypatch: pytest.MonkeyPatch, moment: int) -> Callable[[], int]:
    """Die before the n-th change of the disk or request; counts them all."""
    count = 0

    def step() -> None:
        nonlocal count
        count += 1
        if count == moment:
            raise Killed

    write, rename, post = StateDirectory.put, StateDirectory.rename, Transport.post

    def writes(self: StateDirectory, file: str, data: bytes) -> None:
        step()
        write(self, file, data)

    def renames(self: StateDirectory, old: str, new: str) -> None:
        step()
        rename(self, old, new)

    def posts(self: Transport, *given: object, **more: object) -> object:
        step()
        reply = post(self, *given, **more)  # type: ignore[arg-type]
        step()
        return reply

    monkeypatch.setattr(StateDirectory, "put", writes)
    monkeypatch.setattr(StateDirectory, "rename", renames)
    monkeypatch.setattr(Transport, "post", posts)
    return lambda: count


def test_a_rollover_killed_anywhere_loses_no_account(
    pebble: Pebble, state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whichever key the authority has then, the next run finds it and orders with the same account."""
    url, _ = keeper(pebble, state).register()
    moment, done = 0, False
    while not done:
        moment += 1
        with monkeypatch.context() as patched:
            count = _killed_at(patched, moment)
            try:
                keeper(pebble, state).roll_over()
                done = True
            except Killed:
                pass
            done = count() < moment
        assert keeper(pebble, state).url() == url
        assert orders(pebble, state)
        assert not (folder(state) / account.NEXT).exists()
    assert moment > 5


def test_a_rollover_whose_reply_is_lost_was_done(
    pebble_factory: PebbleFactory, state: Path, tmp_path: Path
) -> None:
    """The authority acted and the reply never came: the authority is asked which key it knows."""
    pebble = pebble_factory(nonce_reject=0)  # else what is lost may be the reply that nothing was done
    with FaultProxy(pebble, tmp_path / "proxy") as proxy:
        authority = {"directory": proxy.directory, "ca_bundle": str(proxy.ca_bundle)}
        keeper(pebble, state, **authority).register()
        before = (folder(state) / "key.pem").read_bytes()
        proxy.inject(Reset(acted=True), path="/rollover-account-key")
        keeper(pebble, state, **authority).roll_over()
        assert (folder(state) / "key.pem").read_bytes() != before
        assert orders(pebble, state, **authority)


def test_a_refused_rollover_leaves_the_old_key(
    pebble: Pebble, state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Refused is refused: the old key goes on, and the new one is kept aside, not used."""
    keeper(pebble, state).register()
    before = (folder(state) / "key.pem").read_bytes()
    take_over = AccountKey.take_over
    wrong = "https://example.org/nobody"
    monkeypatch.setattr(AccountKey, "take_over", lambda self, old, _, url: take_over(self, old, wrong, url))
    with pytest.raises(RenewerError, match="to change the key"):
        keeper(pebble, state).roll_over()
    assert (folder(state) / "key.pem").read_bytes() == before
    assert sorted(one.name for one in folder(state).iterdir()) == ["account.json", "key.pem", "unused.pem"]
    assert orders(pebble, state)


def test_a_deactivated_account_gets_no_successor_by_itself(pebble: Pebble, state: Path) -> None:
    """RFC 8555, section 7.3.6: renewals fail with words that name the command, until it is typed."""
    url, _ = keeper(pebble, state).register()
    assert keeper(pebble, state).deactivate() == url
    with pytest.raises(GiveUp, match="was deactivated at") as caught:
        _ = Session.open(authority_of(pebble), state=str(state)).account
    assert caught.value.hint == "make a new one: renewer account register pebble"
    again, new = keeper(pebble, state).register()
    assert new
    assert again != url
    assert any(one.name.startswith("former-") for one in folder(state).iterdir())
    assert orders(pebble, state)


def test_an_account_deactivated_elsewhere_is_found_out(pebble: Pebble, state: Path) -> None:
    """Ended by another tool: the order is refused with what to do, and `register` makes a new one."""
    url, _ = keeper(pebble, state).register()
    document = (folder(state) / "account.json").read_bytes()
    keeper(pebble, state).deactivate()
    (folder(state) / "account.json").write_bytes(document)
    with pytest.raises(GiveUp, match="deactivated") as caught:
        orders(pebble, state)
    assert "renewer account register" in caught.value.hint
    again, new = keeper(pebble, state).register()
    assert (again != url, new) == (True, True)


def test_recovered_by_its_key(pebble: Pebble, state: Path, tmp_path: Path) -> None:
    """RFC 8555, section 7.3.1: a key from a backup finds its account; the key before is kept aside."""
    url, _ = keeper(pebble, state).register()
    backup = (folder(state) / "key.pem").read_bytes()
    other = tmp_path / "other"
    other.mkdir(mode=0o700)
    keeper(pebble, other).register()
    assert keeper(pebble, other).recover(backup) == url
    assert (folder(other) / "key.pem").read_bytes() == backup
    assert [one.name for one in sorted(folder(other).iterdir())][1].startswith("former-")
    (folder(other) / "account.json").unlink()
    assert keeper(pebble, other).recover() == url


def test_recovered_by_certbots_key(pebble: Pebble, state: Path, tmp_path: Path) -> None:
    """A JWK file, as certbot keeps its account's key, opens the account as well."""
    url, _ = keeper(pebble, state, account_key=KeyType.RSA_2048).register()
    pem = (folder(state) / "key.pem").read_bytes()
    key = serialization.load_pem_private_key(pem, None)
    assert isinstance(key, rsa.RSAPrivateKey)
    other = tmp_path / "other"
    other.mkdir(mode=0o700)
    assert keeper(pebble, other).recover(JWKRSA(key=key).json_dumps().encode()) == url
    assert orders(pebble, other)


def test_a_strange_key_recovers_nothing_and_changes_nothing(
    pebble_factory: PebbleFactory, pebble: Pebble, state: Path, tmp_path: Path
) -> None:
    """The authority knows no account of that key: nothing on disk is touched."""
    elsewhere = pebble_factory()
    other = tmp_path / "other"
    other.mkdir(mode=0o700)
    keeper(elsewhere, other).register()
    strange = (folder(other) / "key.pem").read_bytes()
    keeper(pebble, state).register()
    before = {one.name: one.read_bytes() for one in folder(state).iterdir()}
    with pytest.raises(GiveUp, match="opens no account"):
        keeper(pebble, state).recover(strange)
    assert {one.name: one.read_bytes() for one in folder(state).iterdir()} == before
