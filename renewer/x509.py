"""Keys, CSRs and the certificates that we make: with `certs`, which reads, the door to `cryptography`.

Everything that is wrong with what is given raises ValueError with a sentence for people. The module is
slow to import (some 75 ms): import it where it is used.
"""

from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from ipaddress import ip_address
from typing import NamedTuple

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_der_private_key,
    load_pem_private_key,
    pkcs12,
)
from cryptography.x509.oid import NameOID

from renewer import certs
from renewer.model.desired import KeyType
from renewer.model.names import Identifier, IdentifierType

PLACEHOLDER = "renewer placeholder"  # the organisation in its subject, so that people who meet one know
CHALLENGE = "renewer tls-alpn-01"  # likewise
PLACEHOLDER_LIFETIME = timedelta(days=7)
_ACME_IDENTIFIER = x509.ObjectIdentifier("1.3.6.1.5.5.7.1.31")  # RFC 8737 §3, id-pe-acmeIdentifier
_BACKDATED = timedelta(hours=1)  # for clients whose clock is behind
_LEGACY_SEAL = bytes.fromhex("060a2a864886f70d010c0103")  # pbeWithSHAAnd3-KeyTripleDES-CBC
_ROUNDS = 20_000  # of PBKDF2, over a password that no person has to remember; Java's own number is 10,000

_Key = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey


def new_key(key_type: KeyType) -> bytes:
    """A fresh private key as PKCS#8 PEM (RFC 5958), not encrypted."""
    key: _Key
    parameters = certs.parameters(key_type)
    if isinstance(parameters, int):
        key = rsa.generate_private_key(public_exponent=65537, key_size=parameters)
    else:
        key = ec.generate_private_key(parameters)
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def key_type(privkey: bytes) -> KeyType:
    """What kind of key this is. Raises ValueError if it is none that a certificate of ours can have."""
    found = certs.key_type_of(_load_key(privkey).public_key())
    if found is None:
        raise ValueError("this kind of key is not supported")
    return found


def key_fingerprint(privkey: bytes) -> str:
    """What tells a key from others: SHA-256 of its public half (SPKI), in hex."""
    return certs.fingerprint_of(_load_key(privkey).public_key())


def key_der(privkey: bytes) -> bytes:
    """A private key as PKCS#8 DER (RFC 5958), not encrypted."""
    return _load_key(privkey).private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())


def key_pem(der: bytes) -> bytes:
    """A private key as PKCS#8 PEM, from PKCS#8 DER (RFC 5958). Raises ValueError if it is none of ours."""
    try:
        key = load_der_private_key(der, None, unsafe_skip_rsa_key_validation=True)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise ValueError("the private key cannot be read: it must be DER, not encrypted") from None
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def keys_in(text: bytes) -> tuple[bytes, ...]:
    """The private keys in a file of PEM blocks, each as it stands there."""
    return tuple(one[0] + b"\n" for one in certs.BLOCK.finditer(text) if one[1].endswith(b"PRIVATE KEY"))


def csr(privkey: bytes, identifiers: Sequence[Identifier]) -> bytes:
    """A certificate signing request as DER, for `finalize` (RFC 8555 §7.4).

    It carries the names as subjectAltName only: no common name, which newer profiles refuse, and no extended
    key usage, for which some authorities reject a request.
    """
    key = _load_key(privkey)
    request = (
        x509.CertificateSigningRequestBuilder()
        .subject_name(x509.Name([]))
        .add_extension(_alternative_names(identifiers), critical=False)
        .sign(key, _hash_for(key))
    )
    return request.public_bytes(Encoding.DER)


class SigningRequest(NamedTuple):
    """A certificate signing request of somebody else's: its names, kind of key, and what tells that key."""

    der: bytes
    names: tuple[Identifier, ...]
    key: KeyType
    spki: str


