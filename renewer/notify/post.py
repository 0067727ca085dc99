"""One POST to a URL that is a secret: bounded in time and size, no redirect, no word of the URL.

Over TLS that is verified, by way of the environment's proxy if there is one; in clear to a loopback address
only.
"""

import http.client
import socket
import ssl
from collections.abc import Mapping
from urllib.parse import SplitResult, urlsplit

from renewer import __version__
from renewer.config import scalars
from renewer.errors import GiveUp, RetryLater
from renewer.notify.connect import connect, deadline_in, is_loopback, lines, secured, send
from renewer.notify.proxies import proxy_for, tunnel

_LARGEST = 16 * 1024  # bytes of an answer that are read; only its status matters


def post(  # noqa: PLR0913  each by its name
    url: str,
    body: bytes,
    headers: Mapping[str, str],
    *,
    limit: float,
    ca_bundle: str | None = None,
    proxy: str | None = None,
) -> int:
    """Send a body and return the status of the answer; `limit` in seconds is for all of it.

    `proxy` (a URL, perhaps with a password) comes before that of the environment. Raises RetryLater if there
    was no answer, GiveUp for a URL that cannot be used.
    """
    parts = _parts(url)
    what, deadline = f"{parts.scheme}://{parts.hostname}", deadline_in(limit)
    try:
        with _connected(parts, deadline, proxy) as plain:
            if parts.scheme == "http" and not is_loopback(plain):
                raise GiveUp(
                    f"{what} is not a loopback address: nothing is told in clear",
                    hint="use a URL that begins with https://",
                    kind="channel",
                )
            sock = plain
            if parts.scheme == "https":
                sock = secured(plain, parts.hostname or "", ca_bundle, deadline)
            with sock:
                return _answered(sock, _request(parts, body, headers), deadline)
    except TimeoutError:
        raise RetryLater(f"{what} gave no answer in {limit:g} s", kind="channel") from None
    except ssl.SSLCertVerificationError as error:
        why, hint = error.verify_message, "for a private authority: ca_bundle"
        raise RetryLater(
            f"{what}: its certificate is not trusted: {why}", hint=hint, kind="channel"
        ) from None
    except OSError as error:
        raise RetryLater(f"{what}: {(error.strerror or str(error)).lower()}", kind="channel") from None
    except (http.client.HTTPException, ValueError):
        raise RetryLater(f"{what} does not speak HTTP", kind="channel") from None


def _answered(sock: socket.socket, request: bytes, deadline: float) -> int:
    send(sock, request, deadline)
    answer = http.client.HTTPResponse(_Readable(lines(sock, deadline, _LARGEST)), method="POST")  # type: ignore[arg-type]
    answer.begin()
    return answer.status


def _connected(parts: SplitResult, deadline: float, ours: str | None) -> socket.socket:
    host, port = parts.hostname or "", _port(parts)
    proxy = proxy_for(host, port, ours) if parts.scheme == "https" else None
    return connect(host, port, deadline) if proxy is None else tunnel(proxy, host, port, deadline)


class _Readable:
    """What http.client asks of a socket."""

    def __init__(self, stream: object) -> None:
        self._stream = stream

    def makefile(self, _mode: str) -> object:
        return self._stream


def _parts(url: str) -> SplitResult:
    try:
        return urlsplit(scalars.url(url, ("https", "http")))
    except ValueError as error:
        hint = "write it as https://host/path, without user and password"
        raise GiveUp(f"the URL {error}", hint=hint, kind="channel") from None


def _port(parts: SplitResult) -> int:
    return parts.port or (443 if parts.scheme == "https" else 80)


def _request(parts: SplitResult, body: bytes, headers: Mapping[str, str]) -> bytes:
    fields = {
        "Host": parts.netloc,
        "User-Agent": f"renewer/{__version__}",
        "Content-Length": str(len(body)),
        "Connection": "close",
        **headers,
    }
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    head = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
    return f"POST {path} HTTP/1.1\r\n{head}\r\n".encode("ascii") + body
