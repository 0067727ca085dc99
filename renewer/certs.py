"""Certificates are read here: PEM and DER in, facts out. Nothing here has or makes a key.

With `x509`, which makes keys, requests and certificates, the only module that speaks `cryptography` of them.
Everything that is wrong with what is given raises ValueError with a sentence for people. The module is slow
to import (some 75 ms): import it where it is used.
"""

import base64
import binascii
import hashlib
import re
import warnings
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.types import CertificatePublicKeyTypes
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID, SignatureAlgorithmOID

from renewer import words
from renewer.model.desired import KeyFamily, KeyType
from renewer.model.facts import Leaf
from renewer.model.names import Identifier, IdentifierType

MAX_CHAIN_BYTES = 128 * 1024  # a leaf with a hundred names has 5 KiB; nobody sends more in good faith
MAX_CHAIN_LENGTH = 10
_SIGNATURES = frozenset(  # what OpenSSL can check, old ones too
    getattr(SignatureAlgorithmOID, name)
    for name in dir(SignatureAlgorithmOID)
    if name.startswith(("RSA", "ECDSA", "DSA", "ED"))
)
# A foreign certificate with such a number is shown like any other; nobody needs a warning on stderr
warnings.filterwarnings("ignore", "Parsed a serial number which wasn't positive")
# Nothing in it can match in two ways: a block without an end must not be tried for ever
BLOCK = re.compile(rb"-----BEGIN ([^-\r\n]*)-----\s([A-Za-z0-9+/=\s]*)-----END \1-----")


def certificates_in(text: bytes) -> tuple[bytes, ...]:
    """The certificates in a file of PEM blocks, each as it stands there."""
    return tuple(one[0] + b"\n" for one in BLOCK.finditer(text) if one[1] == b"CERTIFICATE")


def pem(der: bytes) -> bytes:
    """A certificate as PEM, from DER. Raises ValueError."""
    return _loaded_der(der).public_bytes(Encoding.PEM)


def spki(pem: bytes) -> str:
    """What tells the key of a leaf from others: SHA-256 of its public half (SPKI), in hex.

    Raises ValueError if the key is of a kind that nobody here knows.
    """
    try:
        return fingerprint_of(loaded(pem)[0].public_key())
    except UnsupportedAlgorithm as error:
        raise ValueError(f"its key cannot be read: {error}") from None


def tlsa(pem: bytes) -> frozenset[tuple[int, int, str]]:
    """All that a TLSA record can say of a certificate: selector, matching type, data in hex (RFC 6698 §2.1).

    Raises ValueError.
    """
    certificate = loaded(pem)[0]
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


def fingerprint_of(key: CertificatePublicKeyTypes) -> str:
    """SHA-256 of a public key (SPKI), in hex."""
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

    leaf_one, *rest = loaded(fullchain)
    trusted = [_loaded_der(one) for one in roots]
    anything = ExtensionPolicy.permit_all()
    builder = PolicyBuilder().store(Store(trusted)).time(now.astimezone(UTC).replace(tzinfo=None))
    authority = anything.require_present(x509.BasicConstraints, Criticality.AGNOSTIC, None)
    verifier = builder.extension_policies(ca_policy=authority, ee_policy=anything).build_client_verifier()
    try:
        verifier.verify(leaf_one, rest)
    except VerificationError as error:
        return str(error).partition("(encountered")[0].removeprefix("validation failed: ").strip()
    return ""


def split_chain(pem: bytes) -> tuple[bytes, ...]:
    """The certificates of a chain, leaf first, each as clean PEM of our own writing.

    Reads as strictly as RFC 8555 §9.1 asks: blocks of CERTIFICATE and nothing else between them, at least
    one, at most ten.
    """
    return tuple(certificate.public_bytes(Encoding.PEM) for certificate in loaded(pem))


def put_in_order(key: str, text: bytes) -> tuple[bytes, ...]:
    """The chain of a key out of what an authority sent, leaf first, each as clean PEM of our own writing.

    `key` is what `key_fingerprint` or `spki` say of it.

    Forgives what means the same: text around the blocks, byte order marks, line ends, doubles, another order,
    certificates that belong to no chain of this leaf. Raises ValueError if no certificate fits the key, or
    if none of several others issued it.
    """
    if len(text) > MAX_CHAIN_BYTES:
        raise ValueError(f"the chain has {len(text)} bytes; more than {MAX_CHAIN_BYTES} are not believed")
    blocks = [block[0] for block in BLOCK.finditer(text) if block[1] == b"CERTIFICATE"]
    found = list(dict.fromkeys(loaded(block)[0] for block in blocks))
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
    return _facts(loaded(pem)[0])


def der(pem: bytes) -> bytes:
    """The first certificate of a PEM as DER."""
    return loaded(pem)[0].public_bytes(Encoding.DER)


