"""The way out through an HTTP proxy, where [agent] or the environment names one, for who is told.

HTTPS_PROXY, ALL_PROXY and NO_PROXY count, in small letters too, as curl and requests read them. Only HTTPS
goes through it, by CONNECT (RFC 9110 §9.3.6), so that the proxy learns the host and nothing else.
"""

import base64
import http.client
import os
import socket
from urllib.parse import SplitResult, unquote, urlsplit

from renewer.network.challenges.bounded import Bounded
from renewer.notify.connect import connect, secured, send

_LARGEST = 64 * 1024  # bytes of what a proxy says before the tunnel
_PORTS = {"http": 80, "https": 443}


class ProxyError(OSError):
    """The proxy cannot be used, or lets nobody through; says nothing of its password."""


def proxy_for(host: str, port: int, ours: str | None = None) -> SplitResult | None:
    """The proxy for https://host:port, by the config (`ours`) or the environment; None if NO_PROXY spares it.

    Raises ProxyError if it is no URL of an HTTP proxy.
    """
    names = ("https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY")
    given = ours or next((found for name in names if (found := os.environ.get(name, "").strip())), None)
    if given is None or _spared(host, port):
        return None
    try:
        parts = urlsplit(given if "://" in given else f"http://{given}")
        usable = parts.scheme in _PORTS and parts.hostname and (parts.port or True)
    except ValueError:
        usable = None
    if not usable:
        raise ProxyError(f"the proxy in {'[agent]' if ours else 'HTTPS_PROXY'} is no URL of an HTTP proxy")
    return parts


def _spared(host: str, port: int) -> bool:
    from urllib.request import proxy_bypass  # costs milliseconds: only where there is a proxy

    return bool(proxy_bypass(f"{host}:{port}") or proxy_bypass(host))


def tunnel(proxy: SplitResult, host: str, port: int, deadline: float) -> socket.socket:
    """A connection to a host by way of a proxy; `deadline` is on clock.monotonic. Raises OSError."""
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
        send(sock, _request(proxy, host, port), deadline)
        _let_through(_status(sock, deadline, where), where, f"{host}:{port}")
    except BaseException:
        sock.close()
        raise
    return sock


def _let_through(status: int, where: str, target: str) -> None:
    if not 200 <= status < 300:
        unknown = status == http.client.PROXY_AUTHENTICATION_REQUIRED
        why = ": it wants another user and password" if unknown else ""
        raise ProxyError(f"{where} lets nobody through to {target}, it answered {status}{why}")


def _request(proxy: SplitResult, host: str, port: int) -> bytes:
    target = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    lines = [f"CONNECT {target} HTTP/1.1", f"Host: {target}"]
    if proxy.username:
        pair = f"{unquote(proxy.username)}:{unquote(proxy.password or '')}".encode()
        lines.append(f"Proxy-Authorization: Basic {base64.b64encode(pair).decode('ascii')}")
    return "\r\n".join([*lines, "", ""]).encode("ascii")


def _status(sock: socket.socket, deadline: float, where: str) -> int:
    """What it answers, up to the empty line and not a byte further: what follows is TLS."""
    stream = Bounded(sock, deadline, _LARGEST)
    head = b""
    while not head.endswith((b"\r\n\r\n", b"\n\n")):
        one = stream.read(1)
        if not one:
            raise ProxyError(f"{where} hung up before the tunnel stood")
        head += one
    words = head.split(None, 2)
    if len(words) < 2 or not words[0].startswith(b"HTTP/") or not words[1].isdigit():
        raise ProxyError(f"{where} does not answer as a proxy does")
    return int(words[1][:3])
