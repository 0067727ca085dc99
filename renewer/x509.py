"""Keys, CSRs and certificates: the only module that speaks `cryptography`; PEM and DER in, facts out.

Everything that is wrong with what is given raises ValueError with a sentence for people. The module is
slow to import (some 75 ms): import it where it is used.
"""

import base64
import binascii
import hashlib
import re
import warnings
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from typing import NamedTuple

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.types import CertificatePublicKeyTypes
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_der_private_key,
    load_pem_private_key,
    pkcs12,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID, SignatureAlgorithmOID

from renewer import words
from renewer.model.desired import KeyFamily, KeyType
from renewer.model.facts import Leaf
from renewer.model.names import Identifier, IdentifierType

MAX_CHAIN_BYTES = (
    128 * 1024
)  # a leaf with a hundred names has 5 KiB; nobody sends more than this in good faith
MAX_CHAIN_LENGTH = 10
PLACEHOLDER = "renewer placeholder"  # the organisation in its subject, so that people who meet one know
CHALLENGE = "renewer tls-alpn-01"  # likewise
PLACEHOLDER_LIFETIME = timedelta(days=7)
_ACME_IDENTIFIER = x509.ObjectIdentifier("1.3.6.1.5.5.7.1.31")  # RFC 8737 §3, id-pe-acmeIdentifier
_BACKDATED = timedelta(hours=1)  # for clients whose clock is behind
_LEGACY_SEAL = bytes.fromhex("060a2a864886f70d010c0103")  # pbeWithSHAAnd3-KeyTripleDES-CBC
_ROUNDS = 20_000  # of PBKDF2, over a password that no person has to remember; Java's own number is 10,000

_Key = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey

_CURVES: dict[KeyType, ec.EllipticCurve] = {
    KeyType.ECDSA_P256: ec.SECP256R1(),
    KeyType.ECDSA_P384: ec.SECP384R1(),
}
_SIGNATURES = frozenset(  # what OpenSSL can check, old ones too
    getattr(SignatureAlgorithmOID, name)
    for name in dir(SignatureAlgorithmOID)
    if name.startswith(("RSA", "ECDSA", "DSA", "ED"))
)
_SIZES = {KeyType.RSA_2048: 2048, KeyType.RSA_3072: 3072, KeyType.RSA_4096: 4096}
# A foreign certificate with such a number is shown like any other; nobody needs a warning on stderr
warnings.filterwarnings("ignore", "Parsed a serial number which wasn't positive")
# Nothing in it can match in two ways: a block without an end must not be tried for ever
_BLOCK = re.compile(rb"-----BEGIN ([^-\r\n]*)-----\s([A-Za-z0-9+/=\s]*)-----END \1-----")


# keys and requests ---------------------------------------------------------------------------------------


def new_key(key_type: KeyType) -> bytes:
    """A fresh private key as PKCS#8 PEM (RFC 5958), not encrypted."""
    key: _Key
    if key_type in _CURVES:
        key = ec.generate_private_key(_CURVES[key_type])
    else:
        key = rsa.generate_private_key(public_exponent=65537, key_size=_SIZES[key_type])
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def key_type(privkey: bytes) -> KeyType:
    """What kind of key this is. Raises ValueError if it is none that a certificate of ours can have."""
    found = _type_of(_load_key(privkey).public_key())
    if found is None:
        raise ValueError("this kind of key is not supported")
    return found


def key_fingerprint(privkey: bytes) -> str:
    """What tells a key from others: SHA-256 of its public half (SPKI), in hex."""
    return _spki(_load_key(privkey).public_key())


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
    return tuple(one[0] + b"\n" for one in _BLOCK.finditer(text) if one[1].endswith(b"PRIVATE KEY"))


def certificates_in(text: bytes) -> tuple[bytes, ...]:
    """The certificates in a file of PEM blocks, each as it stands there."""
    return tuple(one[0] + b"\n" for one in _BLOCK.finditer(text) if one[1] == b"CERTIFICATE")


def pem(der: bytes) -> bytes:
    """A certificate as PEM, from DER. Raises ValueError."""
    return _load_der(der).public_bytes(Encoding.PEM)


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


class Request(NamedTuple):
    """A certificate signing request of somebody else's: its names, kind of key, and what tells that key."""

    der: bytes
    names: tuple[Identifier, ...]
    key: KeyType
    spki: str


