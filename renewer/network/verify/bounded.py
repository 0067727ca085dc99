"""Bytes of a TLS handshake between a socket and memory: it ends in time and in octets, whatever comes.

With a socket of its own OpenSSL reads on as long as there is something to read. A peer that floods it with
records that mean nothing (empty ones, HelloRequests) is then heard past every timeout, for a timeout is that
of one wait, and there is none. So every read is ours. Imports `ssl`.
"""

import contextlib
import socket
import ssl

from renewer import clock

CHUNK = 16384
MOST = 512 * 1024  # octets heard; OpenSSL takes 100 KiB of certificates, and all the rest is a few


class EndlessError(OSError):
    """The other side talks on and never comes to an end."""


class Wire:
    """A connected socket; `deadline` is on `clock.monotonic`, and may be moved."""

    def __init__(self, plain: socket.socket, deadline: float) -> None:
        self.deadline = deadline
        self._plain = plain
        self._room = MOST

    def hear(self) -> bytes:
        """The next bytes. Raises ssl.SSLEOFError at the end, EndlessError, TimeoutError and OSError."""
        self._hurry()
        if self._room <= 0:
            raise EndlessError("it talks without end, and a TLS handshake has one")
        heard = self._plain.recv(CHUNK)
        if not heard:
            raise ssl.SSLEOFError(ssl.SSL_ERROR_EOF, "closed during the handshake")
        self._room -= len(heard)
        return heard

    def say(self, data: bytes) -> None:
        """Send all of it. Raises TimeoutError and OSError."""
        self._hurry()
        self._plain.sendall(data)

    def _hurry(self) -> None:
        left = self.deadline - clock.monotonic()
        if left <= 0:
            raise TimeoutError
        self._plain.settimeout(left)


def shake(wire: Wire, context: ssl.SSLContext, server_name: str) -> bytes | None:
    """Shake hands as a client; the leaf in DER.

    Raises what `Wire` does, ssl.SSLError, and ValueError for a server name that TLS cannot carry.
    """
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    ours = context.wrap_bio(incoming, outgoing, server_hostname=server_name)
    while True:
        try:
            ours.do_handshake()
        except ssl.SSLWantReadError:
            if outgoing.pending:
                wire.say(outgoing.read())
            incoming.write(wire.hear())
        except ssl.SSLError:
            with contextlib.suppress(OSError):
                wire.say(outgoing.read())  # an alert that says why
            raise
        else:
            wire.say(outgoing.read())
            return ours.getpeercert(binary_form=True)
