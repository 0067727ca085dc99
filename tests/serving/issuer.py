"""Chains as an authority could issue them, good ones and bad ones."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Self

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from renewer.store.contract import Material

Key = Any
"""A private key of any kind that cryptography knows."""

DAY = timedelta(days=1)


def now() -> datetime:
    """The real time, to the second, as certificates tell it."""
    return datetime.now(UTC).replace(microsecond=0)


@dataclass(frozen=True)
class Signer:
    """A certificate that signs others, with its key; `above` are those between it and the root."""

    certificate: x509.Certificate
    key: Key
    above: tuple[x509.Certificate, ...] = ()

    @classmethod
    def root(cls, name: str = "test root", key: Key | None = None, **more: Any) -> Self:
        """A self-signed one."""
        key = key or ec.generate_private_key(ec.SECP256R1())
        return cls(_build(_name(name), _name(name), key, key, ca=True, **more), key)

    def intermediate(self, name: str = "test intermediate", key: Key | None = None, **more: Any) -> "Signer":
        """One below this one."""
        key = key or ec.generate_private_key(ec.SECP256R1())
        made = _build(_name(name), self.certificate.subject, key, self.key, ca=True, **more)
        below_root = self.certificate.subject == self.certificate.issuer
        return Signer(made, key, () if below_root else (self.certificate, *self.above))

    def issue(self, *names: str, key: Key | None = None, chain: bool = True, **more: Any) -> Material:
        """Key and chain of a leaf for these names; without `chain` the leaf alone."""
        key = key or ec.generate_private_key(ec.SECP256R1())
        leaf = _build(x509.Name([]), self.certificate.subject, key, self.key, names=names, **more)
        rest: Sequence[x509.Certificate] = ()
        if chain and self.certificate.subject != self.certificate.issuer:
            rest = (self.certificate, *self.above)
        return Material(privkey=pem_of(key), cert=_pem(leaf), chain=b"".join(map(_pem, rest)))

    def issue_root(self) -> bytes:
        """Its own certificate as PEM."""
        return _pem(self.certificate)

    def write(self, path: Path) -> Path:
        """Its certificate as a file of roots."""
        path.write_bytes(_pem(self.certificate))
        return path


def pem_of(key: Key) -> bytes:
    """A private key as PEM."""
    return bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _build(
    subject: x509.Name,
    issuer: x509.Name,
    key: Key,
    signing: Key,
    *,
    names: Sequence[str] = (),
    ca: bool = False,
    eku: Sequence[x509.ObjectIdentifier] | None = (ExtendedKeyUsageOID.SERVER_AUTH,),
    age: timedelta = DAY,
    lifetime: timedelta = 90 * DAY,
    extensions: Sequence[tuple[x509.ExtensionType, bool]] = (),
    at: datetime | None = None,
) -> x509.Certificate:
    start = (at or now()) - age
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(start + lifetime)
        .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(signing.public_key()), critical=False
        )
    )
    if names:
        builder = builder.add_extension(
            x509.SubjectAlternativeName([x509.DNSName(name) for name in names]), critical=True
        )
        if eku:
            builder = builder.add_extension(x509.ExtendedKeyUsage(list(eku)), critical=False)
    for extension, critical in extensions:
        builder = builder.add_extension(extension, critical=critical)
    plain = isinstance(signing, ed25519.Ed25519PrivateKey)
    return builder.sign(signing, None if plain else hashes.SHA256())
