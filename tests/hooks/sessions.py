"""Sessions of mail, chat, file and database servers over TLS: opened, and asked later whether they live."""

import contextlib
import socket
import ssl
import struct
from collections.abc import Callable
from typing import Self

from tests.hooks.bed import NAME
from tests.servers.redis import PASSWORD

_PATIENCE = 10  # seconds for each step


def _line(plain: socket.socket) -> bytes:
    """One line, and not a byte more: what follows may be TLS."""
    got = b""
    while not got.endswith(b"\n"):
        one = plain.recv(1)
        if not one:
            raise ConnectionError(f"closed after {got[:80]!r}")
        got += one
    return got


def _until(plain: socket.socket, end: Callable[[bytes], bool]) -> None:
    while not end(_line(plain)):
        pass


def _exactly(plain: socket.socket, size: int) -> bytes:
    got = b""
    while len(got) < size:
        more = plain.recv(size - len(got))
        if not more:
            raise ConnectionError("closed")
        got += more
    return got


class Session:
    """One session, open until it is closed; `serial` is that of the certificate it was opened with.

    Without roots nothing is verified. Raises OSError where it cannot be opened, ssl.SSLError among them.
    """

    def __init__(self, kind: str, port: int, context: ssl.SSLContext | None = None) -> None:
        if context is None:
            context = ssl.create_default_context()
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        greet, self._open, self._ask = _KINDS[kind]
        plain = socket.create_connection(("127.0.0.1", port), timeout=_PATIENCE)
        try:
            greet(plain)
            self.tls = context.wrap_socket(plain, server_hostname=NAME)
        except BaseException:
            plain.close()
            raise
        self.serial = str((self.tls.getpeercert() or {}).get("serialNumber", "")).lower()
        try:
            self._open(self.tls)
        except BaseException:
            self.tls.close()
            raise

    def alive(self) -> bool:
        """Whether it answers."""
        try:
            self._ask(self.tls)
        except OSError:
            return False
        return True

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(OSError):
            self.tls.close()


class Download:
    """A large file under way over HTTPS, of which a little is read now and then."""

    def __init__(self, port: int, path: str, size: int) -> None:
        context = ssl.create_default_context()
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        plain = socket.create_connection(("127.0.0.1", port), timeout=_PATIENCE)
        self.tls = context.wrap_socket(plain, server_hostname=NAME)
        self.tls.sendall(f"GET {path} HTTP/1.1\r\nHost: {NAME}\r\nConnection: close\r\n\r\n".encode())
        head = b""
        while b"\r\n\r\n" not in head:
            head += _exactly(self.tls, 1)
        if not head.startswith(b"HTTP/1.1 200 "):
            raise ConnectionError(f"no file: {head[:80]!r}")
        self._left = size

    def go_on(self, size: int = 256 * 1024) -> None:
        """Read a little more, or until it breaks off."""
        end = max(0, self._left - size)
        with contextlib.suppress(OSError):
            while self._left > end and (more := self.tls.recv(65536)):
                self._left -= len(more)

    def whole(self) -> bool:
        """Read the rest; whether all of it came."""
        self.go_on(self._left)
        return self._left == 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(OSError):
            self.tls.close()


def _nothing(_: socket.socket) -> None:
    """There is nothing to say."""


def _talk(*lines: tuple[bytes, bytes]) -> Callable[[socket.socket], None]:
    """Say each line, and read until one begins with what is awaited."""

    def say(plain: socket.socket) -> None:
        for said, awaited in lines:
            if said:
                plain.sendall(said + b"\r\n")
            _until(plain, lambda line, end=awaited: line.startswith(end))  # type: ignore[misc]

    return say


def _ask_postgresql(plain: socket.socket) -> None:
    plain.sendall(struct.pack("!ci", b"Q", 4 + len(b"SELECT 1\0")) + b"SELECT 1\0")
    _ready(plain)


def _ready(plain: socket.socket) -> None:
    """Messages of PostgreSQL until it is ready for a query."""
    kind = b""
    while kind != b"Z":
        kind, size = struct.unpack("!ci", _exactly(plain, 5))
        body = _exactly(plain, size - 4)
        if kind == b"E":
            raise ConnectionError(f"PostgreSQL says {body[:200]!r}")