def read_request(data: bytes) -> Request:
    """A request (RFC 2986) as PEM or DER. Raises ValueError if no authority would take it, and says why.

    A common name counts as a name, for that is how authorities read it.
    """
    begin = data.find(b"-----BEGIN ")
    try:
        found = x509.load_pem_x509_csr(data[begin:]) if begin >= 0 else x509.load_der_x509_csr(data)
    except (ValueError, TypeError, UnsupportedAlgorithm, x509.InvalidVersion):
        raise ValueError("is no certificate signing request, neither as PEM nor as DER") from None
    try:
        kind, signed = _type_of(found.public_key()), found.is_signature_valid
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
    return Request(found.public_bytes(Encoding.DER), names, kind, _spki(found.public_key()))


def _requested(request: x509.CertificateSigningRequest) -> tuple[Identifier, ...]:
    found = [str(one.value) for one in request.subject.get_attributes_for_oid(NameOID.COMMON_NAME)]
    with suppress(x509.ExtensionNotFound):
        for name in request.extensions.get_extension_for_class(x509.SubjectAlternativeName).value:
            if not isinstance(name, x509.DNSName | x509.IPAddress):
                raise ValueError("it holds names that are neither of hosts nor addresses")  # noqa: TRY004  wrong data
            found.append(str(name.value))
    return tuple(dict.fromkeys(Identifier.parse(one) for one in found))


def spki(pem: bytes) -> str:
    """What tells the key of a leaf from others: SHA-256 of its public half (SPKI), in hex.

    Raises ValueError if the key is of a kind that nobody here knows.
    """
    try:
        return _spki(_load_chain(pem)[0].public_key())
    except UnsupportedAlgorithm as error:
        raise ValueError(f"its key cannot be read: {error}") from None


def tlsa(pem: bytes) -> frozenset[tuple[int, int, str]]:
    """All that a TLSA record can say of a certificate: selector, matching type, data in hex (RFC 6698 §2.1).

    Raises ValueError.
    """
    certificate = _load_chain(pem)[0]
    try:
        key = certificate.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    except UnsupportedAlgorithm as error:
        raise ValueError(f"its key cannot be read: {error}") from None
    found = set()
    for selector, octets in enumerate((certificate.public_bytes(Encoding.DER), key)):
        found.add((selector, 0, octets.hex()))
        found.add((selector, 1, hashlib.sha256(octets).hexdigest()))
        found.add((selector, 2, hashlib.sha512(octets).hexdigest()))
    return frozenset(found)


def _spki(key: CertificatePublicKeyTypes) -> str:
    digest = hashes.Hash(hashes.SHA256())
    digest.update(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo))
    return digest.finalize().hex()


def refused_by(fullchain: bytes, roots: Sequence[bytes], now: datetime) -> str:
    """Why a chain does not lead to one of the roots (DER); "" if it does. Names are not looked at.

    For who has no key to serve it with: else a handshake tells more. Of extensions only an authority's
    basicConstraints are insisted on.
    """
    from cryptography.x509.verification import (
        Criticality,
        ExtensionPolicy,
        PolicyBuilder,
        Store,
        VerificationError,
    )

    leaf_one, *rest = _load_chain(fullchain)
    trusted = [_load_der(one) for one in roots]
    anything = ExtensionPolicy.permit_all()
    builder = PolicyBuilder().store(Store(trusted)).time(now.astimezone(UTC).replace(tzinfo=None))
    authority = anything.require_present(x509.BasicConstraints, Criticality.AGNOSTIC, None)
    verifier = builder.extension_policies(ca_policy=authority, ee_policy=anything).build_client_verifier()
    try:
        verifier.verify(leaf_one, rest)
    except VerificationError as error:
        return str(error).partition("(encountered")[0].removeprefix("validation failed: ").strip()
    return ""


def placeholder(identifiers: Sequence[Identifier], privkey: bytes, now: datetime) -> bytes:
    """A self-signed certificate as PEM, so that servers can start before the first issuance.

    It is valid for a week and says in its subject what it is.
    """
    key = _load_key(privkey)
    name = x509.Name([x509.NameAttribute(NameOID.ORGANIZATION_NAME, PLACEHOLDER)])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _BACKDATED)
        .not_valid_after(now + PLACEHOLDER_LIFETIME)
        .add_extension(_alternative_names(identifiers), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .sign(key, _hash_for(key))
    )
    return certificate.public_bytes(Encoding.PEM)


