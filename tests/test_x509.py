import base64
import ipaddress
import warnings
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta

import pytest
import trustme
from cryptography import x509 as foreign
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import NameOID
from hypothesis import given
from hypothesis import strategies as st

from renewer import certs, x509
from renewer.model.desired import KeyType
from renewer.model.names import Identifier, IdentifierType

NOW = datetime(2026, 11, 22, 9, 33, tzinfo=UTC)
NAMES = tuple(map(Identifier.parse, ("example.org", "*.example.org", "192.0.2.7", "2001:db8::7")))
KEY = x509.new_key(KeyType.ECDSA_P256)
CERT = x509.placeholder(NAMES, KEY, NOW)


class Chain:
    """A root, an intermediate and a leaf; the intermediate's name can be forged by another key."""

    def __init__(self) -> None:
        root = trustme.CA(organization_name="root")
        self.middle = root.create_child_ca()
        issued = self.middle.issue_cert("www.example.org", "192.0.2.7", common_name="old.example.org")
        self.key = issued.private_key_pem.bytes()
        self.leaf = issued.cert_chain_pems[0].bytes()
        self.intermediate = self.middle.cert_pem.bytes()
        self.root = root.cert_pem.bytes()

    @property
    def pem(self) -> bytes:
        """Leaf and intermediate, as an authority sends them."""
        return self.leaf + self.intermediate


@pytest.fixture(scope="module")
def chain() -> Chain:
    """One chain for all tests."""
    return Chain()


def made(
    *,
    serial: int = 1,
    names: tuple[foreign.GeneralName, ...] = (),
    key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey | None = None,
    aki: bytes | None = None,
) -> bytes:
    """A certificate as somebody else may make it, as PEM."""
    key = key or ec.generate_private_key(ec.SECP256R1())
    name = foreign.Name([foreign.NameAttribute(NameOID.COMMON_NAME, "somebody")])
    builder = (
        foreign.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(serial)
        .not_valid_before(NOW)
        .not_valid_after(NOW + timedelta(days=90))
    )
    if names:
        builder = builder.add_extension(foreign.SubjectAlternativeName(names), critical=False)
    if aki:
        builder = builder.add_extension(foreign.AuthorityKeyIdentifier(aki, None, None), critical=False)
    algorithm = None if isinstance(key, ed25519.Ed25519PrivateKey) else hashes.SHA256()
    return builder.sign(key, algorithm).public_bytes(serialization.Encoding.PEM)


def pkcs8(key: ed25519.Ed25519PrivateKey | ec.EllipticCurvePrivateKey) -> bytes:
    """A key as PEM."""
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


@pytest.mark.parametrize("kind", list(KeyType))
def test_keys(kind: KeyType) -> None:
    """Every kind of key that the config names is made, recognised, and signs a request and a certificate."""
    key = x509.new_key(kind)
    assert key.startswith(b"-----BEGIN PRIVATE KEY-----\n")
    assert x509.key_type(key) == kind
    assert foreign.load_der_x509_csr(x509.csr(key, NAMES)).is_signature_valid
    cert = x509.placeholder(NAMES, key, NOW)
    assert certs.leaf(cert).key == kind
    assert x509.matches(key, cert)


def test_keys_differ() -> None:
    """Two keys are never the same."""
    assert x509.new_key(KeyType.ECDSA_P256) != x509.new_key(KeyType.ECDSA_P256)


@pytest.mark.parametrize(
    "key",
    [
        b"",
        b"nonsense",
        KEY[:60],
        pkcs8(ed25519.Ed25519PrivateKey.generate()),
        pkcs8(ec.generate_private_key(ec.SECP521R1())),
    ],
)
def test_unsupported_keys(key: bytes) -> None:
    """What is no key, or none that a certificate of ours can have, is refused without its bytes."""
    with pytest.raises(ValueError, match="key") as caught:
        x509.key_type(key)
    assert caught.value.__cause__ is None


def test_request() -> None:
    """A request has the names as subjectAltName, no subject and no extended key usage (RFC 8555 §7.4)."""
    request = foreign.load_der_x509_csr(x509.csr(KEY, NAMES))
    assert list(request.subject) == []
    (extension,) = request.extensions
    assert isinstance(extension.value, foreign.SubjectAlternativeName)
    assert extension.value.get_values_for_type(foreign.DNSName) == ["example.org", "*.example.org"]
    addresses = extension.value.get_values_for_type(foreign.IPAddress)
    assert [ipaddress.ip_address("192.0.2.7"), ipaddress.ip_address("2001:db8::7")] == addresses


