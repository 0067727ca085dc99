"""A name server that says what a test tells it to: also nothing, nonsense, and lies.

Who has nothing to say that can be used listens at MUTE: it is given up soon, all others have time to answer.
"""

import contextlib
import socket
import socketserver
import struct
import threading
from collections.abc import Callable
from types import ModuleType
from typing import Any, Self

import dns.exception
import dns.flags
import dns.message
import dns.rcode
import dns.rrset
import pytest

from renewer.network.dns.ask import NameServer, ask

MUTE = "127.0.0.24"
MOMENT, PATIENCE = 0.1, 20.0  # seconds for who is silent on purpose, and for who answers: machines are busy

Script = Callable[[dns.message.Message], bytes | dns.message.Message | None]
"""What is answered to a query; None is silence."""


class Scripted:
    """Listens at an address for UDP and TCP. `asked` are the questions so far: (name, type)."""

    def __init__(self, address: str, port: int, script: Script, *, tcp: Script | None = None) -> None:
        self.address = address
        self.port = port
        self.asked: list[tuple[str, str]] = []
        self._scripts = {"udp": script, "tcp": tcp or script}
        self._servers: list[socketserver.BaseServer] = []

    def reply(self, wire: bytes, over: str) -> bytes | None:
        """What the script says, as bytes."""
        query = _parsed(wire)
        if query.question:
            one = query.question[0]
            self.asked.append((one.name.to_text(omit_final_dot=True), dns.rdatatype.to_text(one.rdtype)))
        said = self._scripts[over](query)
        return said.to_wire(max_size=65535) if isinstance(said, dns.message.Message) else said

    def __enter__(self) -> Self:
        for kind, handler in ((_Udp, _Datagram), (_Tcp, _Stream)):
            server = kind((self.address, self.port), handler)
            setattr(server, "bed", self)  # noqa: B010  socketserver has no other way
            self._servers.append(server)
            threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        for server in self._servers:
            server.shutdown()
            server.server_close()


def patient(monkeypatch: pytest.MonkeyPatch, *modules: ModuleType) -> None:
    """Have these modules wait for answers as long as a busy machine takes, but for nobody at MUTE."""

    def asked(server: NameServer, questions: Any, *, timeout: float, **how: Any) -> Any:
        del timeout
        return ask(server, questions, timeout=MOMENT if server.address == MUTE else PATIENCE, **how)

    for module in modules:
        monkeypatch.setattr(module, "ask", asked)


def reply(
    query: dns.message.Message,
    *answer: str,
    authority: tuple[str, ...] = (),
    rcode: dns.rcode.Rcode = dns.rcode.NOERROR,
    authoritative: bool = True,
) -> dns.message.Message:
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


def _parsed(wire: bytes) -> dns.message.Message:
    with contextlib.suppress(dns.exception.DNSException):
        return dns.message.from_wire(wire, keyring=False)
    return dns.message.from_wire(wire, ignore_trailing=True, continue_on_error=True)


class _Udp(socketserver.ThreadingUDPServer):
    daemon_threads = True
    block_on_close = False


class _Tcp(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True
    block_on_close = False


class _Datagram(socketserver.BaseRequestHandler):
    server: Any

    def handle(self) -> None:
        data, back = self.request
        answer = self.server.bed.reply(data, "udp")
        if answer is not None:
            back.sendto(answer, self.client_address)


class _Stream(socketserver.BaseRequestHandler):
    server: Any

    def handle(self) -> None:
        stream: socket.socket = self.request
        with contextlib.suppress(OSError), stream.makefile("rb") as lines:
            while len(head := lines.read(2)) == 2:
                answer = self.server.bed.reply(lines.read(struct.unpack("!H", head)[0]), "tcp")
                if answer is None:
                    stream.recv(1)  # until the other side has had enough
                    return
                stream.sendall(struct.pack("!H", len(answer)) + answer)