def acme_tls(identifier: Identifier, key_authorization: str, privkey: bytes, now: datetime) -> bytes:
    """The self-signed certificate that answers a TLS-ALPN-01 challenge, as PEM.

    RFC 8737 §3: the one name as subjectAltName, and the critical acmeIdentifier extension with the SHA-256 of
    the key authorization as an OCTET STRING. RFC 8738 §6: an address is an iPAddress there.
    """
    key = _load_key(privkey)
    digest = hashes.Hash(hashes.SHA256())
    digest.update(key_authorization.encode("ascii"))
    octets = digest.finalize()
    answer = x509.UnrecognizedExtension(_ACME_IDENTIFIER, bytes((0x04, len(octets))) + octets)
    name = x509.Name([x509.NameAttribute(NameOID.ORGANIZATION_NAME, CHALLENGE)])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _BACKDATED)
        .not_valid_after(now + PLACEHOLDER_LIFETIME)
        .add_extension(_alternative_names([identifier]), critical=False)
        .add_extension(answer, critical=True)
        .sign(key, _hash_for(key))
    )
    return certificate.public_bytes(Encoding.PEM)


# certificates --------------------------------------------------------------------------------------------


def split_chain(pem: bytes) -> tuple[bytes, ...]:
    """The certificates of a chain, leaf first, each as clean PEM of our own writing.

    Reads as strictly as RFC 8555 §9.1 asks: blocks of CERTIFICATE and nothing else between them, at least
    one, at most ten.
    """
    return tuple(certificate.public_bytes(Encoding.PEM) for certificate in _load_chain(pem))


def put_in_order(key: str, text: bytes) -> tuple[bytes, ...]:
    """The chain of a key out of what an authority sent, leaf first, each as clean PEM of our own writing.

    `key` is what `key_fingerprint` or `spki` say of it.

    Forgives what means the same: text around the blocks, byte order marks, line ends, doubles, another order,
    certificates that belong to no chain of this leaf. Raises ValueError if no certificate fits the key, or
    if none of several others issued it.
    """
    if len(text) > MAX_CHAIN_BYTES:
        raise ValueError(f"the chain has {len(text)} bytes; more than {MAX_CHAIN_BYTES} are not believed")
    blocks = [block[0] for block in _BLOCK.finditer(text) if block[1] == b"CERTIFICATE"]
    found = list(dict.fromkeys(_load_chain(block)[0] for block in blocks))
    if not found:
        raise ValueError("there is no certificate in it")
    if len(found) > MAX_CHAIN_LENGTH:
        raise ValueError(f"the chain has more than {MAX_CHAIN_LENGTH} certificates")
    first = next((one for one in found if _key_of(one) == key), None)
    if first is None:
        raise ValueError("the private key does not belong to any certificate in the chain")
    chain, rest = [first], [one for one in found if one is not first]
    while issuer := next((one for one in rest if _issued_by(chain[-1], one)), None):
        chain.append(issuer)
        rest.remove(issuer)
    if rest and len(chain) == 1:
        raise ValueError("the chain is not in order: none of the others issued the first certificate")
    return tuple(certificate.public_bytes(Encoding.PEM) for certificate in chain)


def leaf(pem: bytes) -> Leaf:
    """What the first certificate of a PEM says of itself."""
    return _facts(_load_chain(pem)[0])


def der(pem: bytes) -> bytes:
    """The first certificate of a PEM as DER."""
    return _load_chain(pem)[0].public_bytes(Encoding.DER)


def leaf_from_der(der: bytes) -> Leaf:
    """What a certificate says of itself, as a TLS handshake hands it over."""
    return _facts(_load_der(der))


def family_of_der(der: bytes) -> KeyFamily | None:
    """What kind of key a certificate has; None if that cannot be read, or is neither ECDSA nor RSA."""
    try:
        key = _public_key(_load_der(der))
    except ValueError:
        return None
    if isinstance(key, ec.EllipticCurvePublicKey):
        return KeyFamily.ECDSA
    return KeyFamily.RSA if isinstance(key, rsa.RSAPublicKey) else None


def unfamiliar(pem: bytes) -> str | None:
    """Why nobody on this host can judge a chain, as a sentence; None if its signatures are of known kinds.

    Other kinds are announced, as Merkle tree certificates (draft-ietf-plants-merkle-tree-certs), whose
    signature is a proof: who issues and who accepts them knows more than we do.
    """
    return next((why for one in _load_chain(pem) if (why := _unfamiliar(one))), None)


def unfamiliar_der(der: bytes) -> str | None:
    """As `unfamiliar`, for one certificate as a TLS handshake hands it over."""
    return _unfamiliar(_load_der(der))


def _unfamiliar(certificate: x509.Certificate) -> str | None:
    kind = certificate.signature_algorithm_oid
    if kind in _SIGNATURES:
        return None
    return f"its signature is of a kind ({kind.dotted_string}) that this program cannot read"


