"""Taking leave as a client of the protocol does: a look leaves no error count, no lockout and no ban behind.

Servers and those who read their logs count connections that end in the middle: MariaDB bars a host after a
hundred, fail2ban's filters for Postfix and Dovecot match a connection that was lost.
"""

import contextlib
from typing import Protocol, assert_never

from renewer.model.desired import Starttls

PATIENCE = 2.0  # seconds for all of it; a server that says nothing is left then
_MOST = 4096  # bytes of its last words that are read


class Talk(Protocol):
    """Both directions inside TLS; each waits `PATIENCE` at most, and raises OSError."""

    def send(self, data: bytes) -> None:
        """Send all of it."""

    def receive(self) -> bytes:
        """Some bytes; none at the end."""


def leave(talk: Talk, protocol: Starttls, *, greeted: bool) -> None:
    """Say goodbye inside TLS; `greeted`: the server did so before TLS. Never raises OSError."""
    with contextlib.suppress(OSError):
        _leave(talk, protocol, greeted)


def _leave(talk: Talk, protocol: Starttls, greeted: bool) -> None:  # noqa: FBT001
    match protocol:
        case Starttls.SMTP | Starttls.SUBMISSION | Starttls.FTP | Starttls.POP3:
            _say(talk, b"QUIT\r\n", greeted)  # RFC 5321 §4.1.1.10, RFC 959 §4.1.1, RFC 1939 §4
        case Starttls.IMAP:
            _say(talk, b"a2 LOGOUT\r\n", greeted)  # RFC 9051 §6.1.3
        case Starttls.SIEVE:
            _sieve(talk)
        case Starttls.XMPP:
            _xmpp(talk)
        case Starttls.LDAP:
            _ldap(talk)
        case Starttls.POSTGRESQL:
            pass  # who leaves before the startup packet is expected to be one who looked at the certificate
        case Starttls.MYSQL:
            _mysql(talk)
        case _:
            assert_never(protocol)


def _say(talk: Talk, word: bytes, greeted: bool) -> None:  # noqa: FBT001
    if not greeted:  # it does so now
        _line(talk)
    talk.send(word)
    _line(talk)


def _sieve(talk: Talk) -> None:
    """RFC 5804 §2.2: after TLS the server says its capabilities again, several lines up to OK."""
    heard = b""
    while len(heard) < _MOST and not any(line[:2].upper() == b"OK" for line in heard.splitlines()):
        if not (more := talk.receive()):
            return
        heard += more
    talk.send(b"LOGOUT\r\n")
    _line(talk)


def _xmpp(talk: Talk) -> None:
    """RFC 6120 §4.4: a stream is opened and closed; an error of the stream is an answer as good as any."""
    talk.send(
        b"<?xml version='1.0'?><stream:stream xmlns='jabber:client' version='1.0' "
        b"xmlns:stream='http://etherx.jabber.org/streams'></stream:stream>"
    )
    talk.receive()


def _ldap(talk: Talk) -> None:
    """RFC 4511 §4.3: an unbind request, to which there is no answer."""
    talk.send(b"\x30\x05\x02\x01\x02\x42\x00")


def _mysql(talk: Talk) -> None:
    """MySQL, Connection Phase: a login without a user name.

    A connection that ends before it is counted as a host's error, and one that names a user as a refused
    login; this one is neither. A server that asks on is given nothing; one that lets us in is told COM_QUIT.
    """
    flags = 0x0800 | 0x0200 | 0x8000 | 0x00080000  # SSL, PROTOCOL_41, SECURE_CONNECTION, PLUGIN_AUTH
    login = flags.to_bytes(4, "little") + (1 << 24).to_bytes(4, "little") + b"\x21" + bytes(23)
    login += b"\x00" + b"\x00" + b"mysql_native_password\x00"  # no user, no answer to the scramble
    number = 2  # the greeting was 0, our wish for TLS 1
    talk.send(_packet(number, login))
    for _ in range(3):
        heard = talk.receive()
        kind = heard[4:5]
        if kind == b"\x00":
            talk.send(_packet(0, b"\x01"))
        if kind != b"\xfe":
            return
        talk.send(_packet(heard[3] + 1, b""))


def _packet(number: int, body: bytes) -> bytes:
    return len(body).to_bytes(3, "little") + bytes([number & 0xFF]) + body


def _line(talk: Talk) -> None:
    """Hear it out to the end of a line."""
    heard = b""
    while len(heard) < _MOST and not heard.endswith(b"\n"):
        if not (more := talk.receive()):
            return
        heard += more
