"""Which zone a name lies in, and which servers that zone has: by SOA and NS, never above the name."""

from functools import partial
from typing import NamedTuple

import dns.flags
import dns.message
import dns.name
import dns.rdatatype
import dns.rrset

from renewer.dns.ask import Server, Silence
from renewer.dns.eyes import Eyes, records, said, text
from renewer.dns.together import together

MAX_HOSTS = 13  # name servers of one zone
MAX_SERVERS = 26  # their addresses
_ADDRESSES = (dns.rdatatype.A, dns.rdatatype.AAAA)


class Zone(NamedTuple):
    """A zone and every address of its name servers; `without_address` are those that have none."""

    name: dns.name.Name
    servers: tuple[Server, ...]
    without_address: tuple[str, ...]


class Cuts:
    """Finds zones, each once."""

    def __init__(self, eyes: Eyes) -> None:
        self._eyes = eyes

    def zone_of(self, name: dns.name.Name) -> Zone | str:
        """The zone of a name as the resolver sees it, or why there is none.

        If the resolver fails for the name itself, the next zone above that works: its servers will refer to
        the one below, and then those that it names can be asked.
        """
        return self._eyes.once.get(("zone", name), lambda: self._zone_of(name))

    def referred(self, answer: dns.message.Message, name: dns.name.Name, above: dns.name.Name) -> Zone | None:
        """The zone below that a server refers to, if the name can lie there; anything else is a lie."""
        if answer.flags & dns.flags.AA:
            return None
        for one in answer.authority:
            below = one.name != above and one.name.is_subdomain(above)
            if one.rdtype == dns.rdatatype.NS and below and name.is_subdomain(one.name):
                known = {
                    extra.name: [record.address for record in extra]
                    for extra in answer.additional
                    if extra.rdtype in _ADDRESSES
                }
                return self._eyes.once.get(("cut", one.name), partial(self._zone, one, known))
        return None

    def _zone_of(self, name: dns.name.Name) -> Zone | str:
        candidate, troubled = name, ""
        while candidate != dns.name.root:
            answer = self._eyes.resolve(candidate, dns.rdatatype.SOA)
            if isinstance(answer, Silence):
                return f"{text(candidate)}: the resolver {answer.why}"
            if trouble := said(answer):
                troubled = troubled or f"{text(candidate)}: the resolver {trouble}"
            elif (apex := _apex(answer, candidate)) is not None:
                return self._with_servers(apex) or troubled or f"{text(apex)} has no name servers"
            candidate = candidate.parent()
        return troubled or f"no DNS zone was found for {text(name)}"

    def _with_servers(self, apex: dns.name.Name) -> Zone | None:
        answer = self._eyes.resolve(apex, dns.rdatatype.NS)
        for one in records(answer, apex, dns.rdatatype.NS):
            return self._zone(one, {})
        return None

    def _zone(self, found: dns.rrset.RRset, known: dict[dns.name.Name, list[str]]) -> Zone:
        hosts = sorted({record.target for record in found})[:MAX_HOSTS]
        asked = {
            (host, kind): partial(self._eyes.resolve, host, kind)
            for kind in _ADDRESSES
            for host in hosts
            if host not in known
        }
        answers = together(asked, self._eyes.deadline, workers=8)
        addresses = {host: list(known.get(host, ())) for host in hosts}
        for (host, kind), answer in answers.items():
            addresses[host] += [one.address for found in records(answer, host, kind) for one in found]
        servers = [
            Server(name=text(host), address=address, port=self._eyes.port)
            for host in hosts
            for address in dict.fromkeys(addresses[host])
        ]
        without = tuple(text(host) for host in hosts if not addresses[host])
        return Zone(found.name, tuple(servers[:MAX_SERVERS]), without)


def _apex(answer: dns.message.Message, name: dns.name.Name) -> dns.name.Name | None:
    """Where the zone begins: at the name, or at the owner of the SOA in a denial (RFC 2308 §3)."""
    if any(one.rdtype == dns.rdatatype.SOA and one.name == name for one in answer.answer):
        return name
    if answer.answer:
        return None  # of an alias, whose SOA would be that of its target
    for one in answer.authority:
        if one.rdtype == dns.rdatatype.SOA and name.is_subdomain(one.name) and one.name != dns.name.root:
            return one.name
    return None
