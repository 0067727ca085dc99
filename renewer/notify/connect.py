"""A connection to somebody who is told, made and used within one time limit, whatever the other side does."""

import io
import socket
import threading
from ipaddress import ip_address

from renewer import clock
from renewer.network import tls
from renewer.network.challenges.bounded import Bounded, left

Found = list[tuple[int, tuple[str | int, ...]]]


def connect(host: str, port: int, deadline: float) -> socket.socket:
    """A TCP connection to the first address that answers; `deadline` is on `clock.monotonic`.

    Raises OSError, TimeoutError among them.
    """
    error: OSError = OSError(f"{host} has no address")
    for family, address in _addresses(host, port, deadline):
        sock = socket.socket(family, socket.SOCK_STREAM)
        try:
            sock.settimeout(left(deadline))
            sock.connect(address)
        except OSError as failure:
            sock.close()
            error = failure
        else:
            return sock
    raise error


def secured(sock: socket.socket, host: str, roots: str | None, deadline: float) -> socket.socket:
    """TLS over a connection: a certificate that leads to `roots` (None: the system's) and names the host.

    Raises OSError (ssl.SSLError is one); closes what it was given then.
    """
    try:
        sock.settimeout(left(deadline))
        return tls.verifying(roots or tls.SYSTEM).wrap_socket(sock, server_hostname=host)
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
    """What the other side sends, until a deadline and up to a number of bytes."""
    return io.BufferedReader(Bounded(sock, deadline, limit))


def send(sock: socket.socket, data: bytes, deadline: float) -> None:
    """All of it, or TimeoutError: a side that reads a drop at a time does not hold us."""
    view = memoryview(data)
    while view:
        sock.settimeout(left(deadline))
        view = view[sock.send(view[:16384]) :]


def _addresses(host: str, port: int, deadline: float) -> Found:
    """The addresses of a host; the system's resolver knows no time limit: it is left behind if it is slow."""
    answer: list[Found | OSError] = []

    def ask() -> None:
        try:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
            answer.append([(family, address) for family, _, _, _, address in found])  # type: ignore[misc]
        except (OSError, UnicodeError) as error:
            answer.append(error if isinstance(error, OSError) else OSError(str(error)))

    resolver = threading.Thread(target=ask, name=f"resolve {host}", daemon=True)
    resolver.start()
    resolver.join(left(deadline))
    if not answer:
        raise TimeoutError
    if isinstance(answer[0], OSError):
        raise answer[0]
    return answer[0]


def deadline_in(seconds: float) -> float:
    """The end of a time limit that begins now."""
    return clock.monotonic() + seconds
