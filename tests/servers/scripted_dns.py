"""A small DNS server that says what a test tells it to: the whole world's zones, in part, or nonsense."""

import contextlib
import select
import socket
import struct
import threading
from collections.abc import Callable, Iterable
from typing import Self

import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdata
import dns.rdataclass
import dns.rdatatype
import dns.rrset
import dns.zone

Query = dns.message.Message
Handler = Callable[[Query], dns.message.Message | bytes | None]
_IN = dns.rdataclass.IN


class ScriptedDns:
    """Listens on UDP and TCP; `handler` answers: with bytes as they are, or with None for silence.

    `asked` is every question so far, as "name TYPE".
    """

    def __init__(self, handler: Handler, *, address: str = "127.0.0.1", port: int) -> None:
        self.handler = handler
        self.address = address
        self.port = port
        self.asked: list[str] = []
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        self._udp = socket.socket(family, socket.SOCK_DGRAM)
        self._tcp = socket.socket(family, socket.SOCK_STREAM)
        self._tcp.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        for one in (self._udp, self._tcp):
            one.bind((address, port))
        self._tcp.listen(32)
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._serve, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        self._thread.join()
        self._udp.close()
        self._tcp.close()

    @property
    def place(self) -> str:
        """HOST:PORT, as the config wants it."""
        return f"[{self.address}]:{self.port}" if ":" in self.address else f"{self.address}:{self.port}"

    def _serve(self) -> None:
        while not self._stopping.is_set():
            ready, _, _ = select.select([self._udp, self._tcp], [], [], 0.02)
            with contextlib.suppress(OSError):
                if self._udp in ready:
                    wire, peer = self._udp.recvfrom(65535)
                    reply = self._reply(wire, room=1232)
                    if reply is not None:
                        self._udp.sendto(reply, peer)
                if self._tcp in ready:
                    self._talk(self._tcp.accept()[0])

    def _talk(self, connection: socket.socket) -> None:
        with connection:
            connection.settimeout(1)
            wire = connection.recv(65535)
            reply = self._reply(wire[2:], room=65535)
            if reply is not None:
                connection.sendall(struct.pack("!H", len(reply)) + reply)

    def _reply(self, wire: bytes, *, room: int) -> bytes | None:
        query = dns.message.from_wire(wire)
        one = query.question[0]
        self.asked.append(f"{one.name.to_text(omit_final_dot=True)} {dns.rdatatype.to_text(one.rdtype)}")
        answer = self.handler(query)
        if answer is None or isinstance(answer, bytes):
            return answer
        whole = answer.to_wire(max_size=65535)
        if len(whole) <= room:
            return whole
        short = dns.message.make_response(query)
        short.flags |= dns.flags.TC | (answer.flags & dns.flags.AA)
        return short.to_wire()


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
