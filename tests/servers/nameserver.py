"""What the name servers of the test bed have in common: zones, keys, and looks at what they serve."""

import base64
import os
import pwd
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field

import dns.flags
import dns.message
import dns.name
import dns.query
import dns.rdatatype
import dns.zone

NEGATIVE_TTL = 300  # seconds: who hears too early that a name is not there knows nothing better in any test


@dataclass(frozen=True, slots=True)
class Key:
    """A TSIG key; the secret is base64."""

    name: str = "acme"
    algorithm: str = "hmac-sha256"
    secret: str = field(default_factory=lambda: base64.b64encode(secrets.token_bytes(32)).decode())


@dataclass(frozen=True, slots=True)
class Zone:
    """A primary zone: addresses of its name servers, further lines of its file, keys that may change it.

    `notify` are (address, port) of secondaries that are told of changes.
    """

    name: str
    servers: Sequence[str] = ("127.0.0.1",)
    records: Sequence[str] = ()
    keys: Sequence[str] = ("acme",)
    notify: Sequence[tuple[str, int]] = ()


def zone_file(zone: Zone) -> str:
    """The zone as a file: SOA, name servers, an address for the apex and all other names, its records."""
    lines = [
        "$TTL 300",
        f"$ORIGIN {zone.name}.",
        f"@ SOA ns1 hostmaster 1 3600 600 86400 {NEGATIVE_TTL}",
        "@ A 127.0.0.1",
        "* A 127.0.0.1",
    ]
    for number, address in enumerate(zone.servers, 1):
        lines += [f"@ NS ns{number}", f"ns{number} {'AAAA' if ':' in address else 'A'} {address}"]
    return "\n".join((*lines, *zone.records, ""))


def named_user() -> str:
    """The user that a name server started by root gives its rights up to; "" if we are not root."""
    if os.geteuid() != 0:
        return ""
    return pwd.getpwnam("nobody").pw_name


def txt_at(address: str, port: int, name: str) -> set[str]:
    """The TXT values that a server has at a name, in its own words."""
    query = dns.message.make_query(name, dns.rdatatype.TXT)
    query.flags &= ~dns.flags.RD
    answer, _ = dns.query.udp_with_fallback(query, address, port=port, timeout=30)
    return {
        b"".join(record.strings).decode()
        for one in answer.answer
        if one.rdtype == dns.rdatatype.TXT
        for record in one
    }


def all_txt(address: str, port: int, zone: str) -> set[tuple[str, str]]:
    """Every TXT record of a zone as (name, value), by a transfer of the whole."""
    messages = dns.query.xfr(address, zone, port=port, timeout=30, relativize=False)
    found = dns.zone.from_xfr(messages, relativize=False)
    return {
        (name.to_text(omit_final_dot=True), record.to_text().strip('"'))
        for name, _, record in found.iterate_rdatas(dns.rdatatype.TXT)
    }
