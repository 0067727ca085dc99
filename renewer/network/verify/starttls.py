"""The few words in clear after which a connection turns to TLS, one small dialogue a protocol.

The other side may be anybody: every wait has the caller's deadline, every answer a bound, and nothing is
read past the last word in clear, so that what follows belongs to TLS.
"""

import socket
from collections.abc import Callable

from renewer import clock, words
from renewer.model.desired import Starttls

_LINE = 4096  # bytes in a line, an element or a packet
_LINES = 200  # lines in one answer


class StarttlsError(OSError):
    """The other side does not offer TLS, or does not speak the protocol; says what it said."""


def upgrade(plain: socket.socket, protocol: Starttls, server_name: str, deadline: float) -> None:
    """Talk until the next byte is TLS's; `deadline` is of `clock.monotonic`.

    Raises StarttlsError, TimeoutError, or what the network raises.
    """
    _dialogue(protocol)(_Talk(plain, deadline), server_name)


def _dialogue(protocol: Starttls) -> "Callable[[_Talk, str], None]":  # noqa: PLR0911  one a protocol
    match protocol:
        case Starttls.SMTP | Starttls.SUBMISSION:
            return _smtp
        case Starttls.IMAP:
            return _imap
        case Starttls.POP3:
            return _pop3
        case Starttls.LDAP:
            return _ldap
        case Starttls.POSTGRESQL:
            return _postgresql
        case Starttls.MYSQL:
            return _mysql
        case Starttls.XMPP:
            return _xmpp
        case Starttls.FTP:
            return _ftp
        case Starttls.SIEVE:
            return _sieve


class _Talk:
    """Both directions of a connection, with bounds."""

    def __init__(self, plain: socket.socket, deadline: float) -> None:
        self.plain = plain
        self.deadline = deadline

    def send(self, data: bytes) -> None:
        self._hurry()
        self.plain.sendall(data)

    def exactly(self, size: int) -> bytes:
        if size > _LINE:
            raise StarttlsError(f"announced a packet of {size} bytes")
        data = b""
        while len(data) < size:
            self._hurry()
            more = self.plain.recv(size - len(data))
            if not more:
                raise StarttlsError("closed the connection before TLS" + _quote(data))
            data += more
        return data

    def until(self, end: bytes) -> bytes:
        """Up to and with `end`, byte by byte: what follows is not ours to read."""
        data = bytearray()
        while not data.endswith(end):
            if len(data) >= _LINE:
                raise StarttlsError("talks without end" + _quote(bytes(data)))
            data += self.exactly(1)
        return bytes(data)

    def answer(self, last: Callable[[bytes], bool]) -> list[bytes]:
        """Lines up to and with the one that `last` recognises."""
        lines: list[bytes] = []
        while len(lines) < _LINES:
            lines.append(self.until(b"\n").rstrip(b"\r\n"))
            if last(lines[-1]):
                return lines
        raise StarttlsError("talks without end" + _quote(lines[-1]))

    def _hurry(self) -> None:
        left = self.deadline - clock.monotonic()
        if left <= 0:
            raise TimeoutError
        self.plain.settimeout(left)


def _quote(data: bytes) -> str:
    said = words.line(data[:200].decode("utf-8", "replace"), mark=" ")
    return f"; it said: {said.strip()}" if said.strip() else ""


def _expect(fits: bool, what: str, data: bytes) -> None:  # noqa: FBT001  reads as a sentence where it is used
    if not fits:
        raise StarttlsError(what + _quote(data))


def _is_last_reply(line: bytes) -> bool:
    """A reply of SMTP and FTP ends with the line that has a space after its code (RFC 5321 §4.2.1)."""
    return line[:3].isdigit() and line[3:4] != b"-"


def _smtp(talk: _Talk, _server_name: str) -> None:
    """RFC 3207 §4."""
    greeting = talk.answer(_is_last_reply)[-1]
    _expect(greeting.startswith(b"220"), "does not greet as a mail server does", greeting)
    talk.send(b"EHLO renewer.invalid\r\n")
    offers = talk.answer(_is_last_reply)
    _expect(any(line[4:].strip().upper() == b"STARTTLS" for line in offers), "offers no STARTTLS", offers[-1])
    talk.send(b"STARTTLS\r\n")
    ready = talk.answer(_is_last_reply)[-1]
    _expect(ready.startswith(b"220"), "refuses STARTTLS", ready)


def _ftp(talk: _Talk, _server_name: str) -> None:
    """RFC 4217 §4."""
    greeting = talk.answer(_is_last_reply)[-1]
    _expect(greeting.startswith(b"220"), "does not greet as an FTP server does", greeting)
    talk.send(b"AUTH TLS\r\n")
    ready = talk.answer(_is_last_reply)[-1]
    _expect(ready.startswith(b"234"), "refuses AUTH TLS", ready)


