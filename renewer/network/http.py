"""The one client of HTTP/1.1 (RFC 9112) beside the authorities': one request, one time limit, one size.

`http.client` writes and reads the messages. What lies between it and the network here ends at the deadline,
however slowly the other side, or the resolver, gives or takes, and reads so many octets and no more. Each
request has a connection of its own. No redirect is followed: it is an answer like others.
"""

import base64
import http.client
import io
import os
import socket
import ssl
import threading
import zlib
from collections.abc import Callable, Mapping
from ipaddress import ip_address
from typing import TYPE_CHECKING, NamedTuple, TypeVar
from urllib.parse import SplitResult, unquote, urlsplit

from renewer import __version__, clock, words
from renewer.errors import GiveUp, RenewerError, RetryLater
from renewer.network import tls

if TYPE_CHECKING:
    from typing_extensions import Buffer

LIMIT = 64 * 1024  # octets of an answer, its header included, and of what comes out if it is compressed
_PORTS = {"http": 80, "https": 443}
_SHARE = 0.5  # of the time left for an address that is not the last: a dead one must not use up the others'
_PIECE = 16384  # octets that are sent between two looks at the clock

_EITHER = zlib.MAX_WBITS | 32  # zlib finds out itself whether it is gzip or zlib
_BARE = -zlib.MAX_WBITS  # "deflate" without zlib's frame, as some send it
_PLAIN = frozenset({"", "identity"})
_KNOWN = frozenset({"gzip", "x-gzip", "deflate"})
_MAX_LAYERS = 3

T = TypeVar("T")
Way = Callable[[str, int, float], socket.socket]
"""How a host and port are reached before a deadline. Raises OSError."""


class Answer(NamedTuple):
    """What was answered: `location` is where a redirect leads, `body` its beginning or all of it."""

    status: int
    reason: str
    location: str
    body: bytes


class NoHTTPError(Exception):
    """What was answered is no HTTP, or more than was to be read."""


class NoAnswerError(Exception):
    """There is no answer: `why`, as a clause; what to do; and whether the request may have arrived."""

    def __init__(self, why: str, hint: str = "", *, sent: bool) -> None:
        super().__init__(why)
        self.why = why
        self.hint = hint
        self.sent = sent


def ask(  # noqa: PLR0913  each by its name
    method: str,
    url: str,
    headers: Mapping[str, str],
    body: bytes | None = None,
    *,
    within: float,
    roots: str | None = None,
    way: "Way | None" = None,
    limit: int = LIMIT,
    wanted: int | None = None,
) -> Answer:
    """Make one request of a server whose certificate is verified; `within` in seconds is for all of it.

    `roots` is a PEM file (None: the system's), `way` leads to the host (None: `connect`); `limit` and
    `wanted` are as in `exchange`. Raises NoAnswerError, and GiveUp for what cannot be sent.
    """
    parts, deadline, sent = urlsplit(url), deadline_in(within), False
    host = parts.hostname or ""
    try:
        sock = (way or connect)(host, parts.port or _PORTS[parts.scheme], deadline)
        if parts.scheme == "https":
            sock = secured(sock, host, roots, deadline)
        with sock:
            sent = True
            return exchange(sock, method, parts, headers, body, deadline=deadline, limit=limit, wanted=wanted)
    except TimeoutError:
        raise NoAnswerError(f"no answer in {within:g} s", sent=sent) from None
    except ssl.SSLCertVerificationError as error:
        why = f"its certificate is not trusted: {error.verify_message}"
        raise NoAnswerError(why, "for a private authority: ca_bundle", sent=False) from None
    except OSError as error:
        raise NoAnswerError((error.strerror or str(error)).lower(), sent=sent) from None
    except NoHTTPError as error:
        raise NoAnswerError(f"it does not speak HTTP ({error})", sent=sent) from None


