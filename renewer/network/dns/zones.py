"""The one walk through zone cuts: a name followed to the end of its aliases, at the zones' own servers.

A solver takes the end of the trail, which is where its record has to lie: one answer of each zone is enough.
With `Lookups`, every server of every zone on the way is asked for itself, and what fails is in the trail.

Of a challenge's record no resolver hears: it would go on saying that the name does not exist after the record
is there (RFC 2308 §5), and the authority may ask the same one.
"""

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import NamedTuple

import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdatatype
import dns.rrset

from renewer import clock, words
from renewer.errors import GiveUp, RetryLater
from renewer.model.inspection import Hop, Said, Stop, Trail
from renewer.network.dns import messages
from renewer.network.dns.ask import (
    AUTHORITY,
    USUAL,
    Answer,
    NameServer,
    Question,
    Silence,
    ask,
    has_authority,
    records,
    said,
    text,
)
from renewer.network.dns.messages import RecordPlace
from renewer.network.dns.resolvers import LATE, MAX_VALUES, Lookups, Resolvers
from renewer.threads import Once, together

MAX_ALIASES = 10  # longer chains are given up by resolvers, too (BIND follows 16, Unbound 11)
MAX_CUTS = 8  # zones below each other on the way to one name
MAX_HOSTS = 13  # name servers of one zone
MAX_SERVERS = 26  # their addresses
MAX_TEXT = 300  # characters of a TXT value
LOOKUP_LIMIT = 30.0  # seconds for finding the place of one record
NOBODY = "_renewer-nobody-has-this-name"  # a label beside the record's: an alias there is a wildcard's
_TIMEOUTS = (0.7, 2.5)  # seconds for a server, in the first and the second round

Kinds = tuple[dns.rdatatype.RdataType, ...]
_ADDRESSES: Kinds = (dns.rdatatype.A, dns.rdatatype.AAAA)
_HOST: Kinds = (*_ADDRESSES, dns.rdatatype.CAA)


class Zone(NamedTuple):
    """A zone and every address of its name servers; `without_address` are those that have none."""

    name: dns.name.Name
    servers: tuple[NameServer, ...]
    without_address: tuple[str, ...]


class _Heard(NamedTuple):
    """What one server said; the zone below that the name really lies in; what the name is an alias of."""

    said: Said
    below: Zone | None = None
    alias: dns.name.Name | None = None


class _Step(NamedTuple):
    """One name of a trail, and where the next one is or why there is none."""

    hop: Hop
    alias: dns.name.Name | None = None
    stop: Stop | None = None
    trouble: str = ""


