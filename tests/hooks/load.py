"""A load of HTTPS requests, each over a connection of its own that must verify, and how they went."""

import contextlib
import re
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from tests.hooks.bed import NAME
from tests.hooks.sessions import Session

_REQUEST = f"GET /index.html HTTP/1.1\r\nHost: {NAME}\r\nConnection: close\r\n\r\n".encode()
_PATIENCE = 5  # seconds for each step of a request
_THREADS = 2
_REST = 0.05  # seconds between two sessions of a thread: a mail server counts who comes too often


@dataclass
class Count:
    """How the requests went.

    `dropped` had their connection refused, reset, closed early or left without an answer. `broken` are the
    reasons of handshakes that failed in TLS: an untrusted chain, a wrong name, a key that is not the
    certificate's.
    """

    answered: int = 0
    dropped: int = 0
    broken: list[str] = field(default_factory=list)
    serials: set[str] = field(default_factory=set)
    seconds: float = 0

    @property
    def requests(self) -> int:
        """All of them."""
        return self.answered + self.dropped + len(self.broken)


@contextlib.contextmanager
def load(port: int, roots: Path, kind: str | None = None) -> Iterator[Count]:
    """Requests from several threads, as fast as they are answered, for as long as the block takes.

    Each is one over HTTPS; with a `kind` of session, one that is opened, used and closed.
    """
    count, ended, lock = Count(), threading.Event(), threading.Lock()

    def ask() -> None:
        context = ssl.create_default_context(cafile=str(roots))
        while not ended.is_set():
            serial, broken = _tried(port, context, kind)
            if kind:
                time.sleep(_REST)
            with lock:
                if serial is not None:
                    count.answered += 1
                    count.serials.add(serial)
                elif broken is not None:
                    count.broken.append(broken)
                else:
                    count.dropped += 1

    threads = [threading.Thread(target=ask, daemon=True) for _ in range(_THREADS)]
    begun = time.monotonic()
    for thread in threads:
        thread.start()
    try:
        yield count
    finally:
        ended.set()
        for thread in threads:
            thread.join(_PATIENCE * 4)
        count.seconds = time.monotonic() - begun


def _tried(port: int, context: ssl.SSLContext, kind: str | None) -> tuple[str | None, str | None]:
    """The serial that answered, or how TLS failed, or neither: dropped."""
    try:
        return (_session(kind, port, context) if kind else _request(port, context)), None
    except (ssl.SSLEOFError, ssl.SSLZeroReturnError):
        return None, None  # the connection was closed
    except ssl.SSLError as error:
        return None, str(error)
    except OSError:
        return None, None


def _session(kind: str, port: int, context: ssl.SSLContext) -> str:
    """One session; the serial of the certificate that was shown, in lower-case hex."""
    with Session(kind, port, context) as session:
        if kind != "xmpp" and not session.alive():  # a stream that lives says nothing
            raise ConnectionError("no answer")
        return session.serial


def _request(port: int, context: ssl.SSLContext) -> str:
    """One request; the serial of the certificate that was shown, in lower-case hex."""
    with (
        socket.create_connection(("127.0.0.1", port), timeout=_PATIENCE) as plain,
        context.wrap_socket(plain, server_hostname=NAME) as secured,
    ):
        shown = secured.getpeercert() or {}
        secured.sendall(_REQUEST)
        answer = b"".join(iter(lambda: secured.recv(65536), b""))
    head, _, body = answer.partition(b"\r\n\r\n")
    length = re.search(rb"^content-length: *(\d+)", head, re.IGNORECASE | re.MULTILINE)
    if not head.startswith(b"HTTP/1.1 200 ") or length is None or len(body) != int(length[1]):
        raise ConnectionError(f"no whole answer: {answer[:80]!r}")
    return str(shown["serialNumber"]).lower()
