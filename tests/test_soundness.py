"""What we check ourselves before anything may be served."""

from datetime import timedelta
from pathlib import Path

import pytest

from renewer import certs, clock, x509
from renewer.model.desired import KeyType
from renewer.model.names import Identifier
from renewer.store import soundness
from renewer.store.contract import Material

from .servers.certificates import ServerRoot

NAMES = (Identifier.parse("www.example.test"), Identifier.parse("example.test"))


@pytest.fixture
def root() -> ServerRoot:
    """An authority of our own."""
    return ServerRoot()


@pytest.fixture
def good(tmp_path: Path, root: ServerRoot) -> Material:
    """A leaf with its key and the root behind it."""
    pair = root.issue(tmp_path, *(str(name) for name in NAMES))
    leaf, *_ = certs.split_chain(pair.cert.read_bytes())
    return Material(privkey=pair.key.read_bytes(), cert=leaf, chain=root.pem)


def test_good_one_has_no_fault(good: Material) -> None:
    """Chain, key, names and dates fit."""
    assert soundness.fault(good, NAMES, clock.now()) is None


def test_key_of_another_is_found(good: Material) -> None:
    """What Apache's own test calls OK would end Apache: the key must belong to the leaf."""
    other = Material(privkey=x509.new_key(KeyType.ECDSA_P256), cert=good.cert, chain=good.chain)
    assert "private key does not belong" in str(soundness.fault(other, NAMES, clock.now()))


def test_chain_of_another_authority_is_found(good: Material) -> None:
    """Each certificate must be issued by the one that follows it."""
    other = Material(privkey=good.privkey, cert=good.cert, chain=ServerRoot("another").pem)
    assert "not in order" in str(soundness.fault(other, NAMES, clock.now()))


def test_missing_name_is_named(good: Material) -> None:
    """The certificate must have every name that was ordered."""
    names = (*NAMES, Identifier.parse("mail.example.test"))
    assert "mail.example.test" in str(soundness.fault(good, names, clock.now()))


def test_expired_one_is_refused(good: Material) -> None:
    """An expired certificate is never made live."""
    assert "expired" in str(soundness.fault(good, NAMES, clock.now() + timedelta(days=4000)))


def test_one_of_the_future_points_at_the_clock(good: Material) -> None:
    """A leaf that is not valid yet mostly means that our clock is wrong."""
    assert "clock" in str(soundness.fault(good, NAMES, clock.now() - timedelta(days=2)))


def test_garbage_is_a_sentence(good: Material) -> None:
    """What is no certificate is a fault in words, never an exception."""
    other = Material(privkey=good.privkey, cert=b"no certificate", chain=b"")
    assert soundness.fault(other, NAMES, clock.now())