def _greet_postgresql(plain: socket.socket) -> None:
    plain.sendall(struct.pack("!ii", 8, 80877103))
    if _exactly(plain, 1) != b"S":
        raise ConnectionError("no TLS is offered")


def _open_postgresql(plain: socket.socket) -> None:
    words = b"user\0postgres\0database\0postgres\0\0"
    plain.sendall(struct.pack("!ii", 8 + len(words), 196608) + words)
    _ready(plain)


_MYSQL = struct.pack("<IIB23x", 0x00088A00 | 0x0200, 1 << 24, 33)  # 4.1, TLS, plugins, secure connection


def _packet(plain: socket.socket) -> bytes:
    head = _exactly(plain, 4)
    return _exactly(plain, int.from_bytes(head[:3], "little"))


def _greet_mysql(plain: socket.socket) -> None:
    _packet(plain)
    plain.sendall(struct.pack("<I", len(_MYSQL) | 1 << 24) + _MYSQL)


def _open_mysql(plain: socket.socket) -> None:
    answer = _MYSQL + b"root\0\0mysql_native_password\0"
    plain.sendall(struct.pack("<I", len(answer) | 2 << 24) + answer)
    _ok(plain)


def _ok(plain: socket.socket) -> None:
    said = _packet(plain)
    if not said.startswith(b"\0"):
        raise ConnectionError(f"MariaDB says {said[:200]!r}")


def _ask_mysql(plain: socket.socket) -> None:
    plain.sendall(b"\1\0\0\0\x0e")  # COM_PING
    _ok(plain)


_STREAM = (
    f"<stream:stream to='{NAME}' xmlns='jabber:client' version='1.0' "
    "xmlns:stream='http://etherx.jabber.org/streams'>"
).encode()


def _features(plain: socket.socket) -> None:
    got = b""
    while b"</stream:features>" not in got:
        got += _exactly(plain, 1)


def _greet_xmpp(plain: socket.socket) -> None:
    plain.sendall(_STREAM)
    _features(plain)
    plain.sendall(b"<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>")
    got = b""
    while not got.endswith(b">"):
        got += _exactly(plain, 1)
    if b"proceed" not in got:
        raise ConnectionError(f"no TLS: {got[:200]!r}")


def _open_xmpp(plain: socket.socket) -> None:
    plain.sendall(_STREAM)
    _features(plain)


def _ask_xmpp(plain: socket.socket) -> None:
    """A blank keeps a stream alive and is not answered: it lives unless it is closed."""
    plain.sendall(b" ")
    plain.settimeout(0.3)
    try:
        if plain.recv(1) == b"":
            raise ConnectionError("closed")
    except TimeoutError:
        return
    finally:
        plain.settimeout(_PATIENCE)


_Step = Callable[[socket.socket], None]
_KINDS: dict[str, tuple[_Step, _Step, _Step]] = {
    "smtp": (
        _talk((b"", b"220 "), (b"EHLO me", b"250 "), (b"STARTTLS", b"220 ")),
        _talk((b"EHLO me", b"250 ")),
        _talk((b"NOOP", b"250 ")),
    ),
    "imap": (
        _talk((b"", b"* OK"), (b"a STARTTLS", b"a OK")),
        _talk((b"b LOGIN me no", b"b OK")),
        _talk((b"c NOOP", b"c OK")),
    ),
    "ftp": (
        _talk((b"", b"220 "), (b"AUTH TLS", b"234 ")),
        _talk((b"USER anonymous", b"331 "), (b"PASS me@example.org", b"230 ")),
        _talk((b"NOOP", b"200 ")),
    ),
    "redis": (
        _nothing,
        _talk((f'AUTH "{PASSWORD}"'.encode(), b"+OK")),
        _talk((b"PING", b"+PONG")),
    ),
    "postgresql": (_greet_postgresql, _open_postgresql, _ask_postgresql),
    "mysql": (_greet_mysql, _open_mysql, _ask_mysql),
    "xmpp": (_greet_xmpp, _open_xmpp, _ask_xmpp),
}
