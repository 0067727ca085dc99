"""A DNS server that says what a test tells it to: zones of a whole world, nothing, nonsense, and lies.

Who has nothing to say that can be used listens at MUTE: it is given up soon, all others have time to answer.
"""

import contextlib
import socket
import socketserver
import struct
import threading
from collections.abc import Callable, Iterable
from types import ModuleType
from typing import Any, Self

import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdata
import dns.rdataclass
import dns.rdatatype
import dns.rrset
import dns.zone
import pytest

from renewer.network.dns.ask import NameServer, ask

MUTE = "127.0.0.24"
MOMENT, PATIENCE = 0.1, 20.0  # seconds for who is silent on purpose, and for who answers: machines are busy

Query = dns.message.Message
Handler = Callable[[Query], dns.message.Message | bytes | None]
"""What is answered to a query; None is silence."""
_IN = dns.rdataclass.IN
_ROOM = 1232  # octets of an answer over UDP


class ScriptedDns:
    """Listens on UDP and TCP while entered; `handler` answers: also bytes as they are, or None for silence.

    Over TCP `tcp` answers, if it is given. `asked` is every question so far, as "name TYPE".
    """

    def __init__(
        self, handler: Handler, *, address: str = "127.0.0.1", port: int, tcp: Handler | None = None
    ) -> None:
        self.handler = handler
        self.address = address
        self.port = port
        self.asked: list[str] = []
        self._tcp = tcp
        self._servers: list[socketserver.BaseServer] = []

    def __enter__(self) -> Self:
        kinds = (_Udp6, _Tcp6) if ":" in self.address else (_Udp, _Tcp)
        for kind, handler in zip(kinds, (_Datagram, _Stream), strict=True):
            server = kind((self.address, self.port), handler)
            setattr(server, "script", self)  # noqa: B010  socketserver has no other way
            self._servers.append(server)
            threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        for server in self._servers:
            server.shutdown()
            server.server_close()

    @property
    def place(self) -> str:
        """HOST:PORT, as the config wants it."""
        return f"[{self.address}]:{self.port}" if ":" in self.address else f"{self.address}:{self.port}"

    def datagram(self, wire: bytes) -> bytes | None:
        """What is answered over UDP: cut off where it does not fit."""
        query = self._heard(wire)
        answer = self.handler(query)
        if not isinstance(answer, Query):
            return answer
        whole = answer.to_wire(max_size=65535)
        if len(whole) <= _ROOM:
            return whole
        short = dns.message.make_response(query)
        short.flags |= dns.flags.TC | (answer.flags & dns.flags.AA)
        return short.to_wire()

    def stream(self, wire: bytes) -> bytes | None:
        """What is answered over TCP."""
        answer = (self._tcp or self.handler)(self._heard(wire))
        return answer.to_wire(max_size=65535) if isinstance(answer, Query) else answer

    def _heard(self, wire: bytes) -> Query:
        query = _parsed(wire)
        for one in query.question[:1]:
            name = one.name.to_text(omit_final_dot=True)
            self.asked.append(f"{name} {dns.rdatatype.to_text(one.rdtype)}")
        return query


def _parsed(wire: bytes) -> Query:
    with contextlib.suppress(dns.exception.DNSException):
        return dns.message.from_wire(wire, keyring=False)
    return dns.message.from_wire(wire, ignore_trailing=True, continue_on_error=True)


class _Udp(socketserver.ThreadingUDPServer):
    daemon_threads = True
    block_on_close = False


