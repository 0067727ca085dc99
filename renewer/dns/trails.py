"""A name followed to the end of its aliases, every server of every zone on the way asked for itself."""

from functools import partial

import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdatatype

from renewer.dns.ask import Answer, Server, Silence
from renewer.dns.cuts import Cuts, Zone
from renewer.dns.eyes import Eyes, said, text
from renewer.dns.together import together
from renewer.model.inspection import Hop, Said, Trail
from renewer.proc import printable

MAX_ALIASES = 10  # resolvers give longer chains up, too (BIND follows 16, Unbound 11)
MAX_CUTS = 8  # zones below each other on the way to one name
MAX_VALUES = 16  # of one kind that are looked at
MAX_TEXT = 300  # characters of a TXT value

HOST = (dns.rdatatype.A, dns.rdatatype.AAAA, dns.rdatatype.CAA)
PROOF = (dns.rdatatype.TXT,)
Kinds = tuple[dns.rdatatype.RdataType, ...]


class Trails:
    """Follows names."""

    def __init__(self, eyes: Eyes, cuts: Cuts) -> None:
        self._eyes = eyes
        self._cuts = cuts
        self.zones: dict[str, Zone] = {}  # those met

    def host(self, name: str) -> Trail:
        """A host name: its addresses, and whether its servers answer for CAA."""
        return self._start(name, HOST, quietly=False)

    def proof(self, name: str) -> Trail:
        """The name of a challenge's record. No resolver hears of it: it would remember that nothing is there
        (RFC 2308 §5), and the authority may ask the same one.
        """  # noqa: D205  one thought
        return self._start(name, PROOF, quietly=True)

    def _start(self, name: str, kinds: Kinds, *, quietly: bool) -> Trail:
        try:
            return self._follow(dns.name.from_text(name), kinds, quietly=quietly)
        except dns.exception.DNSException as error:  # too long, with the challenge's label before it
            return Trail(asked=name, hops=(Hop(name=name),), trouble=f"it is no name in DNS: {error}")

    def _follow(self, name: dns.name.Name, kinds: Kinds, *, quietly: bool) -> Trail:
        asked, hops, seen = text(name), list[Hop](), {name}
        while True:
            zone = self._cuts.zone_of(name.parent() if quietly else name)
            if isinstance(zone, str):
                return Trail(asked=asked, hops=(*hops, Hop(name=text(name))), trouble=zone)
            hop, alias = self._look(name, zone, kinds)
            hops.append(hop)
            if alias is None:
                return Trail(asked=asked, hops=tuple(hops))
            if alias in seen or len(alias) < 2:
                return Trail(asked=asked, hops=(*hops, Hop(name=text(alias))), loop=alias in seen)
            if len(hops) > MAX_ALIASES:
                return Trail(asked=asked, hops=tuple(hops), trouble="the chain of aliases has no end")
            seen.add(alias)
            name = alias

    def _look(self, name: dns.name.Name, zone: Zone, kinds: Kinds) -> tuple[Hop, dns.name.Name | None]:
        """One name at all servers of its zone, or of the zone below that they refer to."""
        for _ in range(MAX_CUTS):
            self.zones[text(zone.name)] = zone
            work = {server: partial(self._server, server, name, zone, kinds) for server in zone.servers}
            heard = together(work, self._eyes.deadline, workers=8)
            deeper = next((one for _, one, _ in heard.values() if one is not None), None)
            if deeper is None or deeper.name == zone.name:
                break
            zone = deeper
        late = "there was no time left to ask"
        told = [
            heard[server][0] if server in heard else Said(server=str(server), trouble=late)
            for server in zone.servers
        ]
        hop = Hop(
            name=text(name), zone=text(zone.name), said=tuple(told), without_address=zone.without_address
        )
        return hop, next((alias for _, _, alias in heard.values() if alias is not None), None)

    def _server(
        self, server: Server, name: dns.name.Name, zone: Zone, kinds: Kinds
    ) -> tuple[Said, Zone | None, dns.name.Name | None]:
        """What one server says; the zone below that it refers to; what the name is an alias of."""
        soa = self._eyes.ask(server, zone.name, dns.rdatatype.SOA)
        if isinstance(soa, Silence):
            return Said(server=str(server), trouble=soa.why, no_route=soa.no_route), None, None
        serial = _serial(soa, zone.name)
        if serial is None:
            why = said(soa) or "is not responsible"
            return Said(server=str(server), trouble=f"does not serve the zone: it {why}"), None, None
        answers = {kind: self._eyes.ask(server, name, kind) for kind in kinds}
        for answer in answers.values():
            if not isinstance(answer, Silence) and (deeper := self._cuts.referred(answer, name, zone.name)):
                return Said(server=str(server), serial=serial), deeper, None
        alias = next((one for answer in answers.values() if (one := _alias(answer, name))), None)
        return _told(server, name, answers, serial, alias), None, alias


def _told(
    server: Server,
    name: dns.name.Name,
    answers: dict[dns.rdatatype.RdataType, Answer],
    serial: int,
    alias: dns.name.Name | None,
) -> Said:
    usable = [one for one in answers.values() if not isinstance(one, Silence) and not said(one)]
    refused = [dns.rdatatype.to_text(kind) for kind, one in answers.items() if said(one)]
    if not usable:
        return Said(server=str(server), trouble=said(next(iter(answers.values()))), serial=serial)
    found = [one for answer in usable for one in answer.answer if one.name == name]
    return Said(
        server=str(server),
        serial=serial,
        exists=all(answer.rcode() != dns.rcode.NXDOMAIN for answer in usable) or alias is not None,
        alias=text(alias) if alias else "",
        addresses=tuple(
            sorted(
                {
                    record.address
                    for one in found
                    if one.rdtype in (dns.rdatatype.A, dns.rdatatype.AAAA)
                    for record in one
                }
            )[:MAX_VALUES]
        ),
        texts=tuple(
            sorted(
                printable(b"".join(record.strings))[:MAX_TEXT]
                for one in found
                if one.rdtype == dns.rdatatype.TXT
                for record in one
            )[:MAX_VALUES]
        ),
        refused=tuple(refused),
    )


def _serial(answer: dns.message.Message, zone: dns.name.Name) -> int | None:
    """The zone's serial, if the server answers for it with authority."""
    if not answer.flags & dns.flags.AA:
        return None
    for one in answer.answer:
        if one.rdtype == dns.rdatatype.SOA and one.name == zone:
            return int(one[0].serial)
    return None


def _alias(answer: Answer, name: dns.name.Name) -> dns.name.Name | None:
    if isinstance(answer, Silence):
        return None
    for one in answer.answer:
        if one.rdtype == dns.rdatatype.CNAME and one.name == name:
            target: dns.name.Name = one[0].target
            return target
    return None
