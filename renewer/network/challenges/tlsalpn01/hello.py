"""What a TLS client says first (RFC 8446 §4.1.2, RFC 5246 §7.4.1.2): the name and the protocols it asks for.

Read before any TLS machinery is started, so that nobody gets a certificate but who asks for this protocol.
Bounded and never trusted: every length is checked against what is there.
"""

from renewer.model.value import Value

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
