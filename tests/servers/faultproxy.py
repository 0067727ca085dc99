"""A network that fails on demand, between the agent and Pebble.

It ends TLS on both sides and passes requests and answers on as they are. Pebble builds every URL from the
Host header and checks a JWS's `url` against it (RFC 8555, section 6.4), so passing the client's Host on
unchanged is all it takes for directory, Location and Link to lead through the proxy.

    proxy.inject(unavailable(retry_after="2"), path=NEW_ORDER)      the next newOrder gets 503
    proxy.inject(Reset(acted=True), path=FINALIZE)                  the authority acts, its reply is lost
    proxy.inject(problem("rateLimited", 429), skip=3, times=None)   everything from the fourth request on
"""

import base64
import contextlib
import http.client
import http.server
import json
import socket
import socketserver
import ssl
import struct
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from typing import Any, Self, cast

from .certificates import ServerRoot
from .pebble import Pebble
from .ports import free_port, release

# Pebble's paths; other authorities have others, which a client must not know.
DIRECTORY = "/dir"
NEW_NONCE = "/nonce-plz"
NEW_ACCOUNT = "/sign-me-up"
NEW_ORDER = "/order-plz"
AUTHORIZATION = "/authZ/"
CHALLENGE = "/chalZ/"
FINALIZE = "/finalize-order/"
ORDER = "/my-order/"
CERTIFICATE = "/certZ/"
REVOKE = "/revoke-cert"
RENEWAL_INFO = "/draft-ietf-acme-ari-03/renewalInfo"

_UPSTREAM_TIMEOUT = 30
_HOP_BY_HOP = {
    "connection",
    "keep-alive",
    "transfer-encoding",
    "te",
    "trailer",
    "upgrade",
    "proxy-connection",
}


# --- what can go wrong --------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Answer:
    """The proxy answers by itself; the authority never hears of the request."""

    status: int
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    nonce: bool = False
    """Add a fresh nonce of the authority, as its own refusals carry (RFC 8555, section 6.5)."""


@dataclass(frozen=True, slots=True)
class Reset:
    """The connection is reset (RST) instead of an answer."""

    acted: bool = False
    """The authority has done what was asked, and only its reply is lost."""


@dataclass(frozen=True, slots=True)
class Refuse:
    """The authority goes down with this request: nobody listens any more, until `FaultProxy.listen`."""


@dataclass(frozen=True, slots=True)
class Delay:
    """The answer comes after so many seconds."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Drip:
    """The body comes byte by byte, with a pause before each: a time limit per read never ends this."""

    pause: float


@dataclass(frozen=True, slots=True)
class Truncate:
    """The authority acts; its answer announces its full length and ends after so many bytes of the body."""

    keep: int = 10


@dataclass(frozen=True, slots=True)
class SwapNonce:
    """The answer's nonce is replaced, so that the next request which uses it is refused as badNonce."""

    nonce: str = "bm90LWEtbm9uY2Utb2YtdGhlLWF1dGhvcml0eQ"


Fault = Answer | Reset | Refuse | Delay | Drip | Truncate | SwapNonce


def unavailable(*, retry_after: str | None = "1", status: int = 503) -> Answer:
    """A load balancer's short refusal; Retry-After in seconds or as an HTTP date (RFC 9110, 10.2.3)."""
    headers = {} if retry_after is None else {"Retry-After": retry_after}
    return Answer(status, b"upstream connect error\n", {"Content-Type": "text/plain", **headers})


def problem(  # one keyword for each member of the document
    kind: str,
    status: int,
    detail: str = "refused by the test",
    *,
    retry_after: str | None = None,
    headers: Mapping[str, str] | None = None,
    **members: Any,
) -> Answer:
    """A problem document (RFC 7807) of type urn:ietf:params:acme:error:KIND, with a fresh nonce."""
    document = {"type": f"urn:ietf:params:acme:error:{kind}", "detail": detail, "status": status, **members}
    all_headers = {"Content-Type": "application/problem+json", **(headers or {})}
    if retry_after is not None:
        all_headers["Retry-After"] = retry_after
    return Answer(status, json.dumps(document).encode(), all_headers, nonce=True)


