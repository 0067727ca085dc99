"""A handshake that is completed whatever the certificate, and judged nevertheless; then a goodbye.

Python's `ssl` can only judge a chain by breaking the handshake off, which mail servers and databases count
against this host. OpenSSL itself goes on and says what it thinks: by pyOpenSSL, which `acme` brings. It also
shows the leaf of a server that wants a certificate of the client's and breaks off for want of one.
"""

import socket
import ssl
from collections.abc import Callable
from typing import NamedTuple, TypeVar

from OpenSSL import SSL, crypto

from renewer import clock
from renewer.model.desired import Endpoint
from renewer.network.verify import bounded, farewell

T = TypeVar("T")
_MEANINGS = {  # openssl-verification-options(1), X509_V_ERR_…
    7: "certificate signature failure",
    9: "certificate is not yet valid",
    10: "certificate has expired",
    23: "certificate revoked",
    24: "invalid CA certificate",
    25: "path length constraint exceeded",
    26: "unsuitable certificate purpose",
    32: "key usage does not include certificate signing",
    34: "unhandled critical extension",
    47: "permitted subtree violation",
    48: "excluded subtree violation",
}
_OLD = ("TLSv1", "TLSv1.1", "SSLv3")


class Judged(NamedTuple):
    """The leaf in DER, if one came; X509_V_ERR_… of the first thing wrong with the chain, 0 if nothing is.

    `old` is whether the protocol is one that clients of today refuse; `error` why the handshake did not end.
    """

    der: bytes | None
    verdict: int
    old: bool
    error: str | None


def handshake(plain: socket.socket, endpoint: Endpoint, context: SSL.Context, deadline: float) -> Judged:
    """Shake hands over a connection and take leave; `deadline` is on clock.monotonic.

    `context` is one of `tls.judging`. Raises what the network does before a leaf was shown, and ssl.SSLError
    for what TLS does.
    """
    wire = bounded.Wire(plain, deadline)
    talk = _Talk(wire, context)
    name = endpoint.server_name
    if not _is_address(name):
        talk.connection.set_tlsext_host_name(name.encode("ascii"))
    error: str | None = None
    try:
        talk.turn(talk.connection.do_handshake)
    except (SSL.Error, OSError) as failure:
        if talk.connection.get_peer_certificate() is None:
            raise _as_usual(failure) from None
        error = _words(failure)
    leaf = talk.connection.get_peer_certificate()
    der = crypto.dump_certificate(crypto.FILETYPE_ASN1, leaf) if leaf is not None else None
    if error is None:
        wire.deadline = min(deadline, clock.monotonic() + farewell.PATIENCE)
        if endpoint.spoken is not None:
            farewell.leave(talk, endpoint.spoken, greeted=endpoint.starttls is not None)
        talk.close()
    old = talk.connection.get_protocol_version_name() in _OLD
    return Judged(der, talk.verdict, old, error)


class _Talk:
    """TLS over a socket by way of memory, so that every wait has the deadline."""

    def __init__(self, wire: bounded.Wire, context: SSL.Context) -> None:
        self.wire = wire
        self.connection = SSL.Connection(context, None)
        self.found: list[int] = []
        self.connection.set_app_data(self.found)
        self.connection.set_connect_state()

    @property
    def verdict(self) -> int:
        """What was wrong first, as `ssl` would have said it."""
        return self.found[0] if self.found else 0

    def turn(self, step: Callable[[], T]) -> T:
        """Let OpenSSL go on until a step is done, carrying bytes to and fro. Raises SSL.Error and OSError."""
        while True:
            try:
                done = step()
            except SSL.WantReadError:
                self._flush()
                self.connection.bio_write(self.wire.hear())
                continue
            except SSL.Error:
                self._flush()  # an alert of ours
                raise
            self._flush()
            return done

    def send(self, data: bytes) -> None:
        """Send all of it."""
        self.turn(lambda: self.connection.sendall(data))

    def receive(self) -> bytes:
        """Some bytes; none at the end."""
        try:
            return self.turn(lambda: self.connection.recv(bounded.CHUNK))
        except SSL.Error:
            return b""

    def close(self) -> None:
        """Say that nothing more comes (RFC 8446 §6.1); the other side's word is not waited for."""
        try:
            self.connection.shutdown()
            self._flush()
        except (SSL.Error, OSError):
            return

    def _flush(self) -> None:
        while True:
            try:
                out = self.connection.bio_read(bounded.CHUNK)
            except SSL.WantReadError:
                return
            self.wire.say(out)


def _as_usual(failure: SSL.Error | OSError) -> OSError:
    """The same as Python's `ssl` would have raised it."""
    if isinstance(failure, OSError):
        return failure
    usual = ssl.SSLError(ssl.SSL_ERROR_SSL, _words(failure))
    usual.reason = _words(failure).upper().replace(" ", "_")
    return usual


def _words(failure: Exception) -> str:
    """What OpenSSL or the network said, in one line."""
    if isinstance(failure, SSL.Error):
        reasons = [str(entry[-1]) for entry in (failure.args[0] if failure.args else ()) if entry]
        return reasons[-1] if reasons else "the handshake failed"
    if isinstance(failure, TimeoutError):
        return "no TLS in time"
    return getattr(failure, "strerror", None) or str(failure)


def meaning(verdict: int) -> str:
    """What OpenSSL says of a chain, by its code."""
    return _MEANINGS.get(verdict, f"OpenSSL refuses the chain (code {verdict})")


def _is_address(name: str) -> bool:
    from ipaddress import ip_address

    try:
        ip_address(name)
    except ValueError:
        return False
    return True