class Zones:
    """Finds zones, each once, and follows names through them; `port` is where name servers listen."""

    def __init__(self, resolvers: Resolvers, lookups: Lookups | None = None, *, port: int = 0) -> None:
        self.resolvers = resolvers
        self.met: dict[str, Zone] = {}
        self._lookups = lookups
        self._port = port
        self._once = Once()
        self._silent: set[NameServer] = set()

    def place(self, asked: str) -> RecordPlace:
        """Where the record belongs: the end of the trail, and the zone there.

        Raises GiveUp for a loop or a chain without end, RetryLater if nobody answers.
        """
        return self._once.get(("place", asked), lambda: _end(asked, self.record(asked)))

    def servers(self, zone: str) -> tuple[NameServer, ...]:
        """Every address of every name server of a zone. Raises RetryLater or GiveUp if there is none."""
        found = self.met.get(zone) or self._zone(dns.name.from_text(zone))
        if not found.servers:
            raise RetryLater(
                f"the zone {zone} has no name server with an address "
                f"(servers: {', '.join(found.without_address) or 'none'})",
                hint="mend the zone's NS records, or name resolvers that know it",
                kind="dns",
            )
        return found.servers

    def host(self, name: str) -> Trail:
        """A host name: its addresses, and whether its servers answer for CAA."""
        return self._follow(name, _HOST, record=False)

    def record(self, name: str) -> Trail:
        """The name of a challenge's record; an alias that only a wildcard makes up is not followed.

        Without `Lookups` raises RetryLater if nobody answers.
        """
        kind = dns.rdatatype.CNAME if self._lookups is None else dns.rdatatype.TXT
        return self._follow(name, (kind,), record=True)

    # --- the walk -------------------------------------------------------------------------------------------

    def _follow(self, asked: str, kinds: Kinds, *, record: bool) -> Trail:
        try:
            name = dns.name.from_text(asked)
        except dns.exception.DNSException as error:  # too long, with the challenge's label before it
            trouble = f"it is no name in DNS: {error}"
            return Trail(asked=asked, hops=(Hop(name=asked),), stop=Stop.NO_NAME, trouble=trouble)
        deadline = self._lookups.deadline if self._lookups else clock.monotonic() + LOOKUP_LIMIT
        hops, seen = list[Hop](), [name]
        while True:
            step = self._step(name, kinds, deadline, record=record)
            hops.append(step.hop)
            if step.alias in seen:
                step = _Step(Hop(name=text(step.alias)), stop=Stop.CIRCLE)
                hops.append(step.hop)
            elif step.alias is not None and len(hops) > MAX_ALIASES:
                step = _Step(step.hop, stop=Stop.ENDLESS, trouble="the chain of aliases has no end")
            if step.alias is None:
                return Trail(asked=text(seen[0]), hops=tuple(hops), stop=step.stop, trouble=step.trouble)
            name = step.alias
            seen.append(name)

    def _step(self, name: dns.name.Name, kinds: Kinds, deadline: float, *, record: bool) -> _Step:
        """One name: the zone that it lies in, what is said there, and what it is an alias of."""
        above = name.parent() if record and name != dns.name.root else name
        if above == dns.name.root:
            return _Step(Hop(name=text(name)), stop=Stop.NO_NAME)
        found = self._zone_of(above)
        if isinstance(found, str):
            return _Step(Hop(name=text(name)), stop=Stop.NO_ZONE, trouble=found)
        zone, heard = self._descend(name, found, kinds, deadline)
        alias = next((one.alias for one in heard if one.alias is not None), None)
        wildcard = record and alias is not None and self._by_wildcard(zone, name, kinds, alias, deadline)
        if not heard and self._lookups is None:  # this host may not ask the servers themselves
            alias = _alias(self._resolve(Question(name, dns.rdatatype.CNAME)), name)
        hop = Hop(
            name=text(name),
            zone=text(zone.name),
            said=tuple(one.said for one in heard),
            without_address=zone.without_address,
            wildcard=text(alias) if wildcard and alias else "",
        )
        if any(one.below for one in heard):
            return _Step(hop, stop=Stop.TOO_DEEP, trouble=f"there are too many zones above {hop.name}")
        return _Step(hop, None if wildcard else alias)

    def _descend(
        self, name: dns.name.Name, zone: Zone, kinds: Kinds, deadline: float
    ) -> tuple[Zone, Sequence[_Heard]]:
        """Down to the zone that no server refers away from, and what is said there."""
        heard: Sequence[_Heard] = ()
        for _ in range(MAX_CUTS):
            self.met[text(zone.name)] = zone
            heard = self._hear(name, zone, kinds, deadline)
            below = next((one.below for one in heard if one.below is not None), None)
            if below is None:
                break
            zone = below
        return zone, heard

    def _hear(self, name: dns.name.Name, zone: Zone, kinds: Kinds, deadline: float) -> Sequence[_Heard]:
        """What every server says; without `Lookups`, the first one that settles the matter, or nobody."""
        lookups = self._lookups
        if lookups is not None:
            work = {one: partial(self._at, lookups, one, name, zone, kinds) for one in zone.servers}
            heard = together(work, deadline, workers=8)
            return [heard.get(one) or _Heard(_silent(one, LATE)) for one in zone.servers]
        for server, answer in self._answers(zone, Question(name, kinds[0]), deadline):
            alias = _alias(answer, name)
            below = self._below(answer, name, zone.name) if alias is None else None
            if alias is not None or below is not None or has_authority(answer):
                return [_Heard(Said(server=str(server), alias=text(alias) if alias else ""), below, alias)]
        return []

    def _at(
        self, lookups: Lookups, server: NameServer, name: dns.name.Name, zone: Zone, kinds: Kinds
    ) -> _Heard:
        """One server: whether it serves the zone at all, and what it says of the name."""
        soa = lookups.ask(server, zone.name, dns.rdatatype.SOA)
        if isinstance(soa, Silence):
            return _Heard(_silent(server, soa))
        serial = _serial(soa, zone.name)
        if serial is None:
            why = said(soa) or "is not responsible"
            return _Heard(Said(server=str(server), trouble=f"does not serve the zone: it {why}"))
        answers = {kind: lookups.ask(server, name, kind) for kind in kinds}
        alias = next((one for answer in answers.values() if (one := _alias(answer, name))), None)
        if alias is None:
            for answer in answers.values():
                if below := self._below(answer, name, zone.name):
                    return _Heard(Said(server=str(server), serial=serial), below)
        return _Heard(_told(server, name, answers, serial, alias), alias=alias)

    def _answers(
        self, zone: Zone, question: Question, deadline: float
    ) -> Iterator[tuple[NameServer, dns.message.Message]]:
        """What the zone's servers say, one after the other; those that were silent before come last."""
        servers = sorted(self.servers(text(zone.name)), key=lambda one: one in self._silent)
        for timeout in _TIMEOUTS:
            for server in servers:
                left = deadline - clock.monotonic()
                if left <= 0:
                    return
                answer = ask(server, [question], flags=AUTHORITY, timeout=min(left, timeout))[question]
                if isinstance(answer, Silence):
                    self._silent.add(server)
                elif answer.rcode() in USUAL:
                    yield server, answer

    def _by_wildcard(
        self, zone: Zone, name: dns.name.Name, kinds: Kinds, alias: dns.name.Name, deadline: float
    ) -> bool:
        """Whether a wildcard made it up: then it goes when the name has a record (RFC 4592 §2.2.1)."""
        try:
            sibling = dns.name.Name((NOBODY.encode(), *name.labels[1:]))
        except dns.name.NameTooLong:
            return False
        answers = self._answers(zone, Question(sibling, kinds[0]), deadline)
        return next((_alias(answer, sibling) for _, answer in answers), None) == alias

    # --- zones ----------------------------------------------------------------------------------------------

    def _resolve(self, question: Question) -> Answer:
        if self._lookups is None:
            return self.resolvers.ask([question])[question]
        return self._lookups.resolve(question.name, question.type)

    def _zone_of(self, name: dns.name.Name) -> Zone | str:
        """The zone of a name as the resolver sees it (RFC 1035 §3.3.13: SOA), or why there is none.

        With `Lookups`, if the resolver fails for the name itself, the next zone above that works: its servers
        will refer to the one below, and then those that it names can be asked.
        """
        return self._once.get(("zone of", name), lambda: self._find_zone(name))

    def _find_zone(self, name: dns.name.Name) -> Zone | str:
        candidate, troubled = name, ""
        while candidate != dns.name.root:
            answer = self._resolve(Question(candidate, dns.rdatatype.SOA))
            if trouble := said(answer):
                troubled = troubled or f"{text(candidate)}: the resolver {trouble}"
                if isinstance(answer, Silence):
                    return troubled
            elif (apex := _apex(answer, candidate)) is not None:
                zone = self._zone(apex)
                if self._lookups is None or zone.servers or zone.without_address:
                    return zone
                return troubled or f"{text(apex)} has no name servers"
            candidate = candidate.parent()
        return troubled or f"no DNS zone was found for {text(name)}"

    def _zone(self, name: dns.name.Name) -> Zone:
        """A zone with the servers that the resolver knows."""
        return self._once.get(("zone", name), lambda: self._resolved(name))

    def _resolved(self, name: dns.name.Name) -> Zone:
        answer = self._resolve(Question(name, dns.rdatatype.NS))
        found = next(records(answer, name, dns.rdatatype.NS), ())
        return self._with_addresses(name, [record.target for record in found], {})

    def _below(self, answer: Answer, name: dns.name.Name, above: dns.name.Name) -> Zone | None:
        """The zone below this one that the name really lies in: a referral, or the SOA of a denial.

        Only what lies between the zone and the name is believed: everything else is a lie or lame.
        """
        if isinstance(answer, Silence):
            return None
        kind = dns.rdatatype.SOA if has_authority(answer) else dns.rdatatype.NS
        for one in answer.authority:
            below = one.name != above and one.name.is_subdomain(above)
            if one.rdtype != kind or not below or not name.is_subdomain(one.name):
                continue
            if kind == dns.rdatatype.NS:
                hosts = [record.target for record in one]
                known = _glue(answer)
                return self._once.get(
                    ("below", one.name), partial(self._with_addresses, one.name, hosts, known)
                )
            zone = self._zone(one.name)
            return zone if self._lookups is None or zone.servers else None
        return None

    def _with_addresses(
        self, name: dns.name.Name, hosts: Sequence[dns.name.Name], known: Mapping[dns.name.Name, list[str]]
    ) -> Zone:
        hosts = sorted(set(hosts))[:MAX_HOSTS]
        questions = [Question(host, kind) for kind in _ADDRESSES for host in hosts if host not in known]
        answers: Mapping[Question, Answer] = {}
        if questions:
            answers = (self._lookups.resolve_all if self._lookups else self.resolvers.ask)(questions)
        addresses = {host: list(known.get(host, ())) for host in hosts}
        for (host, kind), answer in answers.items():
            addresses[host] += [one.address for found in records(answer, host, kind) for one in found]
        port = self._lookups.port if self._lookups else self._port or messages.PORT
        servers = [
            NameServer(name=text(host), address=address, port=port)
            for host in hosts
            for address in dict.fromkeys(addresses[host])
        ]
        servers.sort(key=lambda one: ":" in one.address)  # IPv4 first: hosts without IPv6 have to wait for it
        without = tuple(text(host) for host in hosts if not addresses[host])
        return Zone(name, tuple(servers[:MAX_SERVERS]), without)