def html(status: int = 200) -> Answer:
    """A page for people where a document for programs belongs, as captive portals and broken CDNs send."""
    return Answer(
        status, b"<!doctype html><title>Welcome</title><h1>Please log in</h1>", {"Content-Type": "text/html"}
    )


# --- what was seen ------------------------------------------------------------------------------------------


@dataclass(slots=True)
class Exchange:
    """A request that came to the proxy and what became of it."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes
    fault: Fault | None = None
    status: int | None = None
    """What the client was answered; None when it was answered nothing."""

    @property
    def protected(self) -> dict[str, Any]:
        """The protected header of the JWS: alg, nonce, url, kid or jwk."""
        return self._part("protected")

    @property
    def payload(self) -> dict[str, Any]:
        """The payload of the JWS; empty for POST-as-GET."""
        return self._part("payload")

    def _part(self, name: str) -> dict[str, Any]:
        encoded: str = json.loads(self.body)[name]
        decoded = base64.urlsafe_b64decode(encoded + "=" * (-len(encoded) % 4))
        return cast("dict[str, Any]", json.loads(decoded)) if decoded else {}


@dataclass(slots=True)
class _Rule:
    fault: Fault
    method: str | None
    path: str
    skip: int
    times: int | None
    when: Callable[[Exchange], bool] | None

    def takes(self, exchange: Exchange) -> bool:
        """Whether it strikes this request; counts it."""
        if self.method not in {None, exchange.method} or not exchange.path.startswith(self.path):
            return False
        if self.when is not None and not self.when(exchange):
            return False
        if self.skip > 0:
            self.skip -= 1
            return False
        if self.times is None:
            return True
        self.times -= 1
        return self.times >= 0


class FaultProxy:
    """A proxy in front of one Pebble, in threads of this process."""

    def __init__(self, pebble: Pebble, workdir: Path) -> None:
        """Prepare one in front of `pebble`; `start` starts it. `workdir` keeps its certificate."""
        self._pebble = pebble
        self._workdir = workdir
        self.port = free_port()
        self.ca_bundle = workdir / "proxy-ca.pem"
        self._rules: list[_Rule] = []
        self._seen: list[Exchange] = []
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._server: _Server | None = None
        self._thread: threading.Thread | None = None
        self._context: ssl.SSLContext | None = None
        self._listening = threading.Lock()

    @property
    def directory(self) -> str:
        """The authority's directory, through the proxy."""
        return f"https://127.0.0.1:{self.port}{DIRECTORY}"

    @property
    def seen(self) -> tuple[Exchange, ...]:
        """Every request so far, in order of arrival."""
        with self._lock:
            return tuple(self._seen)

    @property
    def struck(self) -> tuple[Exchange, ...]:
        """The requests with which something went wrong."""
        return tuple(each for each in self.seen if each.fault is not None)

    def requests(self, path: str, method: str | None = None) -> tuple[Exchange, ...]:
        """The requests so far whose path begins with `path`."""
        return tuple(
            each for each in self.seen if each.path.startswith(path) and method in {None, each.method}
        )

    def inject(
        self,
        fault: Fault,
        *,
        path: str = "",
        method: str | None = None,
        skip: int = 0,
        times: int | None = 1,
        when: Callable[[Exchange], bool] | None = None,
    ) -> None:
        """Let matching requests fail: those after the first `skip`, `times` of them (None: all).

        Earlier rules come first; one that has struck as often as it should lets the next ones see requests.
        """
        with self._lock:
            self._rules.append(_Rule(fault, method, path, skip, times, when))

    def clear(self) -> None:
        """Forget all rules; the network is well again."""
        with self._lock:
            self._rules.clear()

    def start(self) -> Self:
        """Listen; returns when connections are accepted."""
        self._workdir.mkdir(parents=True, exist_ok=True)
        root = ServerRoot("fault proxy")
        root.write(self.ca_bundle)
        pair = root.issue(self._workdir, "localhost", "127.0.0.1", stem="proxy")
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(pair.cert, pair.key)
        self._context = context
        self._stopping.clear()
        self.listen()
        return self

    def listen(self) -> None:
        """Accept connections again, after `refuse`; no matter if it does."""
        with self._listening:
            if self._server is not None or self._context is None:
                return
            self._server = _Server(self, self._context)
            self._thread = threading.Thread(
                target=self._server.serve_forever,
                kwargs={"poll_interval": 0.02},
                name="fault proxy",
                daemon=True,
            )
            self._thread.start()

    def refuse(self) -> None:
        """Stop listening and end every connection: the next ones are refused."""
        with self._listening:
            if self._server is not None and self._thread is not None:
                self._server.shutdown()
                self._thread.join()
                self._server.server_close()
                self._server.drop_connections()
                self._server = self._thread = None

    def stop(self) -> None:
        """Stop listening, end every connection, and give the port back."""
        self._stopping.set()
        self.refuse()
        release(self.port)

    # --- for the handler --------------------------------------------------------------------------------

    def strike(self, exchange: Exchange) -> Fault | None:
        """Note a request and say what is to go wrong with it."""
        with self._lock:
            self._seen.append(exchange)
            exchange.fault = next((rule.fault for rule in self._rules if rule.takes(exchange)), None)
            return exchange.fault

    def pause(self, seconds: float) -> None:
        """Wait, but not past the proxy's end."""
        self._stopping.wait(seconds)

    def upstream(self) -> http.client.HTTPSConnection:
        """A new connection to the authority."""
        context = ssl.create_default_context(cafile=str(self._pebble.ca_bundle))
        return http.client.HTTPSConnection(
            "127.0.0.1", self._pebble.port, timeout=_UPSTREAM_TIMEOUT, context=context
        )

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()


