"""Signs what it is told: roots, an intermediate of each, and leaves of CSRs."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

_WHILE = timedelta(days=3650)  # on both sides of today: tests live in other years


@dataclass
class Shape:
    """What leaves look like; change it, and later ones do."""

    is_ca: bool = False
    usages: Sequence[x509.ObjectIdentifier] = (ExtendedKeyUsageOID.SERVER_AUTH,)
    backdated: timedelta = timedelta(hours=1)
    """How long before the moment of signing notBefore lies; notAfter is counted from notBefore."""
    names: Sequence[str] | None = None
    """Names in the place of those of the CSR."""


@dataclass
class Signer:
    """Signs leaves; `alternates` more roots have signed the same intermediate."""

    alternates: int = 1
    shape: Shape = field(default_factory=Shape)

    def __post_init__(self) -> None:
        """Make all keys; takes some milliseconds."""
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = _named("Bendable Intermediate")
        made = [self._root(f"Bendable Root {number}") for number in range(1, self.alternates + 2)]
        self.roots = [root for root, _ in made]
        self.intermediates = [
            _sign(self._name, self._key.public_key(), root.subject, key, ca=True) for root, key in made
        ]

    def sign(
        self, csr: x509.CertificateSigningRequest, at: datetime, lifetime: timedelta
    ) -> x509.Certificate:
        """A leaf for the names and the key of a CSR."""
        names: x509.SubjectAlternativeName | None
        names = csr.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        if self.shape.names is not None:
            names = x509.SubjectAlternativeName([x509.DNSName(name) for name in self.shape.names])
        start = at.astimezone(UTC).replace(microsecond=0) - self.shape.backdated
        return _sign(
            x509.Name([]),
            csr.public_key(),
            self._name,
            self._key,
            ca=self.shape.is_ca,
            names=names,
            usages=self.shape.usages,
            start=start,
            end=start + lifetime - timedelta(seconds=1),  # RFC 5280: the second of notAfter belongs to it
        )

    def chain(self, leaf: x509.Certificate, root: int = 0) -> bytes:
        """PEM of leaf and intermediate, as they lead to that root."""
        return pem(leaf) + pem(self.intermediates[root])

    def _root(self, name: str) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
        key = ec.generate_private_key(ec.SECP256R1())
        return _sign(_named(name), key.public_key(), _named(name), key, ca=True), key


def pem(certificate: x509.Certificate) -> bytes:
    """One certificate as PEM."""
    return certificate.public_bytes(serialization.Encoding.PEM)


def _named(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _sign(  # a certificate has that many sides
    subject: x509.Name,
    public: object,
    issuer: x509.Name,
    key: ec.EllipticCurvePrivateKey,
    *,
    ca: bool,
    names: x509.SubjectAlternativeName | None = None,
    usages: Sequence[x509.ObjectIdentifier] = (),
    start: datetime | None = None,
    end: datetime | None = None,
) -> x509.Certificate:
    now = datetime.now(UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public)  # type: ignore[arg-type]
        .serial_number(x509.random_serial_number())
        .not_valid_before(start or now - _WHILE)
        .not_valid_after(end or now + _WHILE)
        .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)  # type: ignore[arg-type]
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(key.public_key()), critical=False)
        .add_extension(_key_usage(ca=ca), critical=True)
    )
    if names is not None:
        builder = builder.add_extension(names, critical=True)
    if usages:
        builder = builder.add_extension(x509.ExtendedKeyUsage(list(usages)), critical=False)
    return builder.sign(key, hashes.SHA256())


def _key_usage(*, ca: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not ca,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=ca,
        crl_sign=ca,
        encipher_only=False,
        decipher_only=False,
    )