def read_request(data: bytes) -> SigningRequest:
    """A request (RFC 2986) as PEM or DER. Raises ValueError if no authority would take it, and says why.

    A common name counts as a name, for that is how authorities read it.
    """
    begin = data.find(b"-----BEGIN ")
    try:
        found = x509.load_pem_x509_csr(data[begin:]) if begin >= 0 else x509.load_der_x509_csr(data)
    except (ValueError, TypeError, UnsupportedAlgorithm, x509.InvalidVersion):
        raise ValueError("is no certificate signing request, neither as PEM nor as DER") from None
    try:
        kind, signed = certs.key_type_of(found.public_key()), found.is_signature_valid
        weak = isinstance(found.signature_hash_algorithm, hashes.SHA1 | hashes.MD5)
        names = _requested(found)
    except (ValueError, TypeError, UnsupportedAlgorithm, x509.DuplicateExtension) as error:
        raise ValueError(f"cannot be read: {error}") from None
    if kind is None:
        raise ValueError(f"has a key that authorities do not take: they take {', '.join(KeyType)}")
    if not signed:
        raise ValueError("is not signed by its own key: it was changed, or made wrongly")
    if weak:
        raise ValueError("is signed with SHA-1 or MD5, which authorities refuse")
    return SigningRequest(
        found.public_bytes(Encoding.DER), names, kind, certs.fingerprint_of(found.public_key())
    )


def _requested(request: x509.CertificateSigningRequest) -> tuple[Identifier, ...]:
    found = [str(one.value) for one in request.subject.get_attributes_for_oid(NameOID.COMMON_NAME)]
    with suppress(x509.ExtensionNotFound):
        for name in request.extensions.get_extension_for_class(x509.SubjectAlternativeName).value:
            if not isinstance(name, x509.DNSName | x509.IPAddress):
                raise ValueError("it holds names that are neither of hosts nor addresses")  # noqa: TRY004  wrong data
            found.append(str(name.value))
    return tuple(dict.fromkeys(Identifier.parse(one) for one in found))


def placeholder(identifiers: Sequence[Identifier], privkey: bytes, now: datetime) -> bytes:
    """A self-signed certificate as PEM, so that servers can start before the first issuance.

    It is valid for a week and says in its subject what it is.
    """
    constraints = x509.BasicConstraints(ca=False, path_length=None)
    return _self_signed(PLACEHOLDER, identifiers, privkey, constraints, now)


def acme_tls(identifier: Identifier, key_authorization: str, privkey: bytes, now: datetime) -> bytes:
    """The self-signed certificate that answers a TLS-ALPN-01 challenge, as PEM.

    RFC 8737 §3: the one name as subjectAltName, and the critical acmeIdentifier extension with the SHA-256 of
    the key authorization as an OCTET STRING. RFC 8738 §6: an address is an iPAddress there.
    """
    digest = hashes.Hash(hashes.SHA256())
    digest.update(key_authorization.encode("ascii"))
    octets = digest.finalize()
    answer = x509.UnrecognizedExtension(_ACME_IDENTIFIER, bytes((0x04, len(octets))) + octets)
    return _self_signed(CHALLENGE, [identifier], privkey, answer, now)


def _self_signed(
    by: str,
    identifiers: Sequence[Identifier],
    privkey: bytes,
    critical: x509.ExtensionType,
    now: datetime,
) -> bytes:
    key = _load_key(privkey)
    name = x509.Name([x509.NameAttribute(NameOID.ORGANIZATION_NAME, by)])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _BACKDATED)
        .not_valid_after(now + PLACEHOLDER_LIFETIME)
        .add_extension(_alternative_names(identifiers), critical=False)
        .add_extension(critical, critical=True)
        .sign(key, _hash_for(key))
    )
    return certificate.public_bytes(Encoding.PEM)


def matches(privkey: bytes, pem: bytes) -> bool:
    """Whether the key belongs to the first certificate. Raises ValueError if either cannot be read."""
    ours = _load_key(privkey).public_key()
    try:
        theirs = certs.loaded(pem)[0].public_key()
    except UnsupportedAlgorithm:
        return False  # no key of ours is of that kind
    return ours == theirs