class _Server(socketserver.ThreadingTCPServer):
    """Accepts connections; TLS begins in each connection's own thread, so that a slow client stops nobody."""

    allow_reuse_address = True
    daemon_threads = True

    def __init__(self, proxy: FaultProxy, context: ssl.SSLContext) -> None:
        self.proxy = proxy
        self.context = context
        self.connections: set[socket.socket] = set()
        self.lock = threading.Lock()
        super().__init__(("127.0.0.1", proxy.port), _Handler)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of a client that went away: that is what is being tested."""

    def drop_connections(self) -> None:
        """End the reads of every handler."""
        with self.lock:
            for connection in self.connections:
                with contextlib.suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)


class _Handler(http.server.BaseHTTPRequestHandler):
    """One client connection, with one connection to the authority of its own."""

    protocol_version = "HTTP/1.1"
    server: _Server

    def setup(self) -> None:
        """Begin TLS."""
        plain = self.request
        with self.server.lock:
            self.server.connections.add(plain)
        try:
            self.request = self.server.context.wrap_socket(plain, server_side=True)
        finally:
            # wrap_socket detaches the plain socket, also when it fails after the handshake began.
            with self.server.lock:
                self.server.connections.discard(plain)
        with self.server.lock:
            self.server.connections.add(self.request)
        self._upstream: http.client.HTTPSConnection | None = None
        super().setup()

    def finish(self) -> None:
        """Close both connections, whatever state the faults have left them in."""
        with self.server.lock:
            self.server.connections.discard(self.request)
        if self._upstream is not None:
            self._upstream.close()
        with contextlib.suppress(OSError, ValueError):
            super().finish()
        with contextlib.suppress(OSError):
            self.request.close()

    def handle(self) -> None:
        """Serve requests until the client goes or a fault ends the connection."""
        with contextlib.suppress(OSError, ValueError, http.client.HTTPException):
            super().handle()

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  the base class names it so
        """Nothing: tests ask `seen`."""

    def _serve(self) -> None:  # noqa: C901  one branch a fault
        length = int(self.headers.get("Content-Length", "0"))
        body = self.rfile.read(length)
        exchange = Exchange(self.command, self.path, dict(self.headers.items()), body)
        fault = self.server.proxy.strike(exchange)
        match fault:
            case Answer():
                headers = dict(fault.headers)
                if fault.nonce:
                    headers["Replay-Nonce"] = self._fresh_nonce()
                self._answer(exchange, fault.status, list(headers.items()), fault.body)
                return
            case Reset(acted=False) | Refuse():
                self._reset()
                if isinstance(fault, Refuse):
                    self.server.proxy.refuse()
                return
            case Delay():
                self.server.proxy.pause(fault.seconds)
            case _:
                pass

        status, headers_back, answer = self._forward(body)
        match fault:
            case Reset():
                self._reset()
            case SwapNonce():
                kept = [(name, value) for name, value in headers_back if name.lower() != "replay-nonce"]
                self._answer(exchange, status, [*kept, ("Replay-Nonce", fault.nonce)], answer)
            case Truncate():
                self._head(exchange, status, headers_back, len(answer))
                self.wfile.write(answer[: min(fault.keep, len(answer) - 1)] if answer else b"")
                self.close_connection = True
            case Drip():
                self._head(exchange, status, headers_back, len(answer))
                for position in range(len(answer)):
                    self.server.proxy.pause(fault.pause)
                    self.wfile.write(answer[position : position + 1])
                    self.wfile.flush()
            case _:
                self._answer(exchange, status, headers_back, answer)

    do_GET = do_HEAD = do_POST = _serve  # noqa: N815  the base class looks for these names

    def _forward(self, body: bytes) -> tuple[int, list[tuple[str, str]], bytes]:
        if self._upstream is None:
            self._upstream = self.server.proxy.upstream()
        headers = {name: value for name, value in self.headers.items() if name.lower() not in _HOP_BY_HOP}
        try:
            self._upstream.request(self.command, self.path, body or None, headers)
            response = self._upstream.getresponse()
            answer = response.read()
        except OSError:
            # The authority is down: so is the connection that leads to it.
            self._reset()
            raise
        kept = [
            (name, value)
            for name, value in response.getheaders()
            if name.lower() not in _HOP_BY_HOP and name.lower() != "content-length"
        ]
        if self.command == "HEAD":
            kept.append(("Content-Length", response.getheader("Content-Length", "0")))
        return response.status, kept, answer

    def _answer(self, exchange: Exchange, status: int, headers: list[tuple[str, str]], body: bytes) -> None:
        self._head(exchange, status, headers, len(body))
        if self.command != "HEAD":
            self.wfile.write(body)

    def _head(self, exchange: Exchange, status: int, headers: list[tuple[str, str]], length: int) -> None:
        exchange.status = status
        self.send_response_only(status)
        for name, value in headers:
            self.send_header(name, value)
        # No body and no length for 204 (RFC 9110, section 8.6); HEAD brings the authority's own.
        if status != HTTPStatus.NO_CONTENT and not (
            self.command == "HEAD" and any(name.lower() == "content-length" for name, _ in headers)
        ):
            self.send_header("Content-Length", str(length))
        self.end_headers()

    def _fresh_nonce(self) -> str:
        upstream = self.server.proxy.upstream()
        try:
            upstream.request("HEAD", NEW_NONCE, headers={"User-Agent": "renewer-tests"})
            response = upstream.getresponse()
            response.read()
            return response.getheader("Replay-Nonce", "")
        finally:
            upstream.close()

    def _reset(self) -> None:
        """Send a real RST: close without lingering, and without TLS's farewell."""
        self.close_connection = True
        with self.server.lock:
            self.server.connections.discard(self.request)
        with socket.socket(fileno=self.request.detach()) as bare:
            bare.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