def exchange(  # noqa: PLR0913  each by its name
    sock: socket.socket,
    method: str,
    parts: SplitResult,
    headers: Mapping[str, str],
    body: bytes | None = None,
    *,
    deadline: float,
    limit: int = LIMIT,
    wanted: int | None = None,
) -> Answer:
    """One request on a connection that stands, and its answer.

    Of an answer `limit` octets are read at most, its header included, and of its body the first `wanted` are
    kept (None: all). Raises OSError, NoHTTPError, RetryLater for a body that is packed as nobody asked, and
    GiveUp for a header that would hold control characters.
    """
    usual = {"User-Agent": f"renewer/{__version__}", "Connection": "close"}
    fields = {"Host": parts.netloc.rpartition("@")[2], **usual, **headers}
    for name, value in fields.items():
        if not value.isprintable():
            raise GiveUp(f"the header {name} would hold control characters", hint="mend the secret")
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    try:
        answer = spoken(TimedWire(sock, deadline, limit), method, target, fields, body)
        packed = answer.getheader("Content-Encoding")
        content = b"" if wanted == 0 else answer.read(None if packed else wanted)
    except OSError:
        raise
    except (http.client.HTTPException, ValueError) as error:
        raise NoHTTPError(f"{type(error).__name__}: {error}") from None
    return Answer(
        status=answer.status,
        reason=answer.reason,
        location=answer.getheader("Location") or "",
        body=unpacked(content, packed, limit)[:wanted] if packed else content,
    )


def spoken(
    wire: "TimedWire", method: str, target: str, fields: Mapping[str, str], body: bytes | None = None
) -> http.client.HTTPResponse:
    """The request, sent; the answer, its header read."""
    connection = http.client.HTTPConnection("localhost")  # what it is for stands in the fields
    connection.sock = wire
    connection.request(method, target, body, {name: value.encode() for name, value in fields.items()})
    return connection.getresponse()


def patiently(
    act: Callable[[], T],
    pauses: tuple[float, ...],
    passing: Callable[[RenewerError], bool],
    end: float = float("inf"),
) -> T:
    """Do it, again after each of the pauses while what goes wrong is `passing` and `end` is not over."""
    for pause in pauses:
        try:
            return act()
        except RenewerError as error:
            if not passing(error) or clock.monotonic() + pause >= end:
                raise
        clock.sleep(pause)
    return act()


# connections within a deadline


def deadline_in(seconds: float) -> float:
    """The end of a time limit that begins now, on `clock.monotonic`."""
    return clock.monotonic() + seconds


def left(deadline: float) -> float:
    """Seconds until a deadline. Raises TimeoutError if there are none."""
    seconds = deadline - clock.monotonic()
    if seconds <= 0:
        raise TimeoutError
    return seconds


def connect(host: str, port: int, deadline: float) -> socket.socket:
    """A TCP connection to the first address that answers. Raises OSError, TimeoutError among them."""
    error: OSError = OSError(f"{host} has no address")
    found = addresses(host, port, deadline)
    for number, address in enumerate(found, 1):
        try:
            return dial(address, deadline, last=number == len(found))
        except OSError as failure:
            error = failure
    raise error


class Address(NamedTuple):
    """Where a host is reached; `at` is as the family has it, its first part the address as text."""

    family: socket.AddressFamily
    at: tuple[str, int] | tuple[str, int, int, int] | tuple[int, bytes]


def addresses(host: str, port: int, deadline: float) -> tuple[Address, ...]:
    """The addresses of a host, in the system's order; its resolver is left behind if it is slow.

    Raises OSError, TimeoutError among them.
    """
    answer: list[tuple[Address, ...] | OSError] = []

    def resolve() -> None:
        try:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
            answer.append(tuple(Address(family, at) for family, _, _, _, at in found))
        except (OSError, UnicodeError) as error:
            answer.append(error if isinstance(error, OSError) else OSError(str(error)))

    resolver = threading.Thread(target=resolve, name=f"resolve {host}", daemon=True)
    resolver.start()
    resolver.join(left(deadline))
    if not answer:
        raise TimeoutError
    if isinstance(answer[0], OSError):
        raise answer[0]
    return answer[0]


def dial(address: Address, deadline: float, *, last: bool = True) -> socket.socket:
    """A TCP connection to one address, within its share of the time unless it is the last. Raises OSError."""
    sock = socket.socket(address.family, socket.SOCK_STREAM)
    try:
        sock.settimeout(left(deadline) * (1 if last else _SHARE))
        sock.connect(address.at)
        if address.family in (
            socket.AF_INET,
            socket.AF_INET6,
        ):  # else a body waits until its header is acknowledged
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    except BaseException:
        sock.close()
        raise
    return sock


