"""Identifiers (RFC 8555 §9.7.7: dns, RFC 8738: ip) and the names of certificates in the config."""

import re
from enum import StrEnum

from renewer.model.value import Value

CERTIFICATE_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
_LABEL = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?<!-)")
MAX_DNS_LENGTH = 253


class IdentifierType(StrEnum):
    """How an identifier is to be read."""

    DNS = "dns"
    IP = "ip"


class Identifier(Value, order=True):
    """A name or address that a certificate vouches for, normalised: make one by `parse`."""

    type: IdentifierType
    value: str

    @property
    def wildcard(self) -> bool:
        """Whether it stands for every name one label below (RFC 6125 §6.4.3)."""
        return self.value.startswith("*.")

    @property
    def base(self) -> str:
        """The name that is validated: without the wildcard's label (RFC 8555 §7.1.3)."""
        return self.value.removeprefix("*.")

    def covers(self, other: "Identifier") -> bool:
        """Whether a certificate for this identifier serves the other one."""
        if self == other:
            return True
        return (
            self.wildcard and other.type is IdentifierType.DNS and other.value.partition(".")[2] == self.base
        )

    def __str__(self) -> str:
        return self.value

    @classmethod
    def parse(cls, text: str) -> "Identifier":
        """Read a DNS name (IDN, any case, trailing dot, wildcard) or an IP address.

        Raises ValueError with a sentence for people if it is neither.
        """
        stripped = text.strip()
        if "%" in stripped and ":" in stripped:  # RFC 4007 §11: a zone means something on one host only
            raise ValueError(f"'{text}' is an address with a zone, which no certificate can have")
        if address := _ip_address(stripped.strip("[]")):
            return cls(type=IdentifierType.IP, value=address)
        return cls(type=IdentifierType.DNS, value=_dns_name(stripped))


def _ip_address(text: str) -> str | None:
    """An address in its short form; None if it is none, which most names show at a glance."""
    if ":" not in text and not text[-1:].isdigit():
        return None
    from ipaddress import ip_address

    try:
        return ip_address(text).compressed
    except ValueError:
        return None


def _dns_name(text: str) -> str:
    name = text.removesuffix(".")
    prefix = "*." if name.startswith("*.") else ""
    base = name[len(prefix) :]
    if not base.isascii():
        base = _to_a_labels(base)
    base = base.lower()
    labels = base.split(".")
    if not base or len(prefix + base) > MAX_DNS_LENGTH:
        raise ValueError(f"'{text}' is not a host name: it must have 1 to {MAX_DNS_LENGTH} characters")
    for label in labels:
        if not _LABEL.fullmatch(label):
            raise ValueError(
                f"'{text}' is not a host name: '{label}' must be 1 to 63 letters, digits or inner hyphens"
            )
    if len(labels) < 2 and prefix:
        raise ValueError(
            f"'{text}' is not a host name that a certificate can have: a wildcard needs two labels below"
        )
    if labels[-1].isdigit():
        raise ValueError(f"'{text}' is neither a host name nor a valid IP address")
    return prefix + base


def _to_a_labels(name: str) -> str:
    import idna  # RFC 5891; imported only for names that need it

    try:
        return idna.encode(name, uts46=True).decode("ascii")
    except idna.IDNAError as error:
        raise ValueError(f"'{name}' is not an international host name: {error}") from None
