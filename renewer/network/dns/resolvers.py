"""Asking resolvers: those of the config, or those of the system.

`Resolvers` is for who needs an answer to go on: it raises. `Lookups` is for who wants to know what is wrong:
each question once, signatures asked for, and silence is an answer, too.
"""

from collections.abc import Mapping, Sequence
from functools import partial

import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdatatype
import dns.resolver

from renewer import clock
from renewer.errors import GiveUp, RetryLater
from renewer.model.inspection import Resolved
from renewer.network.dns.ask import (
    AUTHORITY,
    RESOLVER,
    USUAL,
    Answer,
    NameServer,
    Question,
    Silence,
    ask,
    rcode,
    records,
    said,
)
from renewer.threads import Once, together

MAX_VALUES = 16  # of one kind that are looked at
LATE = Silence("there was no time left to ask")
_TIMEOUTS = (1.0, 3.0)  # seconds for the first and the second round over all of them
_LOOK_TIMEOUTS = (1.0, 2.5)  # the same, where silence is no fault
_SERVER_TIMEOUTS = (0.8, 2.0)  # seconds for a name server: a lost packet must not make it unreachable
_ADDRESSES = (dns.rdatatype.A, dns.rdatatype.AAAA)


class Resolvers:
    """Some resolvers, asked in turn until one gives an answer."""

    def __init__(self, given: tuple[str, ...] = ()) -> None:
        self._given = given
        self._servers: tuple[NameServer, ...] = ()

    @property
    def servers(self) -> tuple[NameServer, ...]:
        """Who is asked. Raises GiveUp if the system names nobody."""
        if not self._servers:
            self._servers = tuple(map(server_at, self._given)) or _of_the_system()
        return self._servers

    def ask(self, questions: Sequence[Question]) -> dict[Question, dns.message.Message]:
        """An answer, also a negative one, to each question. Raises RetryLater with what each one said."""
        found: dict[Question, dns.message.Message] = {}
        heard: dict[NameServer, str] = {}
        for timeout in _TIMEOUTS:
            for server in self.servers:
                left = [one for one in questions if one not in found]
                for question, answer in ask(server, left, flags=RESOLVER, timeout=timeout).items():
                    if isinstance(answer, Silence):
                        heard[server] = answer.why
                    elif answer.rcode() in USUAL:
                        found[question] = answer
                    else:
                        heard[server] = rcode(answer)
                if len(found) == len(set(questions)):
                    return found
        name = next(one.name for one in questions if one not in found)
        text = "; ".join(f"{server}: {words}" for server, words in heard.items())
        raise RetryLater(
            f"{name.to_text(omit_final_dot=True)} could not be looked up: {text}",
            hint="does DNS work on this host? `propagation.resolvers` names others to ask",
            kind="dns",
        )


