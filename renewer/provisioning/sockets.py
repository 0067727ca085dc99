"""Getting the listening sockets: from systemd if it handed them over, else by binding the address."""

import contextlib
import errno
import os
import re
import socket
from collections.abc import Callable, Iterator, Sequence
from ipaddress import ip_address
from pathlib import Path
from typing import Protocol

from renewer import words
from renewer.errors import GiveUp, RenewerError, RetryLater

_FIRST_HANDED = 3  # sd_listen_fds(3): SD_LISTEN_FDS_START
_BACKLOG = 64


class Serving(Protocol):
    """A server on sockets that are its own from now on."""

    def show(self, what: str, answer: bytes) -> None:
        """Answer who asks for this path by a body, for this server name by a key with its certificate."""

    def hide(self, what: str) -> None:
        """Answer no more for it; what is not shown is no error."""

    def stop(self) -> None:
        """Close the sockets."""


Serve = Callable[[Sequence[socket.socket]], Serving]


def split(listen: str) -> tuple[str, int]:
    """Host and port of "HOST:PORT", "[v6]:PORT", ":PORT" or "*:PORT" (the last two: every address).

    Raises GiveUp if it is none of them.
    """
    found = re.fullmatch(r"(?:\[(?P<six>[^\]]*)\]|(?P<host>[^:\[\]]*)):(?P<port>\d{1,5})", listen)
    if found is None or int(found["port"]) > 65535:
        raise GiveUp(
            f"listen = {listen!r} is not HOST:PORT",
            hint='write an address and a port, for example "0.0.0.0:80" or "[::]:80"',
            kind="listen",
        )
    host = found["six"] or found["host"] or "::"
    return ("::" if host == "*" else host), int(found["port"])


def open_for(listen: str) -> list[socket.socket]:
    """Listening sockets for the address: systemd's if it handed over fitting ones, else our own.

    Raises RetryLater (taken, address not there yet) or GiveUp (no right, no such address).
    """
    host, port = split(listen)
    return handed_over(host, port) or _bind(listen, host, port)


def handed_over(host: str, port: int) -> list[socket.socket]:
    """Duplicates of the sockets that systemd gave to this very process for that port (sd_listen_fds(3)).

    An exact address fits, and so does one side that means every address: with systemd holding [::]:80
    nobody could bind 0.0.0.0:80 beside it anyway.
    """
    if os.environ.get("LISTEN_PID") != str(os.getpid()):
        return []
    count = os.environ.get("LISTEN_FDS", "")
    found = []
    for fd in range(_FIRST_HANDED, _FIRST_HANDED + (int(count) if count.isdecimal() else 0)):
        sock = _duplicate(fd)
        if sock is None:
            continue
        if _fits(sock, host, port):
            found.append(sock)
        else:
            sock.close()
    return found


def _duplicate(fd: int) -> socket.socket | None:
    """Our own descriptor of it; the original stays open, for it may be asked for again in this run."""
    try:
        os.set_inheritable(fd, False)  # hooks have no business with it
        copy = os.dup(fd)
    except OSError:
        return None
    try:
        return socket.socket(fileno=copy)
    except OSError:  # no socket at all
        os.close(copy)
        return None


def _fits(sock: socket.socket, host: str, port: int) -> bool:
    if sock.family not in (socket.AF_INET, socket.AF_INET6) or sock.type != socket.SOCK_STREAM:
        return False
    if not sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
        return False
    bound_host, bound_port = sock.getsockname()[:2]
    return bool(bound_port == port) and (
        _is_any(host) or _is_any(bound_host) or _normal(host) == _normal(bound_host)
    )


def _normal(host: str) -> str:
    try:
        return ip_address(host).compressed
    except ValueError:
        return host


def _is_any(host: str) -> bool:
    return _normal(host) in ("0.0.0.0", "::")  # noqa: S104  compared, not bound


