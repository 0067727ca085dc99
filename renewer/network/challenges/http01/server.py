"""A small HTTP server in one thread: it knows only the tokens in hand, and nobody can tie it up.

One loop serves all connections, so a slow one costs a few hundred bytes and no thread. Every connection
has one deadline from its first byte to its last; when all places are taken the oldest connection gives way,
since an honest request is through in two round trips.
"""

import contextlib
import re
import selectors
import socket
import threading
from collections.abc import Sequence
from enum import IntEnum
from typing import Literal

from renewer import clock
from renewer.model.value import Value

TIME_LIMIT = 5.0  # seconds for a connection, all in all
LINGER = 1.0  # seconds for the client to read the answer and close
MAX_CONNECTIONS = 128
_CHUNK = 4096


class Connection:
    """A client: what came from it so far, what it still has to get, and until when."""

    __slots__ = ("deadline", "received", "sending", "sock", "started")

    def __init__(self, sock: socket.socket, now: float, limit: float) -> None:
        self.sock = sock
        self.started = now
        self.deadline = now + limit
        self.received = b""
        self.sending: memoryview | None = None  # None while reading, empty when all is sent

    def take(self) -> bytes:
        """What came so far, which is then forgotten."""
        data, self.received = self.received, b""
        return data


class Server:
    """Serves `answers` (path → body) on listening sockets until `stop`. Writes no log and never raises."""

    def __init__(
        self,
        sockets: Sequence[socket.socket],
        *,
        time_limit: float = TIME_LIMIT,
        max_connections: int = MAX_CONNECTIONS,
        name: str = "http-01",
    ) -> None:
        self.answers: dict[str, bytes] = {}  # one key is set or deleted at a time: safe between threads
        self._listening = list(sockets)
        self._time_limit = time_limit
        self._max = max_connections
        self._open: dict[int, Connection] = {}  # in the order of their coming
        self._selector = selectors.DefaultSelector()
        self._bell, self._ear = socket.socketpair()
        self._stopping = False
        for sock in self._listening:
            sock.setblocking(False)
            self._selector.register(sock, selectors.EVENT_READ)
        self._selector.register(self._ear, selectors.EVENT_READ)
        self._thread = threading.Thread(target=self._loop, name=name, daemon=True)
        self._thread.start()

    @property
    def addresses(self) -> list[tuple[str, int]]:
        """Where it listens: host and port."""
        return [sock.getsockname()[:2] for sock in self._listening]

    def show(self, what: str, answer: bytes) -> None:
        """Answer who asks for this path by a body."""
        self.answers[what] = answer

    def hide(self, what: str) -> None:
        """Answer no more for it; what is not shown is no error."""
        self.answers.pop(what, None)

    def stop(self) -> None:
        """Stop listening and drop everybody."""
        self._stopping = True
        with contextlib.suppress(OSError):
            self._bell.send(b"!")
        self._thread.join(TIME_LIMIT)
        for connection in list(self._open.values()):
            self.drop(connection)
        self._selector.close()
        for sock in (*self._listening, self._bell, self._ear):
            sock.close()

    def _loop(self) -> None:
        while not self._stopping:
            ready = self._selector.select(self._patience())
            for key, _ in ready:
                if isinstance(key.data, Connection):
                    self._serve(key.data)
                elif isinstance(key.fileobj, socket.socket) and key.fileobj is not self._ear:
                    self._accept(key.fileobj)
            self._expire()

    def _patience(self) -> float | None:
        if not self._open:
            return None
        return max(0.0, min(one.deadline for one in self._open.values()) - clock.monotonic())

    def _expire(self) -> None:
        now = clock.monotonic()
        for connection in [one for one in self._open.values() if one.deadline <= now]:
            if connection.sending is None and connection.received:
                self.timed_out(connection)
            else:
                self.drop(connection)

    def _accept(self, listening: socket.socket) -> None:
        try:
            sock, _ = listening.accept()
        except BlockingIOError:
            return
        except OSError:  # above all too many open files: make room, so that the next turn can accept
            self._drop_oldest()
            return
        if len(self._open) >= self._max:
            self._drop_oldest()
        sock.setblocking(False)
        connection = Connection(sock, clock.monotonic(), self._time_limit)
        self._open[sock.fileno()] = connection
        self._selector.register(sock, selectors.EVENT_READ, connection)

    def _serve(self, connection: Connection) -> None:
        try:
            if connection.sending is None:
                self._read(connection)
            elif connection.sending:
                self._send(connection)
            elif not connection.sock.recv(_CHUNK):
                self.drop(connection)
        except BlockingIOError:
            return
        except OSError:  # the client went away
            self.drop(connection)

    def _read(self, connection: Connection) -> None:
        data = connection.sock.recv(_CHUNK)
        if not data:
            self.drop(connection)
            return
        connection.received += data
        self.received(connection)

    def received(self, connection: Connection) -> None:
        """Something came: answer it if it is complete."""
        found = parse(connection.received)
        if isinstance(found, Request):
            body = self.answers.get(found.path)
            status = Refusal.NOT_FOUND if body is None else Refusal.OK
            self.answer(connection, response(status, body or b"", head_only=found.method == "HEAD"))
        elif found is not None:
            self.answer(connection, response(found))

    def timed_out(self, connection: Connection) -> None:
        """Its time is over before it said all."""
        self.answer(connection, response(Refusal.TIMEOUT))

    def answer(self, connection: Connection, data: bytes) -> None:
        """Send the last that there is to be said, then close."""
        connection.sending = memoryview(data)
        connection.received = b""
        # one span more for the answer: the same limit for a client that reads slowly
        connection.deadline = max(connection.deadline, clock.monotonic() + LINGER)
        try:
            self._send(connection)
        except BlockingIOError:
            self._selector.modify(connection.sock, selectors.EVENT_WRITE, connection)
        except OSError:
            self.drop(connection)

    def _send(self, connection: Connection) -> None:
        assert connection.sending is not None  # noqa: S101  only called with something to send
        connection.sending = connection.sending[connection.sock.send(connection.sending) :]
        if connection.sending:
            self._selector.modify(connection.sock, selectors.EVENT_WRITE, connection)
            return
        # RFC 9112 §9.6: close the writing half first and read on, else a reset (for bytes that we did not
        # read, as a pipelined second request) can take the answer away from the client
        connection.sock.shutdown(socket.SHUT_WR)
        connection.deadline = clock.monotonic() + LINGER
        self._selector.modify(connection.sock, selectors.EVENT_READ, connection)

    def _drop_oldest(self) -> None:
        for connection in list(self._open.values())[:1]:
            self.drop(connection)

    def drop(self, connection: Connection) -> None:
        """Close it at once."""
        self._open.pop(connection.sock.fileno(), None)
        with contextlib.suppress(KeyError, ValueError):
            self._selector.unregister(connection.sock)
        connection.sock.close()