def matches(privkey: bytes, pem: bytes) -> bool:
    """Whether the key belongs to the first certificate. Raises ValueError if either cannot be read."""
    ours = _load_key(privkey).public_key()
    try:
        theirs = _load_chain(pem)[0].public_key()
    except UnsupportedAlgorithm:
        return False  # no key of ours is of that kind
    return ours == theirs


def in_order(chain: Sequence[bytes]) -> bool:
    """Whether each certificate (one PEM each) was issued by the next, by names and by signature.

    That is the order servers must send (RFC 5246 §7.4.2); a root at the end is no fault.
    """
    certificates = [_load_chain(pem)[0] for pem in chain]
    return bool(certificates) and all(map(_issued_by, certificates, certificates[1:]))


def unfit(pem: bytes) -> str | None:
    """Why clients refuse a leaf whatever its chain, as a sentence; None if they do not.

    Not all of them refuse an authority's certificate as a leaf, but browsers do (RFC 5280 §4.2.1.9).
    """
    extensions = _load_chain(pem)[0].extensions
    with suppress(x509.ExtensionNotFound):
        if extensions.get_extension_for_class(x509.BasicConstraints).value.ca:
            return "it is the certificate of an authority (CA:TRUE), which clients refuse from a server"
    with suppress(x509.ExtensionNotFound):
        if (
            ExtendedKeyUsageOID.SERVER_AUTH
            not in extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
        ):
            return "its extended key usage does not allow it to serve (serverAuth is missing)"
    return None


def span(pem: bytes) -> tuple[datetime, datetime]:
    """From when until when all certificates of a chain are valid."""
    chain = _load_chain(pem)
    return max(one.not_valid_before_utc for one in chain), min(one.not_valid_after_utc for one in chain)


def leads_to(pem: bytes, root: str) -> bool:
    """Whether a chain ends below (or with) the root of this common name, as `chain` in the config asks."""
    last = _load_chain(pem)[-1]
    try:
        return root in (_common_name(last.issuer), _common_name(last.subject))
    except (ValueError, TypeError) as error:
        raise ValueError(f"the chain's last certificate cannot be read: {error}") from None


def keystore(privkey: bytes, fullchain: bytes, alias: str, password: str, *, legacy: bool = False) -> bytes:
    """Key and chain as PKCS#12 (RFC 7292) under a friendly name; every call gives other bytes.

    AES-256-CBC and PBKDF2 with HMAC-SHA-256, and so the MAC: what OpenSSL 3 writes itself, what its default
    provider can read, and Java from 8u301 on. `legacy`: 3DES and SHA-1, which is all that some can read.
    """
    certificate, *others = _load_chain(fullchain)
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


