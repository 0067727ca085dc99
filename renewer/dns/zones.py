"""Where a record has to go: the end of the aliases, and the zone that it lies in.

A resolver finds the zone of the name that is to be proved (by SOA). Everything about `_acme-challenge` itself
is asked of that zone's own servers, which keep no cache: a resolver that heard that the name does not exist
would go on saying so after the record is there (RFC 2308 §5).
"""

from collections.abc import Iterator
from itertools import islice

import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdatatype

from renewer import clock
from renewer.dns.ask import Question, Server, Silence, ask, rrset
from renewer.dns.once import Once
from renewer.dns.resolvers import Resolvers
from renewer.errors import GiveUp, RetryLater
from renewer.model.value import Value

PORT = 53  # where name servers listen; elsewhere in tests only
MAX_ALIASES = 10  # longer chains are given up by resolvers, too (BIND follows 16, Unbound 11)
MAX_CUTS = 8  # zones below each other on the way to one name
MAX_SERVERS = 26  # addresses of one zone
LOOKUP_LIMIT = 30.0  # seconds for finding the place of one record
_NOBODY = b"_renewer-nobody-has-this-name"
_TIMEOUTS = (0.7, 2.5)  # seconds for a server, in the first and the second round


class Place(Value):
    """Where the record that is asked for as `asked` has to lie; names without the final dot."""

    asked: str
    name: str
    zone: str


class Zones:
    """Finds places; each zone is looked up once."""

    def __init__(self, resolvers: Resolvers) -> None:
        self.resolvers = resolvers
        self._once = Once()
        self._silent: set[Server] = set()

    def place(self, asked: str) -> Place:
        """Follow the aliases of a name to its end and find the zone there.

        Raises GiveUp for a loop or a chain without end, RetryLater if nobody answers.
        """
        return self._once.get(("place", asked), lambda: self._place(asked))

    def servers(self, zone: str) -> tuple[Server, ...]:
        """Every address of every name server of a zone. Raises RetryLater or GiveUp if there is none."""
        return self._once.get(("servers", zone), lambda: self._servers(zone))

    def _place(self, asked: str) -> Place:
        deadline = clock.monotonic() + LOOKUP_LIMIT
        chain = [dns.name.from_text(asked)]
        while True:
            zone, target = self._look(chain[-1], deadline)
            if target is None:
                return Place(asked=asked, name=text(chain[-1]), zone=text(zone))
            chain.append(target)
            shown = " → ".join(map(text, chain))
            if len(target) < 3:  # the root counts as a label
                raise GiveUp(f"{asked} is an alias of no usable name: {shown}", kind="dns")
            if target in chain[:-1]:
                hint = "mend these CNAME records: they must end at a name that is none"
                raise GiveUp(f"the aliases of {asked} run in a circle: {shown}", hint=hint, kind="dns")
            if len(chain) > MAX_ALIASES:
                hint = "shorten it: resolvers give up, too"
                raise GiveUp(f"{asked} has a chain of too many aliases: {shown}", hint=hint, kind="dns")

    def _look(self, name: dns.name.Name, deadline: float) -> tuple[dns.name.Name, dns.name.Name | None]:
        """The zone of a name, and what the name is an alias of."""
        zone = self._apex(name.parent())
        question = Question(name, dns.rdatatype.CNAME)
        for _ in range(MAX_CUTS):
            deeper: dns.name.Name | None = None
            for answer in self._answers(zone, question, deadline):
                if target := _alias(answer, question):
                    return zone, None if self._by_wildcard(zone, question, target, deadline) else target
                deeper = _cut(answer, name, zone)
                if deeper is not None or answer.flags & dns.flags.AA:
                    break
            else:  # no server of the zone gave an answer of its own
                return zone, self._alias_by_resolver(question)
            if deeper is None:
                return zone, None
            zone = deeper
        raise GiveUp(f"there are too many zones above {text(name)}", kind="dns")

    def _by_wildcard(
        self, zone: dns.name.Name, question: Question, target: dns.name.Name, deadline: float
    ) -> bool:
        """Whether a wildcard made it up: then it goes when the name has a record (RFC 4592 §2.2.1)."""
        sibling = Question(dns.name.Name((_NOBODY, *question.name.labels[1:])), question.type)
        answers = islice(self._answers(zone, sibling, deadline), 1)
        return any(_alias(answer, sibling) == target for answer in answers)

    def _apex(self, name: dns.name.Name) -> dns.name.Name:
        """The zone of a name, as the resolver sees it: the nearest SOA upwards (RFC 1035 §3.3.13)."""
        return self._once.get(("apex", name), lambda: self._find_apex(name))

    def _find_apex(self, name: dns.name.Name) -> dns.name.Name:
        candidate = name
        while candidate != dns.name.root:
            question = Question(candidate, dns.rdatatype.SOA)
            answer = self.resolvers.ask([question])[question]
            if rrset(answer, question):
                return candidate
            if not answer.answer and (owner := _soa_owner(answer, candidate)) not in (None, dns.name.root):
                return owner or candidate
            candidate = candidate.parent()
        raise GiveUp(
            f"no DNS zone was found for {text(name)}",
            hint="is the domain registered, and its delegation right? Or name resolvers that know it",
            kind="dns",
        )

    def _answers(
        self, zone: dns.name.Name, question: Question, deadline: float
    ) -> Iterator[dns.message.Message]:
        """What the zone's servers say, one after the other; those that were silent before come last."""
        servers = sorted(self.servers(text(zone)), key=lambda one: one in self._silent)
        for timeout in _TIMEOUTS:
            for server in servers:
                left = deadline - clock.monotonic()
                if left <= 0:
                    return
                answer = ask(server, [question], recursive=False, timeout=min(left, timeout))[question]
                if isinstance(answer, Silence):
                    self._silent.add(server)
                elif answer.rcode() in (dns.rcode.NOERROR, dns.rcode.NXDOMAIN):
                    yield answer

    def _alias_by_resolver(self, question: Question) -> dns.name.Name | None:
        """For hosts that may not ask the servers themselves."""
        return _alias(self.resolvers.ask([question])[question], question)

    def _servers(self, zone: str) -> tuple[Server, ...]:
        question = Question(dns.name.from_text(zone), dns.rdatatype.NS)
        found = rrset(self.resolvers.ask([question])[question], question)
        hosts = sorted(one.target for one in found) if found else []
        questions = [Question(host, kind) for kind in (dns.rdatatype.A, dns.rdatatype.AAAA) for host in hosts]
        answers = self.resolvers.ask(questions) if questions else {}
        servers = tuple(
            Server(name=text(one.name), address=record.address, port=PORT)
            for one in questions
            for record in rrset(answers[one], one) or ()
        )
        if not servers:
            names = ", ".join(map(text, hosts)) or "none"
            raise RetryLater(
                f"the zone {zone} has no name server with an address (servers: {names})",
                hint="mend the zone's NS records, or name resolvers that know it",
                kind="dns",
            )
        return servers[:MAX_SERVERS]