class Lookups:
    """Asks until `deadline` (of clock.monotonic); `port` is where name servers listen: 53 but for tests."""

    def __init__(self, resolvers: Sequence[NameServer], *, deadline: float, port: int = 53) -> None:
        self.deadline = deadline
        self.port = port
        self._resolvers = resolvers
        self._once = Once()
        self._silent: dict[NameServer, Silence] = {}

    def resolve(self, name: dns.name.Name, kind: dns.rdatatype.RdataType, *, check: bool = False) -> Answer:
        """What the resolvers say; unless `check`, also of zones whose DNSSEC is broken (RFC 4035 §3.2.2)."""
        question = Question(name, kind)
        flags = RESOLVER | dns.flags.AD | (0 if check else dns.flags.CD)
        return self._once.get(("resolve", question, check), lambda: self._resolve(question, flags))

    def resolve_all(self, questions: Sequence[Question]) -> Mapping[Question, Answer]:
        """The same for several at a time."""
        work = {one: partial(self.resolve, one.name, one.type) for one in questions}
        found = together(work, self.deadline, workers=8)
        return {one: found.get(one, LATE) for one in questions}

    def ask(self, server: NameServer, name: dns.name.Name, kind: dns.rdatatype.RdataType) -> Answer:
        """What one name server says for itself."""
        question = Question(name, kind)
        return self._once.get(("ask", server, question), lambda: self._ask(server, question))

    def _resolve(self, question: Question, flags: int) -> Answer:
        last: Answer = LATE
        for timeout in _LOOK_TIMEOUTS:
            for server in self._resolvers:
                answer = self._try(server, question, flags, timeout)
                if not isinstance(answer, Silence) and answer.rcode() in USUAL:
                    return answer
                if isinstance(last, Silence) or not isinstance(answer, Silence):
                    last = answer
            if not isinstance(last, Silence):
                break
        return last

    def _ask(self, server: NameServer, question: Question) -> Answer:
        if server in self._silent:
            return self._silent[server]
        answer: Answer = LATE
        for timeout in _SERVER_TIMEOUTS:
            answer = self._try(server, question, AUTHORITY | dns.flags.CD, timeout)
            if not isinstance(answer, Silence) or answer.no_route:
                break
        if isinstance(answer, Silence) and question.type == dns.rdatatype.SOA:
            self._silent[server] = answer  # who does not even say that is not waited for again
        return answer

    def _try(self, server: NameServer, question: Question, flags: int, timeout: float) -> Answer:
        left = min(timeout, self.deadline - clock.monotonic())
        if left <= 0:
            return LATE
        answer = ask(server, [question], flags=flags, timeout=left, dnssec=True)[question]
        if isinstance(answer, Silence):
            why = "does not answer" if answer.late else answer.why[:1].lower() + answer.why[1:]
            return answer._replace(why=why)
        return answer


def silent(given: tuple[str, ...], timeout: float) -> tuple[str, ...]:
    """The resolvers, if none of them says anything at all within so many seconds; empty if one does.

    Raises GiveUp if this host has none.
    """
    servers = Resolvers(given).servers
    deadline = clock.monotonic() + timeout

    def speaks(server: NameServer) -> bool:
        answer = Lookups((server,), deadline=deadline).resolve(dns.name.root, dns.rdatatype.NS)
        return not isinstance(answer, Silence)

    spoke = together({server: partial(speaks, server) for server in servers}, deadline + 0.1)
    return () if any(spoke.values()) else tuple(map(str, servers))


def addresses(lookups: Lookups, name: str) -> Resolved:
    """What a program on this host, or a validating authority, would hear of a name's addresses."""
    host = dns.name.from_text(name)
    heard = {kind: lookups.resolve(host, kind, check=True) for kind in _ADDRESSES}
    usable = {kind: one for kind, one in heard.items() if not isinstance(one, Silence) and not said(one)}
    found = {
        record.address
        for kind, answer in usable.items()
        for one in records(answer, host, kind)
        for record in one
    }
    return Resolved(
        addresses=tuple(sorted(found)[:MAX_VALUES]),
        exists=not any(one.rcode() == dns.rcode.NXDOMAIN for one in usable.values()),
        trouble="" if usable else said(next(iter(heard.values()))),
    )


def server_at(address: str) -> NameServer:
    """'192.0.2.1:53', '[2001:db8::1]:53' → the server there."""
    host, _, port = address.rpartition(":")
    host = host.strip("[]")
    return NameServer(name=host, address=host, port=int(port))


def _of_the_system() -> tuple[NameServer, ...]:
    try:
        found = dns.resolver.Resolver()
    except dns.resolver.NoResolverConfiguration:
        addresses: list[str] = []
    else:
        addresses = [one for one in found.nameservers if isinstance(one, str)]
    if not addresses:
        raise GiveUp(
            "this host names no DNS resolver (/etc/resolv.conf)",
            hint='name one: propagation = { resolvers = ["192.0.2.1:53"] }',
            kind="dns",
        )
    return tuple(NameServer(name=one, address=one, port=found.port) for one in addresses)