def keystore(privkey: bytes, fullchain: bytes, alias: str, password: str, *, legacy: bool = False) -> bytes:
    """Key and chain as PKCS#12 (RFC 7292) under a friendly name; every call gives other bytes.

    AES-256-CBC and PBKDF2 with HMAC-SHA-256, and so the MAC: what OpenSSL 3 writes itself, what its default
    provider can read, and Java from 8u301 on. `legacy`: 3DES and SHA-1, which is all that some can read.
    """
    certificate, *others = certs.loaded(fullchain)
    modern, old = pkcs12.PBES.PBESv2SHA256AndAES256CBC, pkcs12.PBES.PBESv1SHA1And3KeyTripleDESCBC
    builder = PrivateFormat.PKCS12.encryption_builder().kdf_rounds(_ROUNDS)
    builder = builder.key_cert_algorithm(old if legacy else modern)
    digest = hashes.SHA1() if legacy else hashes.SHA256()  # noqa: S303  it was asked for
    sealed_with = builder.hmac_hash(digest).build(b"-")
    # The builder refuses the empty password, which RFC 7292 §B.1 allows and some consumers insist on
    object.__setattr__(sealed_with, "password", password.encode())
    return pkcs12.serialize_key_and_certificates(
        alias.encode(), _load_key(privkey), certificate, others, sealed_with
    )


def is_legacy(keystore: bytes) -> bool:
    """Whether a PKCS#12 is sealed by 3DES (RFC 7292 §C): the algorithm's name stands in clear."""
    return _LEGACY_SEAL in keystore


def open_keystore(data: bytes, password: str) -> tuple[str, bytes, tuple[bytes, ...]]:
    """What a PKCS#12 holds: alias, key as PKCS#8 DER, certificates as DER, the key's own first.

    How long this takes is up to whoever wrote it, who chose the number of rounds. Raises ValueError, also if
    the password is wrong.
    """
    try:
        found = pkcs12.load_pkcs12(data, password.encode())
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise ValueError("the keystore cannot be opened with this password") from None
    if found.cert is None or not isinstance(found.key, (ec.EllipticCurvePrivateKey, rsa.RSAPrivateKey)):
        raise ValueError("the keystore holds no key with its certificate")
    certificates = [found.cert, *found.additional_certs]
    return (
        (found.cert.friendly_name or b"").decode("utf-8", "replace"),
        found.key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption()),
        tuple(one.certificate.public_bytes(Encoding.DER) for one in certificates),
    )


def _load_key(privkey: bytes) -> _Key:
    try:
        # Whether an RSA key's numbers fit together takes up to a second to find out, and every server asks it
        key = load_pem_private_key(privkey, None, unsafe_skip_rsa_key_validation=True)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise ValueError("the private key cannot be read: it must be PEM, not encrypted") from None
    if not isinstance(key, (ec.EllipticCurvePrivateKey, rsa.RSAPrivateKey)):
        raise ValueError("the private key is neither ECDSA nor RSA")  # noqa: TRY004  wrong data, not a wrong type
    return key


def _hash_for(key: _Key) -> hashes.SHA256 | hashes.SHA384:
    """SHA-256, and SHA-384 with P-384, as the CA/Browser Forum asks (Baseline Requirements §7.1.3.2)."""
    if isinstance(key, ec.EllipticCurvePrivateKey) and key.curve.name == "secp384r1":
        return hashes.SHA384()
    return hashes.SHA256()


def _alternative_names(identifiers: Sequence[Identifier]) -> x509.SubjectAlternativeName:
    if not identifiers:
        raise ValueError("a certificate needs at least one name")
    return x509.SubjectAlternativeName([_general_name(identifier) for identifier in identifiers])


def _general_name(identifier: Identifier) -> x509.GeneralName:
    if identifier.type is IdentifierType.IP:
        return x509.IPAddress(ip_address(identifier.value))  # RFC 8738 §3: an iPAddress, never a dNSName
    return x509.DNSName(identifier.value)