def text(name: dns.name.Name) -> str:
    """A name for people and records: small letters, without the final dot."""
    return name.canonicalize().to_text(omit_final_dot=True)


def _alias(answer: dns.message.Message, question: Question) -> dns.name.Name | None:
    found = rrset(answer, question, dns.rdatatype.CNAME)
    return next((one.target for one in found), None) if found else None


def _cut(answer: dns.message.Message, name: dns.name.Name, zone: dns.name.Name) -> dns.name.Name | None:
    """The zone below this one that the name really lies in: a delegation, or the SOA of a denial.

    Only what lies between the zone and the name is believed: everything else is a lie or lame.
    """
    for one in answer.authority:
        kinds = (dns.rdatatype.SOA,) if answer.flags & dns.flags.AA else (dns.rdatatype.NS,)
        if one.rdtype in kinds and name.is_subdomain(one.name) and _is_below(one.name, zone):
            return one.name
    return None


def _is_below(name: dns.name.Name, zone: dns.name.Name) -> bool:
    return name != zone and name.is_subdomain(zone)


def _soa_owner(answer: dns.message.Message, name: dns.name.Name) -> dns.name.Name | None:
    """The owner of the SOA in a denial (RFC 2308 §3), if the name can lie in that zone."""
    for one in answer.authority:
        if one.rdtype == dns.rdatatype.SOA and name.is_subdomain(one.name):
            return one.name
    return None