def _imap(talk: _Talk, _server_name: str) -> None:
    """RFC 9051 §6.2.1."""
    greeting = talk.until(b"\n")
    _expect(greeting.upper().startswith(b"* OK"), "does not greet as an IMAP server does", greeting)
    talk.send(b"a1 STARTTLS\r\n")
    ready = talk.answer(lambda line: line.startswith(b"a1 "))[-1]
    _expect(ready.upper().startswith(b"A1 OK"), "refuses STARTTLS", ready)


def _pop3(talk: _Talk, _server_name: str) -> None:
    """RFC 2595 §4."""
    greeting = talk.until(b"\n")
    _expect(greeting.startswith(b"+OK"), "does not greet as a POP3 server does", greeting)
    talk.send(b"STLS\r\n")
    ready = talk.until(b"\n")
    _expect(ready.startswith(b"+OK"), "refuses STLS", ready)


def _sieve(talk: _Talk, _server_name: str) -> None:
    """RFC 5804 §2.2: the capabilities come first, by themselves."""
    greeting = talk.answer(lambda line: line[:2].upper() in (b"OK", b"NO", b"BY"))
    offered = any(line.upper().startswith(b'"STARTTLS"') for line in greeting)
    _expect(offered, "offers no STARTTLS", greeting[-1])
    talk.send(b"STARTTLS\r\n")
    ready = talk.until(b"\n")
    _expect(ready.upper().startswith(b"OK"), "refuses STARTTLS", ready)


def _xmpp(talk: _Talk, server_name: str) -> None:
    """RFC 6120 §5.4."""
    talk.send(
        b"<?xml version='1.0'?><stream:stream xmlns='jabber:client' version='1.0' to='"
        + server_name.encode("ascii")
        + b"' xmlns:stream='http://etherx.jabber.org/streams'>"
    )
    features = talk.until(b"</stream:features>")
    _expect(b"<starttls" in features, "offers no STARTTLS", features)
    talk.send(b"<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>")
    ready = talk.until(b">")
    _expect(ready.strip().startswith(b"<proceed"), "refuses STARTTLS", ready)
    if not ready.endswith(b"/>"):
        talk.until(b"</proceed>")


def _ldap(talk: _Talk, _server_name: str) -> None:
    """RFC 4511 §4.14: an extended request, whose response's result code must be success (0)."""
    oid = b"1.3.6.1.4.1.1466.20037"
    talk.send(b"\x30\x1d\x02\x01\x01\x77\x18\x80\x16" + oid)
    body = _ber(talk)
    # messageID 1, then [APPLICATION 24] whose length may take one byte or several, then ENUMERATED
    start = 5 + (body[4] & 0x7F if len(body) > 4 and body[4] & 0x80 else 0)
    is_response = body[:4] == b"\x02\x01\x01\x78" and body[start : start + 2] == b"\x0a\x01"
    _expect(is_response, "does not answer as an LDAP server does", body)
    _expect(body[start + 2 : start + 3] == b"\x00", "refuses StartTLS", body[start + 3 :])


def _ber(talk: _Talk) -> bytes:
    """The content of the next SEQUENCE (X.690 §8.1.3)."""
    tag, size = talk.exactly(2)
    _expect(tag == 0x30, "does not answer as an LDAP server does", bytes([tag, size]))
    if size & 0x80:
        _expect(size & 0x7F <= 4, "announced a message without bounds", b"")
        size = int.from_bytes(talk.exactly(size & 0x7F), "big")
    return talk.exactly(size)


def _postgresql(talk: _Talk, _server_name: str) -> None:
    """PostgreSQL, Frontend/Backend Protocol, SSLRequest: one byte comes back."""
    talk.send(b"\x00\x00\x00\x08\x04\xd2\x16\x2f")
    ready = talk.exactly(1)
    _expect(ready != b"N", "has TLS turned off", b"")
    _expect(ready == b"S", "does not answer as a PostgreSQL server does", ready)


def _mysql(talk: _Talk, _server_name: str) -> None:
    """MySQL, Connection Phase: the initial handshake's capability bits, then an SSLRequest."""
    size = int.from_bytes(talk.exactly(4)[:3], "little")
    greeting = talk.exactly(size)
    _expect(greeting[:1] == b"\x0a", "does not greet as a MySQL server does", greeting[3:])
    after_version = greeting.find(b"\x00", 1) + 1
    # thread id (4), first part of the scramble (8), a filler (1), then the lower capability bits
    capabilities = int.from_bytes(greeting[after_version + 13 : after_version + 15], "little")
    _expect(bool(after_version and capabilities & 0x0800), "has TLS turned off", b"")
    flags = 0x0800 | 0x0200 | 0x8000  # SSL, PROTOCOL_41, SECURE_CONNECTION
    request = flags.to_bytes(4, "little") + (1 << 24).to_bytes(4, "little") + b"\x21" + bytes(23)
    talk.send(len(request).to_bytes(3, "little") + b"\x01" + request)