def _end(asked: str, trail: Trail) -> RecordPlace:
    """The place at the end of a trail. Raises GiveUp if it has none."""
    shown, hint = " → ".join(trail.chain), ""
    match trail.stop:
        case None:
            return RecordPlace(asked=asked, name=trail.end.name, zone=trail.end.zone)
        case Stop.CIRCLE:
            why = f"the aliases of {asked} run in a circle: {shown}"
            hint = "mend these CNAME records: they must end at a name that is none"
        case Stop.ENDLESS:
            why, hint = (
                f"{asked} has a chain of too many aliases: {shown}",
                "shorten it: resolvers give up, too",
            )
        case Stop.NO_NAME:
            why = (
                f"{asked}: {trail.trouble}"
                if trail.trouble
                else f"{asked} is an alias of no usable name: {shown}"
            )
        case Stop.NO_ZONE:
            why = trail.trouble
            hint = "is the domain registered, and its delegation right? Or name resolvers that know it"
        case Stop.TOO_DEEP:
            why = trail.trouble
    raise GiveUp(why, hint=hint, kind="dns")


def _silent(server: NameServer, silence: Silence) -> Said:
    return Said(server=str(server), trouble=silence.why, no_route=silence.no_route)


def _told(
    server: NameServer,
    name: dns.name.Name,
    answers: Mapping[dns.rdatatype.RdataType, Answer],
    serial: int,
    alias: dns.name.Name | None,
) -> Said:
    usable = [one for one in answers.values() if not isinstance(one, Silence) and not said(one)]
    refused = [dns.rdatatype.to_text(kind) for kind, one in answers.items() if said(one)]
    if not usable:
        return Said(server=str(server), trouble=said(next(iter(answers.values()))), serial=serial)
    found = [one for answer in usable for one in answer.answer if one.name == name]
    addresses = {record.address for one in found if one.rdtype in _ADDRESSES for record in one}
    texts = [
        words.output(b"".join(record.strings))[:MAX_TEXT]
        for one in found
        if one.rdtype == dns.rdatatype.TXT
        for record in one
    ]
    return Said(
        server=str(server),
        serial=serial,
        exists=all(answer.rcode() != dns.rcode.NXDOMAIN for answer in usable) or alias is not None,
        alias=text(alias) if alias else "",
        addresses=tuple(sorted(addresses)[:MAX_VALUES]),
        texts=tuple(sorted(texts)[:MAX_VALUES]),
        refused=tuple(refused),
    )