MAX_HEAD = 8 * 1024  # bytes of request line and headers together
MAX_LINE = 2 * 1024  # bytes of one line
MAX_HEADERS = 64

# RFC 9110 §5.6.2 (token), §5.5 (field values: visible characters, blanks, opaque bytes)
_REQUEST_LINE = re.compile(rb"([A-Z]{1,16}) ([!-~]{1,2000}) HTTP/1\.([0-9])")
_HEADER = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]{1,128}):[ \t]*([\t\x20-\x7e\x80-\xff]*)")
_ABSOLUTE = re.compile(rb"http://[^/?#]*", re.IGNORECASE)


class Refusal(IntEnum):
    """What is answered; every other thing is a closed connection."""

    OK = 200
    BAD_REQUEST = 400
    NOT_FOUND = 404
    METHOD_NOT_ALLOWED = 405
    TIMEOUT = 408
    TOO_LARGE = 431

    @property
    def phrase(self) -> str:
        """The words of the status line."""
        return {200: "OK", 408: "Request Timeout", 431: "Request Header Fields Too Large"}.get(
            self, self.name.replace("_", " ").title()
        )


class Request(Value):
    """A request that may be answered: its path as it was sent, no escapes decoded."""

    method: Literal["GET", "HEAD"]
    path: str


def parse(received: bytes) -> Request | Refusal | None:
    """Read the head of a request from what came so far: None if more must come, a Refusal to refuse it.

    Never raises. What follows the head (a body, a second request) is not looked at.
    """
    # RFC 9112 §2.2: a server SHOULD ignore at least one empty line before the request line
    data = received.removeprefix(b"\r\n")
    head, end, _ = data.partition(b"\r\n\r\n")
    lines = head.split(b"\r\n")
    # what came behind an end is not ours to count
    if len(head) > MAX_HEAD or len(lines) - 1 > MAX_HEADERS or any(len(line) > MAX_LINE for line in lines):
        return Refusal.TOO_LARGE
    if not end:
        return Refusal.BAD_REQUEST if _hopeless(data) else None
    return _judge(lines[0], lines[1:])


def _hopeless(data: bytes) -> bool:
    """Whether no more bytes can make it a request: a TLS handshake, a lower-case word, bare line ends."""
    if data in (b"", b"\r"):
        return False
    return not b"A" <= data[:1] <= b"Z" or b"\x00" in data or re.search(rb"(?<!\r)\n", data) is not None


def _judge(request_line: bytes, header_lines: list[bytes]) -> Request | Refusal:
    asked = _REQUEST_LINE.fullmatch(request_line)
    headers = [_HEADER.fullmatch(line) for line in header_lines]
    if asked is None or not all(headers):
        return Refusal.BAD_REQUEST
    hosts = sum(1 for header in headers if header and header[1].lower() == b"host")
    # RFC 9112 §3.2: 400 to any HTTP/1.1 request that lacks a Host header or has more than one
    if hosts > 1 or (hosts == 0 and asked[3] != b"0"):
        return Refusal.BAD_REQUEST
    method = asked[1]
    if method not in (b"GET", b"HEAD"):
        return Refusal.METHOD_NOT_ALLOWED
    # RFC 9112 §3.2.2: a server MUST accept the absolute form, too
    path = _ABSOLUTE.sub(b"", asked[2], count=1) if asked[2][:1] != b"/" else asked[2]
    if not path.startswith(b"/"):
        return Refusal.BAD_REQUEST
    return Request(method="HEAD" if method == b"HEAD" else "GET", path=path.decode("ascii"))


def response(status: Refusal, body: bytes = b"", *, head_only: bool = False) -> bytes:
    """The whole answer. It names no server and explains nothing, and the connection ends with it."""
    lines = [f"HTTP/1.1 {status.value} {status.phrase}"]
    if status is Refusal.METHOD_NOT_ALLOWED:
        lines.append("Allow: GET, HEAD")  # RFC 9110 §15.5.6
    if body:
        # RFC 8555 §8.3's own example; a text type would let a proxy touch the bytes
        lines += ["Content-Type: application/octet-stream", "X-Content-Type-Options: nosniff"]
    lines += ["Cache-Control: no-store", f"Content-Length: {len(body)}", "Connection: close", "", ""]
    return "\r\n".join(lines).encode("ascii") + (b"" if head_only else body)