class _Tcp(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    request_queue_size = 32
    daemon_threads = True
    block_on_close = False


class _Udp6(_Udp):
    address_family = socket.AF_INET6


class _Tcp6(_Tcp):
    address_family = socket.AF_INET6


class _Datagram(socketserver.BaseRequestHandler):
    server: Any

    def handle(self) -> None:
        data, back = self.request
        answer = self.server.script.datagram(data)
        if answer is not None:
            with contextlib.suppress(OSError):  # it is over, or nobody listens any more
                back.sendto(answer, self.client_address)


class _Stream(socketserver.BaseRequestHandler):
    server: Any

    def handle(self) -> None:
        stream: socket.socket = self.request
        with contextlib.suppress(OSError), stream.makefile("rb") as lines:
            while len(head := lines.read(2)) == 2:
                answer = self.server.script.stream(lines.read(struct.unpack("!H", head)[0]))
                if answer is None:
                    stream.recv(1)  # until the other side has had enough
                    return
                stream.sendall(struct.pack("!H", len(answer)) + answer)


def patient(monkeypatch: pytest.MonkeyPatch, *modules: ModuleType) -> None:
    """Have these modules wait for answers as long as a busy machine takes, but for nobody at MUTE."""

    def asked(server: NameServer, questions: Any, *, timeout: float, **how: Any) -> Any:
        del timeout
        return ask(server, questions, timeout=MOMENT if server.address == MUTE else PATIENCE, **how)

    for module in modules:
        monkeypatch.setattr(module, "ask", asked)


def reply(
    query: Query,
    *answer: str,
    authority: tuple[str, ...] = (),
    rcode: dns.rcode.Rcode = dns.rcode.NOERROR,
    authoritative: bool = True,
) -> Query:
    """An answer with records as text: "www.example. 60 A 192.0.2.1"."""
    message = dns.message.make_response(query, recursion_available=not authoritative)
    if authoritative:
        message.flags |= dns.flags.AA
    message.set_rcode(rcode)
    message.answer = [_rrset(line) for line in answer]
    message.authority = [_rrset(line) for line in authority]
    return message


def _rrset(line: str) -> dns.rrset.RRset:
    name, ttl, kind, data = line.split(maxsplit=3)
    return dns.rrset.from_text(name, int(ttl), "IN", kind, data)


class World:
    """Every record there is, from lines as "www.example.org A 192.0.2.1"; who serves what, the test says."""

    def __init__(self, *lines: str) -> None:
        self._sets: dict[tuple[dns.name.Name, dns.rdatatype.RdataType], list[dns.rdata.Rdata]] = {}
        for line in lines:
            name, kind, text = line.split(maxsplit=2)
            self.add(
                dns.name.from_text(name),
                dns.rdata.from_text(_IN, kind, text, dns.name.root, relativize=False),
            )

    def add(self, name: dns.name.Name, record: dns.rdata.Rdata) -> None:
        """One more record."""
        self._sets.setdefault((name, record.rdtype), []).append(record)

    def adopt(self, zone: dns.zone.Zone) -> None:
        """All records of a zone, signatures included, in place of those below its name."""
        origin = zone.origin or dns.name.root
        self._sets = {key: one for key, one in self._sets.items() if not key[0].is_subdomain(origin)}
        for name, _, record in zone.iterate_rdatas():
            self.add(name.derelativize(origin), record)

    def serves(self, *zones: str) -> Handler:
        """A name server of these zones: answers, referrals to zones below, and REFUSED for all else."""
        served = {dns.name.from_text(zone) for zone in zones}

        def handle(query: Query) -> dns.message.Message:
            answer, name, kind = _begin(query)
            zone = self._zone_of(name.parent() if kind == dns.rdatatype.DS else name)
            mine = [one for one in served if name.is_subdomain(one)]
            if not mine:
                answer.set_rcode(dns.rcode.REFUSED)
            elif zone not in served:  # a cut below
                answer.authority += self._get(zone, dns.rdatatype.NS)
            else:
                answer.flags |= dns.flags.AA
                self._fill(answer, name, kind, follow=False)
            return answer

        return handle

    def resolves(self, *, broken: Iterable[str] = (), failing: Iterable[str] = ()) -> Handler:
        """A resolver: below `broken` it says SERVFAIL unless checking is off, below `failing` always."""
        refused = [dns.name.from_text(one) for one in broken]
        failed = [dns.name.from_text(one) for one in failing]

        def handle(query: Query) -> dns.message.Message:
            answer, name, kind = _begin(query)
            checking = not query.flags & dns.flags.CD
            if any(name.is_subdomain(one) for one in failed + (refused if checking else [])):
                answer.set_rcode(dns.rcode.SERVFAIL)
            else:
                self._fill(answer, name, kind, follow=True)
            answer.flags |= dns.flags.RA
            return answer

        return handle

    def _fill(
        self,
        answer: dns.message.Message,
        name: dns.name.Name,
        kind: dns.rdatatype.RdataType,
        *,
        follow: bool,
    ) -> None:
        for _ in range(20):
            answer.answer += self._get(name, kind)
            alias = self._sets.get((name, dns.rdatatype.CNAME))
            if answer.answer and not alias:
                return
            if not alias or kind == dns.rdatatype.CNAME:
                break
            answer.answer += self._get(name, dns.rdatatype.CNAME)
            name = alias[0].target  # type: ignore[attr-defined]
            if not follow:
                return
        else:
            answer.set_rcode(dns.rcode.SERVFAIL)
            return
        if not any(one.is_subdomain(name) for one, _ in self._sets):
            answer.set_rcode(dns.rcode.NXDOMAIN)
        answer.authority += self._get(self._zone_of(name), dns.rdatatype.SOA)

    def _get(self, name: dns.name.Name, kind: dns.rdatatype.RdataType) -> list[dns.rrset.RRset]:
        found = self._sets.get((name, kind))
        if not found:
            return []
        signatures = [
            one
            for one in self._sets.get((name, dns.rdatatype.RRSIG), ())
            if one.type_covered == kind  # type: ignore[attr-defined]
        ]
        sets = [dns.rrset.from_rdata_list(name, 300, found)]
        return sets + ([dns.rrset.from_rdata_list(name, 300, signatures)] if signatures else [])

    def _zone_of(self, name: dns.name.Name) -> dns.name.Name:
        while name != dns.name.root and (name, dns.rdatatype.SOA) not in self._sets:
            name = name.parent()
        return name


def _begin(query: Query) -> tuple[dns.message.Message, dns.name.Name, dns.rdatatype.RdataType]:
    answer = dns.message.make_response(query)
    return answer, query.question[0].name, query.question[0].rdtype


def zone(name: str, *servers: str, serial: int = 1) -> list[str]:
    """The SOA of a zone, and its name servers as "ns1.example.org 127.0.0.1"."""
    lines = [f"{name} SOA ns.{name}. hostmaster.{name}. {serial} 3600 600 86400 300"]
    for server in servers:
        host, *addresses = server.split()
        lines.append(f"{name} NS {host}.")
        lines += [f"{host} {'AAAA' if ':' in address else 'A'} {address}" for address in addresses]
    return lines
