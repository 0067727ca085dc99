"""A listener for TLS-ALPN-01 alone: it answers the handshakes that ask for a name in hand, and no others.

It is the loop of the HTTP-01 listener with its bounds (one deadline a connection, the oldest gives way), with
TLS spoken over memory: no connection can hold a thread.
"""

import contextlib
import ssl
from collections.abc import Sequence
from socket import socket

from renewer.model.value import Value
from renewer.network import tls
from renewer.network.challenges.http01.server import TIME_LIMIT, Connection, Server

PROTOCOL = "acme-tls/1"  # RFC 8737 §6.2
# Fatal alerts (RFC 8446 §6), in a record of their own
_UNRECOGNIZED_NAME = b"\x15\x03\x03\x00\x02\x02\x70"  # RFC 6066 §3
_NO_APPLICATION_PROTOCOL = b"\x15\x03\x03\x00\x02\x02\x78"  # RFC 7301 §3.2


class _Handshake:
    """TLS of one connection, between two buffers."""

    __slots__ = ("_incoming", "_outgoing", "_tls")

    def __init__(self, context: ssl.SSLContext) -> None:
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_side=True)

    def feed(self, data: bytes) -> tuple[bytes, bool]:
        """What is to be sent after these bytes, and whether that is all (also if it failed)."""
        self._incoming.write(data)
        done = True
        try:
            self._tls.do_handshake()
        except ssl.SSLWantReadError:
            done = False
        except ssl.SSLError:
            return self._outgoing.read(), True  # the alert, if OpenSSL wrote one
        if done:  # RFC 8737 §3: no application data is exchanged
            with contextlib.suppress(ssl.SSLError):
                self._tls.unwrap()
        return self._outgoing.read(), done


class TlsServer(Server):
    """Shows certificates by server name on listening sockets until `stop`."""

    def __init__(self, sockets: Sequence[socket], *, time_limit: float = TIME_LIMIT) -> None:
        self._contexts: dict[str, ssl.SSLContext] = {}  # by server name; one set or deleted at a time
        self._under_way: dict[Connection, _Handshake] = {}
        super().__init__(sockets, time_limit=time_limit, name="tls-alpn-01")

    def show(self, what: str, answer: bytes) -> None:
        """Answer who asks for this server name by a key with its certificate, PEM both."""
        self._contexts[what] = tls.answering(answer, PROTOCOL)

    def hide(self, what: str) -> None:
        """Answer no more for it; what is not shown is no error."""
        self._contexts.pop(what, None)

    def received(self, connection: Connection) -> None:
        """Start the handshake if it is one for us, or go on with it."""
        if connection in self._under_way:
            self._go_on(connection, connection.take())
            return
        try:
            hello = parse(connection.received)
        except NotTls:
            self.drop(connection)
            return
        if hello is None:
            return
        if PROTOCOL not in hello.protocols:
            self.answer(connection, _NO_APPLICATION_PROTOCOL)
        elif (context := self._contexts.get(hello.name)) is None:
            self.answer(connection, _UNRECOGNIZED_NAME)
        else:
            self._under_way[connection] = _Handshake(context)
            self._go_on(connection, connection.take())

    def timed_out(self, connection: Connection) -> None:
        """Nothing is owed to somebody slow."""
        self.drop(connection)

    def drop(self, connection: Connection) -> None:
        """Close it at once."""
        self._under_way.pop(connection, None)
        super().drop(connection)

    def _go_on(self, connection: Connection, data: bytes) -> None:
        out, done = self._under_way[connection].feed(data)
        if done:
            del self._under_way[connection]
            self.answer(connection, out)
        elif out and connection.sock.send(out) < len(out):  # a flight fits into any fresh socket's buffer
            self.drop(connection)


LARGEST = 16 * 1024  # bytes; clients with post-quantum shares send some two thousand
_HANDSHAKE, _CLIENT_HELLO = 22, 1  # ContentType (RFC 8446 §5.1), HandshakeType (§4)
_SERVER_NAME, _ALPN = 0, 16  # ExtensionType: RFC 6066 §3, RFC 7301 §3.1
_HOST_NAME = 0


class Hello(Value):
    """The name asked for, in small letters ("" if none), and the protocols offered."""

    name: str
    protocols: tuple[str, ...]


class NotTls(ValueError):
    """These bytes are not the beginning of a TLS connection."""


class _Reader:
    """Bytes taken from the front; never more than there are."""

    __slots__ = ("_at", "_data")

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    @property
    def left(self) -> int:
        return len(self._data) - self._at

    def take(self, count: int) -> bytes:
        if count > self.left:
            raise NotTls("a length is larger than what it measures")
        self._at += count
        return self._data[self._at - count : self._at]

    def number(self, octets: int) -> int:
        return int.from_bytes(self.take(octets), "big")

    def block(self, octets: int) -> "_Reader":
        """What a length of so many octets stands before."""
        return _Reader(self.take(self.number(octets)))


def parse(data: bytes) -> Hello | None:
    """The client's hello; None if there is not all of it yet. Raises NotTls if it will never be one."""
    message = _message(data)
    if message is None:
        return None
    reader = _Reader(message)
    reader.take(2 + 32)  # legacy_version, random
    reader.block(1)  # legacy_session_id
    reader.block(2)  # cipher_suites
    reader.block(1)  # legacy_compression_methods
    name, protocols = "", tuple[str, ...]()
    extensions = reader.block(2) if reader.left else _Reader(b"")
    while extensions.left:
        kind, content = extensions.number(2), extensions.block(2)
        if kind == _SERVER_NAME:
            name = _server_name(content)
        elif kind == _ALPN:
            protocols = _protocols(content)
    return Hello(name=name, protocols=protocols)


def _message(data: bytes) -> bytes | None:
    """The body of the first handshake message; None if there is not all of it yet."""
    got = _fragments(data)
    if got[:1] not in (b"", bytes((_CLIENT_HELLO,))):
        raise NotTls("no ClientHello")
    length = int.from_bytes(got[1:4], "big")
    if max(len(data), length) > LARGEST:
        raise NotTls("too long a ClientHello")
    return got[4 : 4 + length] if 4 + length <= len(got) else None


def _fragments(data: bytes) -> bytes:
    """What the whole records hold: one message may lie in several of them (RFC 8446 §5.1)."""
    got, at = b"", 0
    while at < len(data):
        if data[at] != _HANDSHAKE:
            raise NotTls("no handshake record")
        length = int.from_bytes(data[at + 3 : at + 5], "big")
        end = at + 5 + length
        if at + 5 > len(data) or end > len(data):
            break
        if not length:
            raise NotTls("an empty record")
        got, at = got + data[at + 5 : end], end
    return got


def _server_name(content: _Reader) -> str:
    names = content.block(2)
    while names.left:
        kind, name = names.number(1), names.block(2)
        if kind == _HOST_NAME:
            return name.take(name.left).decode("ascii", errors="replace").lower()
    return ""


def _protocols(content: _Reader) -> tuple[str, ...]:
    listed, found = content.block(2), []
    while listed.left:
        one = listed.block(1)
        found.append(one.take(one.left).decode("ascii", errors="replace"))
    return tuple(found)