def _bind(listen: str, host: str, port: int) -> list[socket.socket]:
    try:
        literal = socket.AI_PASSIVE | socket.AI_NUMERICHOST  # nobody is asked where it is
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=literal)
    except OSError as error:
        raise GiveUp(
            f"listen = {listen!r}: {host} is no address of this host ({error.strerror})",
            hint="write an IP address",
            kind="listen",
        ) from error
    opened: list[socket.socket] = []
    addresses = dict.fromkeys((family, address) for family, _, _, _, address in found)
    try:
        for family, address in addresses:
            sock = socket.socket(family, socket.SOCK_STREAM)
            opened.append(sock)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                # [::] alone takes IPv4, too, whatever net.ipv6.bindv6only says
                sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, int(len(addresses) > 1))
            sock.bind(address)
            sock.listen(_BACKLOG)
    except OSError as error:
        for sock in opened:
            sock.close()
        raise _refused(listen, port, error) from error
    return opened


def _refused(listen: str, port: int, error: OSError) -> RenewerError:
    if error.errno == errno.EADDRINUSE:
        return RetryLater(
            f"cannot listen on {listen}: port {port} is taken by {of_port(port)}",
            hint="a web server can answer for us: use `webroot` instead of `listen`, or let it pass "
            "challenges on (renewer challenge snippet); or stop it by `before`",
            kind="port-taken",
        )
    if error.errno in (errno.EACCES, errno.EPERM):
        return GiveUp(
            f"cannot listen on {listen}: no right to use port {port}",
            hint="ports below 1024 need root, CAP_NET_BIND_SERVICE (AmbientCapabilities= in the unit) or a "
            "socket handed over by systemd; or use `webroot`",
            kind="listen",
        )
    if error.errno == errno.EADDRNOTAVAIL:
        return RetryLater(
            f"cannot listen on {listen}: no interface has this address (yet)",
            hint='correct it, or listen on every address: "[::]:80"',
            kind="listen",
        )
    if error.errno == errno.EAFNOSUPPORT:
        return GiveUp(
            f"cannot listen on {listen}: this system has no such address family",
            hint='without IPv6 write "0.0.0.0:80"',
            kind="listen",
        )
    return RetryLater(f"cannot listen on {listen}: {error.strerror or error}", kind="listen")


_LISTEN = "0A"  # TCP_LISTEN in /proc/net/tcp
_PROC = Path("/proc")


def of_port(port: int) -> str:
    """The processes that listen on a TCP port, as "nginx (pid 812)"; or words for not knowing."""
    inodes = set(_listening_inodes(port))
    found = sorted(set(_processes_with(inodes))) if inodes else []
    if found:
        names = [f"{name} (pid {pid})" for pid, name in found]
        return words.several(names)
    return "another process (which one only root can see)" if os.geteuid() else "another process"


def _listening_inodes(port: int) -> Iterator[str]:
    for table in ("tcp", "tcp6"):
        with contextlib.suppress(OSError, ValueError, IndexError):
            for line in (_PROC / "net" / table).read_text().splitlines()[1:]:
                fields = line.split()
                if fields[3] == _LISTEN and int(fields[1].rpartition(":")[2], 16) == port:
                    yield fields[9]


def _processes_with(inodes: set[str]) -> Iterator[tuple[int, str]]:
    wanted = {f"socket:[{inode}]" for inode in inodes}
    for entry in _PROC.iterdir():
        if not entry.name.isdecimal():
            continue
        with contextlib.suppress(OSError):  # not ours to see, or just ended
            if any(_readlink(fd) in wanted for fd in (entry / "fd").iterdir()):
                yield int(entry.name), _name(entry)


def _readlink(path: Path) -> str:
    try:
        return str(path.readlink())
    except OSError:  # closed meanwhile
        return ""


def _name(entry: Path) -> str:
    name = (entry / "comm").read_text(errors="replace").strip()
    return words.line(name)
