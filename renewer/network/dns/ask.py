"""Questions to one name server, many at a time: all are sent at once, so that twenty cost one round trip.

A server that says nothing, nonsense or something about another question costs the time limit and no more.
What is said is never trusted further than its question: callers check owners, types and flags.
"""

import contextlib
import errno
import select
import socket
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import dns.entropy
import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.query
import dns.rcode
import dns.rdatatype
import dns.rrset

from renewer import clock
from renewer.model.value import Value

PAYLOAD = 1232  # bytes over UDP that no path breaks up (RFC 9715 §3.1); what is longer comes over TCP
USUAL = (dns.rcode.NOERROR, dns.rcode.NXDOMAIN)  # codes of answers that say what is so
_LARGEST = 65535
_NO_ROUTE = {errno.ENETUNREACH, errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT, errno.ENETDOWN}


class NameServer(Value):
    """A name server at one address; `name` is what the zone calls it, or the address again."""

    name: str
    address: str
    port: int = 53

    def __str__(self) -> str:
        where = f"[{self.address}]:{self.port}" if ":" in self.address else f"{self.address}:{self.port}"
        if self.port == 53:
            where = self.address
        return where if self.name == self.address else f"{self.name} ({where})"


class Question(NamedTuple):
    """What is asked: a name and a type."""

    name: dns.name.Name
    type: dns.rdatatype.RdataType


class Silence(NamedTuple):
    """No usable answer: why; whether this host has no way to such addresses at all; whether time was over."""

    why: str
    no_route: bool = False
    late: bool = False


Answer = dns.message.Message | Silence

AUTHORITY = dns.flags.Flag(0)  # a zone's own server is asked for what it has itself
RESOLVER = dns.flags.RD  # a resolver is asked to look for it


def ask(
    server: NameServer, questions: Sequence[Question], *, flags: int, timeout: float, dnssec: bool = False
) -> Mapping[Question, Answer]:
    """What the server says to each question within so many seconds, over UDP and where needed TCP.

    `flags` are those of the query (RFC 1035 §4.1.1), `dnssec` asks for signatures, too (RFC 4035 §4.1).
    """
    deadline = clock.monotonic() + timeout
    queries = _queries(questions, flags=flags, dnssec=dnssec)
    answers: dict[Question, Answer] = {}
    try:
        family = socket.AF_INET6 if ":" in server.address else socket.AF_INET
        with socket.socket(family, socket.SOCK_DGRAM) as connection:
            connection.setblocking(False)
            connection.connect((server.address, server.port))
            for query in queries.values():
                connection.send(query.to_wire())
            answers.update(_replies(connection, queries, deadline))
    except OSError as error:
        silence = _failed(error)
    else:
        silence = Silence(f"no answer in {timeout:g} s", late=True)
    for question, query in queries.items():
        reply = answers.setdefault(question, silence)
        if not isinstance(reply, Silence) and reply.flags & dns.flags.TC:
            answers[question] = _by_tcp(server, query, deadline)
    return answers


Queries = Mapping[Question, dns.message.QueryMessage]


def _queries(questions: Sequence[Question], *, flags: int, dnssec: bool) -> Queries:
    """A query for each question, no two with the same id."""
    made: dict[Question, dns.message.QueryMessage] = {}
    ids: set[int] = set()
    for question in questions:
        query = dns.message.make_query(
            question.name, question.type, use_edns=0, payload=PAYLOAD, want_dnssec=dnssec
        )
        query.flags = dns.flags.Flag(flags)
        while query.id in ids:
            query.id = dns.entropy.random_16()
        ids.add(query.id)
        made[question] = query
    return made


def _replies(
    connection: socket.socket, queries: Queries, deadline: float
) -> Iterator[tuple[Question, dns.message.Message]]:
    """Every reply that belongs to one of the queries, until all have theirs or the time is over."""
    poll = select.poll()  # not select(), which cannot take the thousandth file
    poll.register(connection, select.POLLIN)
    waiting = {query.id: (question, query) for question, query in queries.items()}
    while waiting and (left := deadline - clock.monotonic()) > 0:
        if not poll.poll(left * 1000):
            return
        try:
            wire = connection.recv(_LARGEST)
        except BlockingIOError:
            continue
        with contextlib.suppress(dns.exception.DNSException, ValueError):  # nonsense, or a forgery
            reply = dns.message.from_wire(wire)
            question, query = waiting.get(reply.id, (None, None))
            if question is not None and query is not None and query.is_response(reply):
                del waiting[reply.id]
                yield question, reply


def _by_tcp(server: NameServer, query: dns.message.QueryMessage, deadline: float) -> Answer:
    left = deadline - clock.monotonic()
    if left <= 0:
        return Silence("its answer is too long for UDP, and there was no time left for TCP")
    try:
        return dns.query.tcp(query, server.address, timeout=left, port=server.port)
    except (dns.exception.DNSException, EOFError, ValueError) as error:
        return Silence(f"its answer is too long for UDP, and over TCP: {_words(error)}")
    except OSError as error:
        return Silence(f"its answer is too long for UDP, and over TCP: {_failed(error).why}")


def _failed(error: OSError) -> Silence:
    return Silence(error.strerror or str(error), no_route=error.errno in _NO_ROUTE)


def _words(error: Exception) -> str:
    return "no answer in time" if isinstance(error, dns.exception.Timeout) else str(error) or "it ended"


# --- reading answers ----------------------------------------------------------------------------------------


def rcode(message: dns.message.Message) -> str:
    """The answer's code in words (RFC 1035 §4.1.1)."""
    return dns.rcode.to_text(message.rcode())


def said(answer: Answer) -> str:
    """Why an answer cannot be used, for people; "" if it can."""
    if isinstance(answer, Silence):
        return answer.why
    return "" if answer.rcode() in USUAL else f"says {rcode(answer)}"


def has_authority(answer: Answer) -> bool:
    """Whether the server answers for the zone itself (RFC 1035 §4.1.1: AA)."""
    return not isinstance(answer, Silence) and bool(answer.flags & dns.flags.AA)


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
    """A name for people and records: small letters, without the final dot."""
    return name.canonicalize().to_text(omit_final_dot=True)
