"""Questions to resolvers and name servers, each asked once, with DNSSEC records asked for.

What comes back is not trusted further than its question: owners, types and flags are checked by who asks.
"""

from collections.abc import Iterator

import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.query
import dns.rcode
import dns.rdatatype
import dns.rrset

from renewer import clock
from renewer.dns.ask import PAYLOAD, Answer, Question, Server, Silence, rcode
from renewer.dns.once import Once

RESOLVER_TIMEOUTS = (1.0, 2.5)  # seconds for each resolver, in the first and the second round
SERVER_TIMEOUTS = (0.8, 2.0)  # seconds for a name server: a lost packet must not make it unreachable
USUAL = (dns.rcode.NOERROR, dns.rcode.NXDOMAIN)
_NO_ROUTE = {101, 99, 97, 100}  # ENETUNREACH, EADDRNOTAVAIL, EAFNOSUPPORT, ENETDOWN on Linux


class Eyes:
    """Asks until `deadline` (of clock.monotonic); `port` is where name servers listen: 53 but for tests."""

    def __init__(self, resolvers: tuple[Server, ...], *, deadline: float, port: int = 53) -> None:
        self.resolvers = resolvers
        self.deadline = deadline
        self.port = port
        self.once = Once()
        self._silent: dict[Server, Silence] = {}

    def resolve(self, name: dns.name.Name, kind: dns.rdatatype.RdataType, *, check: bool = False) -> Answer:
        """What the resolvers say; unless `check`, also of zones whose DNSSEC is broken (RFC 4035 §3.2.2)."""
        question = Question(name, kind)
        return self.once.get(("resolve", question, check), lambda: self._resolve(question, check=check))

    def ask(self, server: Server, name: dns.name.Name, kind: dns.rdatatype.RdataType) -> Answer:
        """What one name server says for itself."""
        question = Question(name, kind)
        return self.once.get(("ask", server, question), lambda: self._ask(server, question))

    def _resolve(self, question: Question, *, check: bool) -> Answer:
        last: Answer = Silence("there was no time left to ask")
        for timeout in RESOLVER_TIMEOUTS:
            for server in self.resolvers:
                answer = self._once(server, question, timeout, recursive=True, check=check)
                if not isinstance(answer, Silence) and answer.rcode() in USUAL:
                    return answer
                if isinstance(last, Silence) or not isinstance(answer, Silence):
                    last = answer
            if not isinstance(last, Silence):
                break
        return last

    def _ask(self, server: Server, question: Question) -> Answer:
        if server in self._silent:
            return self._silent[server]
        answer: Answer = Silence("there was no time left to ask")
        for timeout in SERVER_TIMEOUTS:
            answer = self._once(server, question, timeout, recursive=False, check=False)
            if not isinstance(answer, Silence) or answer.no_route:
                break
        if isinstance(answer, Silence) and question.type == dns.rdatatype.SOA:
            self._silent[server] = answer  # who does not even say that is not waited for again
        return answer

    def _once(
        self, server: Server, question: Question, timeout: float, *, recursive: bool, check: bool
    ) -> Answer:
        left = min(timeout, self.deadline - clock.monotonic())
        if left <= 0:
            return Silence("there was no time left to ask")
        query = dns.message.make_query(question.name, question.type, want_dnssec=True, payload=PAYLOAD)
        query.flags = (dns.flags.RD | dns.flags.AD) if recursive else 0
        if not check:
            query.flags |= dns.flags.CD
        try:
            reply, _ = dns.query.udp_with_fallback(
                query, server.address, left, server.port, ignore_unexpected=True, ignore_errors=True
            )
        except dns.exception.Timeout:
            return Silence("does not answer")
        except OSError as error:
            return Silence((error.strerror or str(error)).lower(), no_route=error.errno in _NO_ROUTE)
        except (dns.exception.DNSException, EOFError, ValueError) as error:
            return Silence(f"answers nonsense ({type(error).__name__})")
        return reply


def said(answer: Answer) -> str:
    """Why an answer cannot be used, for people; "" if it can."""
    if isinstance(answer, Silence):
        return answer.why
    return "" if answer.rcode() in USUAL else f"says {rcode(answer)}"


def records(answer: Answer, name: dns.name.Name, kind: dns.rdatatype.RdataType) -> Iterator[dns.rrset.RRset]:
    """The record sets of a type that an answer has for a name, through the aliases in the answer itself."""
    if isinstance(answer, Silence):
        return
    names = {name}
    for one in answer.answer:  # aliases stand in the order of the chain (RFC 1034 §4.3.2)
        if one.rdtype == dns.rdatatype.CNAME and one.name in names:
            names.update(record.target for record in one)
    for one in answer.answer:
        if one.rdtype == kind and one.name in names:
            yield one


def text(name: dns.name.Name) -> str:
    """A name for people: small letters, without the final dot."""
    return name.canonicalize().to_text(omit_final_dot=True)