def secured(
    sock: socket.socket, host: str, roots: str | None, deadline: float, *, verified: bool = True
) -> socket.socket:
    """TLS over a connection: a certificate that leads to `roots` (None: the system's) and names the host.

    With `verified` false it may be anybody's. Raises OSError (ssl.SSLError is one), and closes what it was
    given then.
    """
    try:
        sock.settimeout(left(deadline))
        context = tls.verifying(roots or tls.SYSTEM) if verified else tls.blind()
        with tls.ending(sock, deadline):
            return context.wrap_socket(sock, server_hostname=host)
    except BaseException:
        sock.close()
        raise


def is_loopback(sock: socket.socket) -> bool:
    """Whether the other side is on this host."""
    try:
        return ip_address(str(sock.getpeername()[0])).is_loopback
    except (OSError, ValueError):
        return False


def lines(sock: socket.socket, deadline: float, limit: int) -> io.BufferedReader:
    """What the other side sends, until a deadline and up to a number of octets."""
    return io.BufferedReader(_Bounded(sock, deadline, limit))


def send(sock: socket.socket, data: bytes, deadline: float) -> None:
    """All of it, or TimeoutError: a side that reads a drop at a time does not hold us."""
    view = memoryview(data)
    while view:
        sock.settimeout(left(deadline))
        view = view[sock.send(view[:_PIECE]) :]


class _Bounded(io.RawIOBase):
    """What comes from a socket: neither a drip nor a flood holds us."""

    def __init__(self, sock: socket.socket, deadline: float, limit: int) -> None:
        self._sock = sock
        self._deadline = deadline
        self._room = limit

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: "Buffer") -> int:
        if self._room <= 0:
            raise http.client.HTTPException("too long an answer")
        self._sock.settimeout(left(self._deadline))
        count = self._sock.recv_into(memoryview(buffer)[: self._room])
        self._room -= count
        return count


class TimedWire:
    """What http.client asks of a socket; without a `buffer` nothing is read beyond an answer's header."""

    def __init__(self, sock: socket.socket, deadline: float, limit: int, *, buffer: bool = True) -> None:
        self._sock = sock
        self._deadline = deadline
        self._bounded = _Bounded(sock, deadline, limit)
        self._buffer = buffer

    def sendall(self, data: bytes) -> None:
        """All of it, in time."""
        send(self._sock, data, self._deadline)

    def makefile(self, _mode: str) -> io.IOBase:
        """What is read from it."""
        return io.BufferedReader(self._bounded) if self._buffer else self._bounded

    def close(self) -> None:
        """The socket is closed by who opened it."""


# the way through a proxy


class ProxyError(OSError):
    """The proxy cannot be used, or lets nobody through; says nothing of its password."""


def by_proxy(ours: str | None) -> Way:
    """The way to a TLS port through an HTTP proxy, where the config (`ours`) or the environment names one.

    HTTPS_PROXY, ALL_PROXY and NO_PROXY count, in small letters too, as curl and requests read them. It learns
    the host by CONNECT (RFC 9110 §9.3.6), and nothing else.
    """

    def way(host: str, port: int, deadline: float) -> socket.socket:
        proxy = proxy_for(host, port, ours)
        return connect(host, port, deadline) if proxy is None else tunnelled(proxy, host, port, deadline)

    return way


def proxy_for(host: str, port: int, ours: str | None = None) -> SplitResult | None:
    """The proxy for https://host:port; None if there is none or NO_PROXY spares the host.

    Raises ProxyError if it is no URL of an HTTP proxy.
    """
    names = ("https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY")
    given = ours or next((found for name in names if (found := os.environ.get(name, "").strip())), None)
    if given is None or _spared(host, port):
        return None
    return proxy_of(given, "[agent]" if ours else "HTTPS_PROXY")


def proxy_of(given: str, where: str) -> SplitResult:
    """The proxy of a URL that stands there. Raises ProxyError if it is no URL of an HTTP proxy."""
    try:
        parts = urlsplit(given if "://" in given else f"http://{given}")
        usable = parts.scheme in _PORTS and parts.hostname and (parts.port or True)
    except ValueError:
        usable = None
    if not usable:
        raise ProxyError(f"the proxy in {where} is no URL of an HTTP proxy")
    return parts


