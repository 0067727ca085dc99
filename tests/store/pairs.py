"""Real pairs of key and certificate, and versions made of them."""

from datetime import UTC, datetime, timedelta
from functools import cache

from renewer import certs, x509
from renewer.model.desired import KeyType
from renewer.model.facts import Version
from renewer.model.names import Identifier
from renewer.store.contract import Material
from renewer.store.layout import version_id

NOW = datetime(2026, 11, 22, 9, 33, tzinfo=UTC)


@cache
def pair(number: int) -> tuple[Version, Material]:
    """The n-th version: the same one whenever it is asked for, each a minute younger than the one before."""
    at = NOW + timedelta(minutes=number)
    key = x509.new_key(KeyType.ECDSA_P256)
    cert = x509.placeholder([Identifier.parse("www.example.org")], key, at)
    chain = x509.placeholder([Identifier.parse("ca.example.org")], x509.new_key(KeyType.ECDSA_P256), at)
    leaf = certs.leaf(cert)
    version = Version(
        id=version_id(at, leaf.serial), made_at=at, leaf=leaf, authority="test", account="acct", profile=None
    )
    return version, Material(privkey=key, cert=cert, chain=chain)