def test_request_without_names() -> None:
    """A request for nothing is refused."""
    with pytest.raises(ValueError, match="at least one name"):
        x509.csr(KEY, ())


def test_leaf() -> None:
    """A certificate's facts: names in order, aware times, hex without separators."""
    leaf = certs.leaf(CERT)
    certificate = foreign.load_pem_x509_certificate(CERT)
    assert leaf.names == NAMES
    assert (leaf.not_before, leaf.not_after) == (NOW - timedelta(hours=1), NOW + timedelta(days=7))
    assert int(leaf.serial, 16) == certificate.serial_number
    assert leaf.fingerprint == certificate.fingerprint(hashes.SHA256()).hex()
    assert leaf == certs.leaf_from_der(certificate.public_bytes(serialization.Encoding.DER))


def test_placeholder() -> None:
    """A placeholder says what it is, is signed by itself, and is asked nothing at any authority."""
    leaf = certs.leaf(CERT)
    assert leaf.issuer == x509.PLACEHOLDER == "renewer placeholder"
    assert leaf.ari_id is None
    assert certs.in_order([CERT, CERT])


def test_issued_leaf(chain: Chain) -> None:
    """Of a chain the first certificate counts; a common name is not among the names it vouches for."""
    leaf = certs.leaf(chain.pem)
    assert leaf.names == tuple(map(Identifier.parse, ("www.example.org", "192.0.2.7")))
    assert leaf == certs.leaf(chain.leaf)
    assert leaf.ari_id is not None


def test_ari_vector() -> None:
    """The example of RFC 9773 §4.1 (appendix A): the serial's leading zero byte counts."""
    aki = bytes.fromhex("69885B6B87464041E1B37B847BA0AE2CDE01C8D4")
    assert certs.ari_id(aki, 0x87654321) == "aYhba4dGQEHhs3uEe6CuLN4ByNQ.AIdlQyE"
    assert certs.leaf(made(serial=0x87654321, aki=aki)).ari_id == "aYhba4dGQEHhs3uEe6CuLN4ByNQ.AIdlQyE"


@given(st.integers(min_value=1, max_value=(1 << 159) - 1), st.binary(min_size=1, max_size=32))
def test_ari_id_reads_back(serial: int, aki: bytes) -> None:
    """Both parts of an ARI identifier decode to what they stand for, the serial as DER: signed, shortest."""
    parts = [base64.urlsafe_b64decode(part + "==") for part in certs.ari_id(aki, serial).split(".")]
    assert parts[0] == aki
    assert int.from_bytes(parts[1], "big", signed=True) == serial
    assert len(parts[1]) == 1 or parts[1][0] or parts[1][1] & 0x80


@pytest.mark.parametrize(("serial", "text"), [(1, "01"), (0xABC, "0abc"), (0x1234, "1234")])
def test_serials(serial: int, text: str) -> None:
    """Serials are lower-case hex of whole bytes."""
    assert certs.leaf(made(serial=serial)).serial == text


def test_foreign_leaf() -> None:
    """A foreign certificate is described, not judged: strange names, other kinds of names, unknown keys."""
    names = (
        foreign.DNSName("WWW.Example.org"),
        foreign.DNSName("www.example.org"),
        foreign.DNSName("192.0.2.1"),
        foreign.DNSName("w*.x"),
        foreign.RFC822Name("a@example.org"),
    )
    leaf = certs.leaf(made(names=names, key=ed25519.Ed25519PrivateKey.generate()))
    assert [name.value for name in leaf.names] == ["www.example.org", "192.0.2.1", "w*.x"]
    assert {name.type for name in leaf.names} == {IdentifierType.DNS}
    assert (leaf.key, leaf.issuer) == (None, "somebody")


def test_split_chain(chain: Chain) -> None:
    """A chain comes apart in its order, each certificate clean, whatever its line ends were."""
    assert certs.split_chain(chain.pem) == (chain.leaf, chain.intermediate)
    assert certs.split_chain(b"\r\n" + chain.pem.replace(b"\n", b"\r\n") + b"\n\n") == (
        chain.leaf,
        chain.intermediate,
    )


_SPOILT: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda _: b"",
    "words before": lambda pem: b"subject=CN\n" + pem,
    "words after": lambda pem: pem + b"\nmore",
    "words between": lambda pem: pem + b"and\n" + pem,
    "a key": lambda pem: pem + KEY,
    "a key first": lambda pem: KEY + pem,
    "cut off": lambda pem: pem[:-40],
    "not base64": lambda pem: pem.replace(b"\nM", b"\nM=", 1),
    "not DER": lambda _: b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
    "mixed labels": lambda pem: pem.replace(b"END CERTIFICATE", b"END X509 CRL"),
    "eleven": lambda pem: pem * 11,
    "too long": lambda pem: pem + b"\n" * certs.MAX_CHAIN_BYTES,
}