def _spared(host: str, port: int) -> bool:
    from urllib.request import proxy_bypass  # costs milliseconds: only where there is a proxy

    return bool(proxy_bypass(f"{host}:{port}") or proxy_bypass(host))


def tunnelled(proxy: SplitResult, host: str, port: int, deadline: float) -> socket.socket:
    """A connection to a TLS port through an HTTP proxy. Raises OSError, ProxyError is one."""
    where = f"the proxy {proxy.hostname}:{proxy.port or _PORTS[proxy.scheme]}"
    try:
        sock = connect(proxy.hostname or "", proxy.port or _PORTS[proxy.scheme], deadline)
    except TimeoutError:
        raise
    except OSError as error:
        raise ProxyError(f"{where}: {(error.strerror or str(error)).lower()}") from None
    if proxy.scheme == "https":
        sock = secured(sock, proxy.hostname or "", None, deadline)
    try:
        _let_through(sock, proxy, f"[{host}]:{port}" if ":" in host else f"{host}:{port}", where, deadline)
    except BaseException:
        sock.close()
        raise
    return sock


def _let_through(sock: socket.socket, proxy: SplitResult, target: str, where: str, deadline: float) -> None:
    fields = {"Host": target}
    if proxy.username:
        pair = f"{unquote(proxy.username)}:{unquote(proxy.password or '')}".encode()
        fields["Proxy-Authorization"] = f"Basic {base64.b64encode(pair).decode('ascii')}"
    try:
        # What follows its header is TLS
        status = spoken(TimedWire(sock, deadline, LIMIT, buffer=False), "CONNECT", target, fields).status
    except http.client.RemoteDisconnected:
        raise ProxyError(f"{where} hung up before the tunnel stood") from None
    except (http.client.HTTPException, ValueError):
        raise ProxyError(f"{where} does not answer as a proxy does") from None
    if not 200 <= status < 300:
        unknown = status == http.client.PROXY_AUTHENTICATION_REQUIRED
        why = ": it wants another user and password" if unknown else ""
        raise ProxyError(f"{where} lets nobody through to {target}, it answered {status}{why}")


# bodies that somebody packed on the way


def unpacked(body: bytes, encoding: str | None, limit: int) -> bytes:
    """The body as its sender meant it, though `identity` was asked for (RFC 9110 §8.4): proxies pack.

    `limit` (octets) bounds what comes out of each layer; what is announced as packed and is not is taken as
    it came.
    Raises RetryLater if it is broken off, larger than that, or encoded in a way that nobody asked for.
    """
    layers = [one.strip().lower() for one in (encoding or "").split(",")]
    layers = [one for one in layers if one not in _PLAIN]
    if not body:
        return body  # HEAD, 204
    if len(layers) > _MAX_LAYERS or not _KNOWN.issuperset(layers):
        said = words.line(", ".join(layers)[:60])
        raise _bad(f"the reply came encoded as {said}, which was not asked for")
    for _ in layers:
        body = _inflate(body, limit)
    return body


def _inflate(body: bytes, limit: int) -> bytes:
    for window in (_EITHER, _BARE):
        try:
            return _members(body, window, limit)
        except zlib.error:
            continue
    return body  # a proxy undid it and left the header


def _members(body: bytes, window: int, limit: int) -> bytes:
    """All that comes out; gzip may come in several members one after the other (RFC 1952 §2.2)."""
    parts: list[bytes] = []
    size = 0
    while body:
        member = zlib.decompressobj(window)
        part = member.decompress(body, limit + 1 - size)
        size += len(part)
        if size > limit:
            shown = f"{limit >> 20} MiB" if limit >> 20 else f"{limit >> 10} KiB"
            raise _bad(f"the reply grows beyond {shown} when it is decompressed")
        parts.append(part)
        if not member.eof:
            raise _bad("the compressed reply is broken off")
        body = member.unused_data.lstrip(b"\0")  # padding is allowed by every gzip
        if body and not body.startswith(b"\x1f\x8b"):
            break  # rubbish behind it
    return b"".join(parts)


def _bad(text: str) -> RetryLater:
    hint = "a proxy on the way changes what is answered: check it"
    return RetryLater(text, kind="bad-reply", hint=hint)
