"""Whether a zone's DNSSEC holds, from the parent's DS down (RFC 4035 §5).

Authorities validate: a zone that does not hold together cannot be renewed anywhere. Two witnesses are heard:
our resolver, asked with and without checking, and our own arithmetic at every server of the zone.
"""

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from functools import partial
from typing import NamedTuple

import dns.dnssec
import dns.exception
import dns.flags
import dns.name
import dns.rcode
import dns.rdatatype
import dns.rrset

from renewer import clock, words
from renewer.model.inspection import SignatureFault, Signed
from renewer.network.dns.ask import Answer, NameServer, Silence, has_authority, records, said, text
from renewer.network.dns.resolvers import Lookups
from renewer.network.dns.zones import Zone
from renewer.threads import together

MAX_KEYS = 16  # of a zone; more is an attempt to keep validators busy (CVE-2023-50387)


class _Seen(NamedTuple):
    """What one server's answers came to."""

    keys: int
    fault: tuple[str, str] | None = None
    ends: datetime | None = None


def signed(lookups: Lookups, zone: Zone, name: str) -> Signed:
    """The DNSSEC of a zone; `name` is one in it that is asked for, to see whether the resolver refuses it."""
    host = dns.name.from_text(name)
    ds = _rrset(lookups.resolve(zone.name, dns.rdatatype.DS), zone.name, dns.rdatatype.DS)
    work = {server: partial(_at, lookups, server, zone.name, ds) for server in zone.servers}
    seen = together(work, lookups.deadline, workers=8)
    return Signed(
        zone=text(zone.name),
        ds=len(ds or ()),
        keys=max((one.keys for one in seen.values()), default=0),
        refused_from=_refused_from(lookups, host),
        faults=tuple(_faults(seen)),
        ends=min((one.ends for one in seen.values() if one.ends), default=None),
    )


def _refused_from(lookups: Lookups, name: dns.name.Name) -> str:
    """The highest name that the resolver answers for only when told not to check; "" if there is none."""
    refused, current = "", name
    kind = dns.rdatatype.A
    while current != dns.name.root:
        checked = lookups.resolve(current, kind, check=True)
        if isinstance(checked, Silence) or checked.rcode() != dns.rcode.SERVFAIL:
            break
        if said(lookups.resolve(current, kind)):
            break  # it fails in any case: not for DNSSEC
        refused, current, kind = text(current), current.parent(), dns.rdatatype.SOA
    return refused


def _faults(seen: dict[NameServer, _Seen]) -> Iterator[SignatureFault]:
    """Each fault once, with the servers that show it."""
    for fault in dict.fromkeys(one.fault for one in seen.values() if one.fault):
        code, text = fault
        at = [str(server) for server, one in seen.items() if one.fault == fault]
        yield SignatureFault(code=code, text=f"{text} (at {words.several(at)})")


def _at(lookups: Lookups, server: NameServer, zone: dns.name.Name, ds: dns.rrset.RRset | None) -> _Seen:
    """The zone's keys and SOA at one server, held against the parent's DS."""
    answers = [lookups.ask(server, zone, kind) for kind in (dns.rdatatype.DNSKEY, dns.rdatatype.SOA)]
    if any(said(answer) for answer in answers) or not has_authority(answers[1]):
        return _Seen(0)  # told elsewhere: it does not answer for the zone
    keys = _rrset(answers[0], zone, dns.rdatatype.DNSKEY)
    ends = min((_moment(one.expiration) for answer in answers for one in _rrsigs(answer, zone)), default=None)
    if ds is None:
        return _Seen(len(keys or ()), None, ends)
    if keys is None:
        return _Seen(0, ("dnssec-no-keys", "the parent has DS records, but the zone has no DNSKEY"), ends)
    supported = [one for one in ds if _known(one)]
    if not supported:
        return _Seen(len(keys), None, ends)  # RFC 4035 §5.2: as good as not signed
    anchors = [key for key in list(keys)[:MAX_KEYS] if any(_belongs(zone, key, one) for one in supported)]
    if not anchors:
        tags = ", ".join(str(one.key_tag) for one in list(ds)[:4])
        words = f"no DNSKEY of the zone belongs to the DS at its parent (key tag {tags})"
        return _Seen(len(keys), ("dnssec-ds-mismatch", words), ends)
    fault = _check(keys, answers[0], zone, dns.rrset.from_rdata_list(zone, keys.ttl, anchors))
    soa = _rrset(answers[1], zone, dns.rdatatype.SOA)
    if fault is None and soa is not None:
        fault = _check(soa, answers[1], zone, keys)
    return _Seen(len(keys), fault, ends)


def _check(
    what: dns.rrset.RRset, answer: Answer, zone: dns.name.Name, keys: dns.rrset.RRset
) -> tuple[str, str] | None:
    """What is wrong with the signatures of a record set, or None."""
    kind = dns.rdatatype.to_text(what.rdtype)
    covering = [one for one in _rrsigs(answer, zone) if one.type_covered == what.rdtype]
    now = clock.now()
    if not covering:
        return "dnssec-unsigned", f"its {kind} is not signed although the parent has DS records"
    signatures = dns.rrset.from_rdata_list(zone, what.ttl, covering[:MAX_KEYS])
    try:
        dns.dnssec.validate(what, signatures, {zone: keys}, now=now.timestamp())
    except (dns.exception.DNSException, ValueError):
        last = max(_moment(one.expiration) for one in covering)
        if last < now:
            return "dnssec-expired", f"the signature of its {kind} expired on {last:%Y-%m-%d %H:%M:%SZ}"
        first = min(_moment(one.inception) for one in covering)
        if first > now:
            return (
                "dnssec-not-yet",
                f"the signature of its {kind} is valid only from {first:%Y-%m-%d %H:%MZ} on",
            )
        return "dnssec-bogus", f"the signature of its {kind} does not hold"
    return None


def _belongs(zone: dns.name.Name, key: dns.rdtypes.ANY.DNSKEY.DNSKEY, ds: dns.rdtypes.ANY.DS.DS) -> bool:
    if ds.algorithm != key.algorithm or ds.key_tag != dns.dnssec.key_id(key):
        return False
    try:
        return bool(dns.dnssec.make_ds(zone, key, ds.digest_type, validating=True) == ds)
    except (dns.exception.DNSException, ValueError):
        return False


def _known(ds: dns.rdtypes.ANY.DS.DS) -> bool:
    """Whether validators of today know its digest (RFC 8624 §3.3) and its algorithm (§3.1)."""
    return ds.digest_type in (1, 2, 4) and ds.algorithm in (5, 7, 8, 10, 13, 14, 15, 16)


def _rrset(answer: Answer, name: dns.name.Name, kind: dns.rdatatype.RdataType) -> dns.rrset.RRset | None:
    return next((one for one in records(answer, name, kind) if one.name == name), None)


def _rrsigs(answer: Answer, name: dns.name.Name) -> Iterable[dns.rdtypes.ANY.RRSIG.RRSIG]:
    for one in records(answer, name, dns.rdatatype.RRSIG):
        yield from one


def _moment(seconds: int) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