def _serial(answer: dns.message.Message, zone: dns.name.Name) -> int | None:
    """The zone's serial, if the server answers for it with authority."""
    if not has_authority(answer):
        return None
    soa = (one for one in answer.answer if one.rdtype == dns.rdatatype.SOA and one.name == zone)
    return next((int(one[0].serial) for one in soa), None)


def _alias(answer: Answer, name: dns.name.Name) -> dns.name.Name | None:
    found = () if isinstance(answer, Silence) else answer.answer
    aliases = (one for one in found if one.rdtype == dns.rdatatype.CNAME and one.name == name)
    return next((one[0].target for one in aliases), None)


def _apex(answer: Answer, name: dns.name.Name) -> dns.name.Name | None:
    """Where the zone begins: at the name, or at the owner of the SOA in a denial (RFC 2308 §3)."""
    if isinstance(answer, Silence):
        return None
    if any(one.rdtype == dns.rdatatype.SOA and one.name == name for one in answer.answer):
        return name
    if answer.answer:
        return None  # of an alias, whose SOA would be that of its target
    for one in answer.authority:
        if one.rdtype == dns.rdatatype.SOA and name.is_subdomain(one.name) and one.name != dns.name.root:
            return one.name
    return None


def _glue(answer: dns.message.Message) -> dict[dns.name.Name, list[str]]:
    """The addresses that a referral brings with it."""
    found: dict[dns.name.Name, list[str]] = {}
    for one in answer.additional:
        if one.rdtype in _ADDRESSES:
            found.setdefault(one.name, []).extend(record.address for record in one)
    return found