def ari_id(key_identifier: bytes, serial: int) -> str:
    """The certificate's name at the authority's renewalInfo (RFC 9773 §4.1).

    base64url without padding of the authority's keyIdentifier, a dot, and of the serial's DER bytes, which
    begin with 00 when the first bit of the number is set.
    """
    octets = serial.to_bytes(serial.bit_length() // 8 + 1, "big")
    return f"{_base64url(key_identifier)}.{_base64url(octets)}"


# the inside ----------------------------------------------------------------------------------------------


def _load_key(privkey: bytes) -> _Key:
    try:
        # Whether an RSA key's numbers fit together takes up to a second to find out, and every server asks it
        key = load_pem_private_key(privkey, None, unsafe_skip_rsa_key_validation=True)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise ValueError("the private key cannot be read: it must be PEM, not encrypted") from None
    if not isinstance(key, (ec.EllipticCurvePrivateKey, rsa.RSAPrivateKey)):
        raise ValueError("the private key is neither ECDSA nor RSA")  # noqa: TRY004  wrong data, not a wrong type
    return key


def _load_der(der: bytes) -> x509.Certificate:
    try:
        return x509.load_der_x509_certificate(der)
    except (ValueError, TypeError, x509.InvalidVersion) as error:
        raise ValueError(f"the certificate cannot be read: {error}") from None


def _load_chain(pem: bytes) -> list[x509.Certificate]:
    if len(pem) > MAX_CHAIN_BYTES:
        raise ValueError(f"the chain has {len(pem)} bytes; more than {MAX_CHAIN_BYTES} are not believed")
    certificates: list[x509.Certificate] = []
    end = 0
    for block in _BLOCK.finditer(pem):
        if pem[end : block.start()].strip():
            raise ValueError("the chain holds something besides certificates")
        if block[1] != b"CERTIFICATE":
            raise ValueError(f"the chain holds a block of '{block[1].decode('ascii', 'replace')}'")
        if len(certificates) == MAX_CHAIN_LENGTH:
            raise ValueError(f"the chain has more than {MAX_CHAIN_LENGTH} certificates")
        try:
            der = base64.b64decode(b"".join(block[2].split()), validate=True)
        except binascii.Error:
            raise ValueError("the chain is not well-formed PEM") from None
        certificates.append(_load_der(der))
        end = block.end()
    if not certificates:
        raise ValueError("there is no certificate in it")
    if pem[end:].strip():
        raise ValueError("the chain holds something besides certificates")
    return certificates


def _facts(certificate: x509.Certificate) -> Leaf:
    try:
        serial = certificate.serial_number
        if serial < 0:
            raise ValueError("its serial number is negative")  # noqa: TRY301  one sentence for all of them
        return Leaf(
            serial=_hex(serial),
            fingerprint=certificate.fingerprint(hashes.SHA256()).hex(),
            not_before=certificate.not_valid_before_utc,
            not_after=certificate.not_valid_after_utc,
            names=_names(certificate),
            key=_type_of_leaf(certificate),
            issuer=_foreign(_common_name(certificate.issuer) or certificate.issuer.rfc4514_string()),
            ari_id=_ari_id(certificate, serial),
        )
    except (ValueError, TypeError, x509.DuplicateExtension, x509.UnsupportedGeneralNameType) as error:
        raise ValueError(f"the certificate cannot be read: {error}") from None


def _hex(serial: int) -> str:
    digits = f"{serial:x}"
    return digits.zfill(len(digits) + len(digits) % 2)


def _names(certificate: x509.Certificate) -> tuple[Identifier, ...]:
    """DNS names and addresses of the subjectAltName, in its order; a common name alone counts nothing."""
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return ()
    found: list[Identifier] = []
    for name in names:
        # Not by Identifier.parse: foreign ones may say anything, and a DNS name "192.0.2.1" is no address
        if isinstance(name, x509.DNSName):
            value = _foreign(name.value).lower().removesuffix(".")
            found.append(Identifier(type=IdentifierType.DNS, value=value))
        elif isinstance(name, x509.IPAddress):
            found.append(Identifier(type=IdentifierType.IP, value=str(name.value)))
    return tuple(dict.fromkeys(found))


def _ari_id(certificate: x509.Certificate, serial: int) -> str | None:
    try:
        extension = certificate.extensions.get_extension_for_class(x509.AuthorityKeyIdentifier).value
    except x509.ExtensionNotFound:
        return None
    return ari_id(extension.key_identifier, serial) if extension.key_identifier else None


def _type_of_leaf(certificate: x509.Certificate) -> KeyType | None:
    try:
        return _type_of(certificate.public_key())
    except UnsupportedAlgorithm:
        return None  # a foreign certificate with a curve that is not ours


def _type_of(key: object) -> KeyType | None:
    if isinstance(key, ec.EllipticCurvePublicKey):
        return next((kind for kind, curve in _CURVES.items() if curve.name == key.curve.name), None)
    if isinstance(key, rsa.RSAPublicKey):
        return next((kind for kind, size in _SIZES.items() if size == key.key_size), None)
    return None


def _key_of(certificate: x509.Certificate) -> str:
    key = _public_key(certificate)
    return _spki(key) if key is not None else ""


def _public_key(certificate: x509.Certificate) -> CertificatePublicKeyTypes | None:
    try:
        return certificate.public_key()
    except (UnsupportedAlgorithm, ValueError):
        return None  # no key of ours is of that kind


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


def _issued_by(certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
    if _unfamiliar(certificate):  # its signature is not ours to check
        return certificate.issuer == issuer.subject
    try:
        certificate.verify_directly_issued_by(issuer)
    except (InvalidSignature, ValueError, TypeError, UnsupportedAlgorithm):
        return False
    return True


def _common_name(name: x509.Name) -> str:
    for kind in (NameOID.COMMON_NAME, NameOID.ORGANIZATION_NAME):
        for attribute in name.get_attributes_for_oid(kind):
            return str(attribute.value)
    return ""


def _foreign(text: str) -> str:
    """What a stranger's certificate says of itself, on one line."""
    return words.clean(" ".join(text.splitlines()), "?")


def _base64url(octets: bytes) -> str:
    return base64.urlsafe_b64encode(octets).rstrip(b"=").decode("ascii")
