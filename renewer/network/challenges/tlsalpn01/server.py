"""A listener for TLS-ALPN-01 alone: it answers the handshakes that ask for a name in hand, and no others.

It is the loop of the HTTP-01 listener with its bounds (one deadline a connection, the oldest gives way), with
TLS spoken over memory: no connection can hold a thread.
"""

import contextlib
import ssl
from collections.abc import Sequence
from socket import socket

from renewer.network import tls
from renewer.network.challenges.http01.server import TIME_LIMIT, Connection, Server
from renewer.network.challenges.tlsalpn01.hello import NotTls, parse

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

    def show(self, name: str, pair: bytes) -> None:
        """Answer who asks for this server name by a key with its certificate, PEM both."""
        self._contexts[name] = tls.answering(pair, PROTOCOL)

    def hide(self, name: str) -> None:
        """Answer no more for it; what is not shown is no error."""
        self._contexts.pop(name, None)

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