def leaf_from_der(der: bytes) -> Leaf:
    """What a certificate says of itself, as a TLS handshake hands it over."""
    return _facts(_loaded_der(der))


def family_of_der(der: bytes) -> KeyFamily | None:
    """What kind of key a certificate has; None if that cannot be read, or is neither ECDSA nor RSA."""
    try:
        key = _public_key(_loaded_der(der))
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
    return next((why for one in loaded(pem) if (why := _unfamiliar(one))), None)


def unfamiliar_der(der: bytes) -> str | None:
    """As `unfamiliar`, for one certificate as a TLS handshake hands it over."""
    return _unfamiliar(_loaded_der(der))


def _unfamiliar(certificate: x509.Certificate) -> str | None:
    kind = certificate.signature_algorithm_oid
    if kind in _SIGNATURES:
        return None
    return f"its signature is of a kind ({kind.dotted_string}) that this program cannot read"


def in_order(chain: Sequence[bytes]) -> bool:
    """Whether each certificate (one PEM each) was issued by the next, by names and by signature.

    That is the order servers must send (RFC 5246 §7.4.2); a root at the end is no fault.
    """
    certificates = [loaded(pem)[0] for pem in chain]
    return bool(certificates) and all(map(_issued_by, certificates, certificates[1:]))


def unfit(pem: bytes) -> str | None:
    """Why clients refuse a leaf whatever its chain, as a sentence; None if they do not.

    Not all of them refuse an authority's certificate as a leaf, but browsers do (RFC 5280 §4.2.1.9).
    """
    extensions = loaded(pem)[0].extensions
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
    chain = loaded(pem)
    return max(one.not_valid_before_utc for one in chain), min(one.not_valid_after_utc for one in chain)


def leads_to(pem: bytes, root: str) -> bool:
    """Whether a chain ends below (or with) the root of this common name, as `chain` in the config asks."""
    last = loaded(pem)[-1]
    try:
        return root in (_common_name(last.issuer), _common_name(last.subject))
    except (ValueError, TypeError) as error:
        raise ValueError(f"the chain's last certificate cannot be read: {error}") from None


def ari_id(key_identifier: bytes, serial: int) -> str:
    """The certificate's name at the authority's renewalInfo (RFC 9773 §4.1).

    base64url without padding of the authority's keyIdentifier, a dot, and of the serial's DER bytes, which
    begin with 00 when the first bit of the number is set.
    """
    octets = serial.to_bytes(serial.bit_length() // 8 + 1, "big")
    return f"{_base64url(key_identifier)}.{_base64url(octets)}"


def _loaded_der(der: bytes) -> x509.Certificate:
    try:
        return x509.load_der_x509_certificate(der)
    except (ValueError, TypeError, x509.InvalidVersion) as error:
        raise ValueError(f"the certificate cannot be read: {error}") from None


def loaded(pem: bytes) -> list[x509.Certificate]:
    """The certificates of a PEM, as strictly as `split_chain` reads. Raises ValueError."""
    if len(pem) > MAX_CHAIN_BYTES:
        raise ValueError(f"the chain has {len(pem)} bytes; more than {MAX_CHAIN_BYTES} are not believed")
    certificates: list[x509.Certificate] = []
    end = 0
    for block in BLOCK.finditer(pem):
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
        certificates.append(_loaded_der(der))
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
        return key_type_of(certificate.public_key())
    except UnsupportedAlgorithm:
        return None  # a foreign certificate with a curve that is not ours


def key_type_of(key: object) -> KeyType | None:
    """What kind of key a public key belongs to; None if no certificate of ours can have it."""
    if isinstance(key, ec.EllipticCurvePublicKey):
        return next((kind for kind in KeyType if _name(parameters(kind)) == key.curve.name), None)
    if isinstance(key, rsa.RSAPublicKey):
        return next((kind for kind in KeyType if parameters(kind) == key.key_size), None)
    return None


def parameters(kind: KeyType) -> ec.EllipticCurve | int:
    """What such a key is made from: its curve, or for RSA its size in bits."""
    match kind:
        case KeyType.ECDSA_P256:
            return ec.SECP256R1()
        case KeyType.ECDSA_P384:
            return ec.SECP384R1()
        case KeyType.RSA_2048:
            return 2048
        case KeyType.RSA_3072:
            return 3072
        case KeyType.RSA_4096:
            return 4096


def _name(curve: ec.EllipticCurve | int) -> str:
    return "" if isinstance(curve, int) else curve.name


def _key_of(certificate: x509.Certificate) -> str:
    key = _public_key(certificate)
    return fingerprint_of(key) if key is not None else ""


def _public_key(certificate: x509.Certificate) -> CertificatePublicKeyTypes | None:
    try:
        return certificate.public_key()
    except (UnsupportedAlgorithm, ValueError):
        return None  # no key of ours is of that kind


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