@pytest.mark.parametrize("spoil", _SPOILT.values(), ids=_SPOILT)
def test_strict_chain(spoil: Callable[[bytes], bytes]) -> None:
    """Anything but one to ten certificates is refused (RFC 8555 §9.1), and told without a trace of keys."""
    with pytest.raises(ValueError, match=r"chain|certificate") as caught:
        certs.split_chain(spoil(CERT))
    assert "PRIVATE KEY-----" not in str(caught.value)


@given(st.data())
def test_garbage(data: st.DataObject) -> None:
    """However a certificate is mangled, it is read, or refused by a ValueError."""
    der = bytearray(foreign.load_pem_x509_certificate(CERT).public_bytes(serialization.Encoding.DER))
    for _ in range(data.draw(st.integers(1, 4))):
        der[data.draw(st.integers(0, len(der) - 1))] = data.draw(st.integers(0, 255))
    pem = base64.b64encode(der)
    pem = b"-----BEGIN CERTIFICATE-----\n" + pem + b"\n-----END CERTIFICATE-----\n"
    for read in (certs.leaf, certs.split_chain, lambda pem: x509.matches(KEY, pem)):
        with warnings.catch_warnings(), suppress(ValueError):
            warnings.simplefilter("ignore")
            read(pem)


@given(st.binary(max_size=300))
def test_any_bytes(pem: bytes) -> None:
    """Any bytes at all are refused by a ValueError."""
    for read in (certs.split_chain, certs.leaf, certs.leaf_from_der, x509.key_type):
        with pytest.raises(ValueError, match=r"\w"):
            read(pem)


def test_block_without_end() -> None:
    """Whitespace without end, as a broken authority may send it, is refused at once."""
    with pytest.raises(ValueError, match="no certificate"):
        certs.split_chain(b"-----BEGIN CERTIFICATE-----" + b"\n" * 100_000)


def test_foreign_words() -> None:
    """What a stranger's certificate says of itself plays no tricks on a terminal."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = foreign.Name([foreign.NameAttribute(NameOID.COMMON_NAME, "\x1b]0;you\x07Root")])
    san = foreign.SubjectAlternativeName([foreign.DNSName("a\x1b[2J.example.org")])
    made_at = datetime(2026, 11, 22, tzinfo=UTC)
    certificate = (
        foreign.CertificateBuilder(name, name, key.public_key(), 1, made_at, made_at + timedelta(days=1))
        .add_extension(san, critical=False)
        .sign(key, hashes.SHA256())
    )

    found = certs.leaf_from_der(certificate.public_bytes(serialization.Encoding.DER))

    assert found.issuer == "?]0;you?Root"
    assert [str(one) for one in found.names] == ["a?[2j.example.org"]


def test_matches(chain: Chain) -> None:
    """A key fits its own certificate, with or without its chain, and no other."""
    assert x509.matches(chain.key, chain.leaf)
    assert x509.matches(chain.key, chain.pem)
    assert not x509.matches(KEY, chain.pem)
    assert not x509.matches(x509.new_key(KeyType.RSA_2048), chain.pem)


def test_in_order(chain: Chain) -> None:
    """Each certificate must be issued by the next: in name and in fact."""
    assert certs.in_order([chain.leaf])
    assert certs.in_order([chain.leaf, chain.intermediate])
    assert certs.in_order([chain.leaf, chain.intermediate, chain.root])
    assert not certs.in_order([])
    assert not certs.in_order([chain.intermediate, chain.leaf])
    assert not certs.in_order([chain.leaf, chain.root])
    assert not certs.in_order([chain.leaf, chain.root, chain.intermediate])
    assert not certs.in_order([chain.leaf, Chain().intermediate])


def test_forged_issuer() -> None:
    """An issuer of the right name with another key has not issued it."""
    assert not certs.in_order([made(serial=1), made(serial=2)])


def test_leads_to(chain: Chain) -> None:
    """A chain leads to the root that issued its last certificate, whether the root is in it or not."""
    last = foreign.load_pem_x509_certificate(chain.intermediate).issuer
    root = str(last.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)[0].value)
    assert certs.leads_to(chain.pem, root)
    assert certs.leads_to(chain.pem + chain.root, root)
    assert not certs.leads_to(chain.pem, "ISRG Root X1")
