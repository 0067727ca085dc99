"""Requests to an authority: bounded in time and size, over kept connections, from any thread.

acme's own ClientNetwork is not used: it drops the headers of refusals and the problem of a 409, retries a
refused nonce once only, has no bound on a whole reply, is not made for threads, and drags in pyOpenSSL. Its
signatures (`acme.jws`) are used, on main's side of the door.
"""

import contextlib
import http.client
import re
import select
import socket
import ssl
import threading
import weakref
from collections import defaultdict, deque
from collections.abc import Callable
from datetime import timedelta
from typing import NamedTuple, TypeVar
from urllib.parse import SplitResult, quote, urlsplit

from renewer import __version__, clock, words
from renewer.errors import GiveUp, RenewerError, RetryLater
from renewer.network import http as wire
from renewer.network import tls
from renewer.network.acme import problems, retry_after
from renewer.network.acme.lost import DATES, Lost, Unreached, elsewhere
from renewer.network.acme.reply import Headers, Reply, join

T = TypeVar("T")
USER_AGENT = f"renewer/{__version__} (+python; linux)"  # RFC 8555 §6.1: every client must send one
MAX_BODY = 1 << 20  # octets; the longest chains are a hundredth of it
_CHUNK = 1 << 16
_HTTPS = 443
_POOL = 64  # connections kept; more than anybody's workers
_PAUSES = (0.2, 0.8)  # seconds before a request whose reply was lost is sent again
_MIN_NONCE_TRIES = 30
REDIRECTS = (301, 302, 303, 307, 308)
_MAX_REDIRECTS = 5
_JSON = "application/json"
_NONCE = re.compile(r"[A-Za-z0-9_-]+")  # RFC 8555 §6.5.1: a nonce that is not base64url is to be ignored
_REACH = "check the URL, this host's DNS and its way out (firewall, proxy)"
_SAFE = "!#$%&'()*+,/:;=?@[]~"  # of a URL: what it may have as it is, quoted octets among them
_HEADER = 1 << 18  # octets of an answer's header


class _Place(NamedTuple):
    """Where a connection leads."""

    host: str
    port: int


class _Kept:
    """Connections that were used and are kept: each for one request at a time."""

    def __init__(self) -> None:
        self._idle: defaultdict[_Place, list[ssl.SSLSocket]] = defaultdict(list)
        self._guard = threading.Lock()
        weakref.finalize(self, _end, self._idle)

    def take(self, place: _Place) -> ssl.SSLSocket | None:
        """One that still stands: who has something to say, its end mostly, is not asked."""
        while True:
            with self._guard:
                if not self._idle[place]:
                    return None
                sock = self._idle[place].pop()
            heard = select.poll()
            heard.register(sock, select.POLLIN)
            if not heard.poll(0):
                return sock
            sock.close()

    def keep(self, place: _Place, sock: ssl.SSLSocket) -> None:
        """For the next one."""
        with self._guard:
            if len(self._idle[place]) < _POOL:
                self._idle[place].append(sock)
                return
        sock.close()

    def close(self) -> None:
        """All of them."""
        with self._guard:
            _end(self._idle)


def _end(idle: dict[_Place, list[ssl.SSLSocket]]) -> None:
    for some in idle.values():
        while some:
            some.pop().close()


class Transport:
    """The way to one authority. `timeout` (seconds) bounds each request as a whole, to its last octet.

    `roots` (PEM) are trusted, and are from `ca_bundle`; if there are none, the system's.
    """

    def __init__(self, *, roots: str = "", ca_bundle: str | None, proxy: str | None, timeout: float) -> None:
        self.timeout = timeout
        self._roots = roots
        self._ca_bundle = ca_bundle
        self.date_skew: timedelta | None = None
        self._proxy = proxy
        self._nonces: deque[str] = deque(maxlen=_POOL)  # append and pop are atomic; the newest goes first
        self._nonce_methods: tuple[str, ...] = ("HEAD", "GET")
        self._kept = _Kept()

    def get(self, url: str) -> Reply:
        """Fetch without authentication, following redirects (RFC 8555 §7.1.1, RFC 9773 §4.1).

        What is final at the URL itself is RetryLater where a redirect led: portals do that, and go away.
        """
        asked = url
        for _ in range(_MAX_REDIRECTS):
            try:
                reply = self._patiently(lambda url=url: self._send("GET", url), repeatable=True)  # type: ignore[misc]
            except RenewerError as error:
                if url == asked:
                    raise
                raise elsewhere(asked, url, error) from error
            target = reply.headers.get("Location")
            if reply.status not in REDIRECTS or not target:
                return reply
            url = join(url, target)
        raise RetryLater(
            f"{asked} leads from one place to the next without end, at last to {words.text_of(url, 200)}",
            kind="redirects",
        )

    def post(
        self,
        url: str,
        sign: Callable[[str], bytes],
        *,
        new_nonce: str,
        accept: str = _JSON,
        repeatable: bool = True,
    ) -> Reply:
        """Send what `sign` makes of a nonce (RFC 8555 §6.2); any reply with another refusal is handed back.

        A refused nonce is answered with the fresh one that the refusal brings (§6.5: "the client SHOULD
        retry"), until `timeout` has passed and at least 30 were refused. A request that is not `repeatable`
        is not sent again once it may have arrived. Raises RetryLater if no whole reply came.
        """
        end = clock.monotonic() + self.timeout
        tries, nonce = 0, None
        while True:
            fresh, nonce = nonce, None
            reply = self._patiently(
                lambda fresh=fresh: self._send(  # type: ignore[misc]
                    "POST", url, data=sign(fresh or self._nonce(new_nonce)), accept=accept
                ),
                repeatable=repeatable,
            )
            tries += 1
            if reply.ok or b"badNonce" not in reply.body or reply.problem().type != "badNonce":
                self._keep_nonce(reply)
                return reply
            nonce = _nonce_of(reply)
            if tries >= _MIN_NONCE_TRIES and clock.monotonic() > end:
                text = f"{urlsplit(url).netloc} refused {tries} nonces in a row"
                raise RetryLater(text, kind="badNonce", not_before=reply.retry_after)
            # A handful at once: they are normal. Then slower, so that a broken authority is not beaten.
            clock.sleep(min(0.5, 0.01 * 1.3 ** (tries - 5)) if tries > 5 else 0)

    def _nonce(self, new_nonce: str) -> str:
        """A nonce in hand, or a new one (RFC 8555 §7.2)."""
        with contextlib.suppress(IndexError):
            return self._nonces.pop()
        # Outside of any except: what goes wrong here is told by its innermost cause.
        reply = self._send(self._nonce_methods[0], new_nonce)
        nonce = _nonce_of(reply)
        if nonce is None and len(self._nonce_methods) > 1 and reply.status not in (429, 503):
            # §7.2 has HEAD and GET; some servers, and some proxies before them, know GET alone.
            reply = self._send(self._nonce_methods[1], new_nonce)
            nonce = _nonce_of(reply)
            if nonce is not None:
                self._nonce_methods = self._nonce_methods[1:]
        host = urlsplit(new_nonce).netloc
        if nonce is None and reply.ok:
            raise RetryLater(f"{host} answers {new_nonce} without a nonce", kind="bad-reply")
        if nonce is None:
            raise problems.error(reply.problem(), "a nonce", host)
        return nonce

    def compare_clocks(self, new_nonce: str) -> None:
        """Have an answer that no cache hands out, so that `date_skew` is known; its nonce is kept."""
        if self.date_skew is None:
            nonce = self._patiently(lambda: self._nonce(new_nonce), repeatable=True)
            self._nonces.append(nonce)

    def _keep_nonce(self, reply: Reply) -> None:
        if nonce := _nonce_of(reply):
            self._nonces.append(nonce)

    def _patiently(self, send: Callable[[], T], *, repeatable: bool) -> T:
        """Send again, a little, what was lost on the way and may be said twice."""

        def passing(error: RenewerError) -> bool:
            return isinstance(error, Lost) and (repeatable or isinstance(error, Unreached))

        return wire.patiently(send, _PAUSES, passing, end=clock.monotonic() + self.timeout)

    def _send(self, method: str, url: str, *, data: bytes | None = None, accept: str = _JSON) -> Reply:
        if not _is_https(url):  # RFC 8555 §6.1: "Use of HTTPS is REQUIRED"
            raise GiveUp(
                f"{words.text_of(url, 200)} is not an https URL", kind="url", hint="check `directory`"
            )
        headers = {
            "User-Agent": USER_AGENT,
            "Accept": accept,
            "Accept-Language": "en",  # §6.1: SHOULD be sent
            "Accept-Encoding": "identity",
            "Connection": "keep-alive",
        }
        if data is not None:
            headers["Content-Type"] = "application/jose+json"
        reply = self._exchanged(method, _Way.of(url), headers, data)
        # A cache on the way may hand out what is fetched by GET days later, with the Date of then
        if method != "GET" and (date := retry_after.http_date(reply.headers.get("Date"))):
            self.date_skew = clock.ahead(date)
        return reply

    def _exchanged(self, method: str, way: "_Way", headers: dict[str, str], data: bytes | None) -> Reply:
        """A request on a kept connection, or a new one, which is kept if it may be."""
        deadline = clock.monotonic() + self.timeout
        sock = None
        try:
            sock = self._kept.take(way.place) or self._connected(way.place, deadline)
            fields = {"Host": way.parts.netloc.rpartition("@")[2], **headers}
            limited = wire.TimedWire(sock, deadline, MAX_BODY + _HEADER)
            answer = wire.spoken(limited, method, way.target, fields, data)
            body = self._read(answer, way.url)
            if not answer.will_close:
                self._kept.keep(way.place, sock)
                sock = None
        except (http.client.HTTPException, OSError, ValueError) as error:
            raise failure(error, way, ca_bundle=self._ca_bundle, timeout=self.timeout) from error
        finally:
            if sock is not None:
                sock.close()
        return Reply(way.url, answer.status, Headers(answer.getheaders()), body)

    def _read(self, answer: http.client.HTTPResponse, url: str) -> bytes:
        parts, size = [], 0
        while part := answer.read(_CHUNK):
            parts.append(part)
            size += len(part)
            if size > MAX_BODY:
                text = f"{url} sent more than {MAX_BODY >> 20} MiB, which no ACME authority does"
                raise RetryLater(text, kind="bad-reply", hint="check the URL of the directory")
        if answer.length:
            raise http.client.IncompleteRead(b"".join(parts)[:0], answer.length)
        return wire.unpacked(b"".join(parts), answer.getheader("Content-Encoding"), MAX_BODY)

    def _connected(self, place: _Place, deadline: float) -> ssl.SSLSocket:
        try:
            context = tls.verifying(self._roots or tls.SYSTEM)
        except GiveUp as error:
            raise GiveUp(f"ca_bundle: {error.text}", kind="ca_bundle", hint=error.hint) from error
        try:
            sock = self._reached(place, deadline)
        except TimeoutError:
            raise _LateError from None
        except OSError as error:
            raise _UnreachedError(error.strerror or str(error)) from error
        try:
            sock.settimeout(wire.left(deadline))
            with tls.ending(sock, deadline):
                return context.wrap_socket(sock, server_hostname=place.host)
        except BaseException:
            sock.close()
            raise

    def _reached(self, place: _Place, deadline: float) -> socket.socket:
        """Connecting is tried at each of the host's addresses in turn, so it gets a share each."""
        if self._proxy:
            proxy = wire.proxy_of(self._proxy, "`proxy` of its table")
            return wire.tunnelled(proxy, place.host, place.port, deadline)
        return wire.by_proxy(None)(place.host, place.port, deadline)

    def close(self) -> None:
        """Close the kept connections."""
        self._kept.close()


def _nonce_of(reply: Reply) -> str | None:
    """The nonce that came with a reply, if it is one (RFC 8555 §6.5.1)."""
    given = reply.headers.get("Replay-Nonce", "")
    return given if _NONCE.fullmatch(given) else None


def _is_https(url: str) -> bool:
    try:
        return urlsplit(url).scheme == "https"
    except ValueError:
        return False


class _UnreachedError(OSError):
    """There is no connection; why, as a clause."""


class _LateError(TimeoutError):
    """There is no connection yet, and no time."""


class _Way(NamedTuple):
    """A URL, and what of it goes where."""

    url: str
    parts: SplitResult
    place: _Place
    target: str

    @classmethod
    def of(cls, url: str) -> "_Way":
        """Raises GiveUp for what is no URL."""
        try:
            parts = urlsplit(url)
            host, port = parts.hostname or "", parts.port or _HTTPS
            host.encode("idna")
        except ValueError:
            host = ""
        if not host:
            raise GiveUp(f"{words.text_of(url, 200)} is not a URL", kind="url", hint="check `directory`")
        target = quote(parts.path or "/", safe=_SAFE) + (
            f"?{quote(parts.query, safe=_SAFE)}" if parts.query else ""
        )
        return cls(url, parts, _Place(host, port), target)


def failure(error: Exception, way: _Way, *, ca_bundle: str | None, timeout: float) -> RetryLater | GiveUp:
    """What a request that brought no reply means."""
    host = way.parts.netloc
    if isinstance(error, ssl.SSLCertVerificationError):
        return _untrusted(error.verify_message, host, ca_bundle)
    if isinstance(error, TimeoutError):
        kind = Unreached if isinstance(error, _LateError) else Lost
        lost = kind(f"{host} did not answer within {timeout:g} s", kind="network")
        lost.timed_out = True
        return lost
    told = words.text_of(getattr(error, "strerror", None) or str(error), 200) or type(error).__name__
    if isinstance(error, _UnreachedError):
        return Unreached(f"{host} cannot be reached: {told}", kind="network", hint=_REACH)
    return Lost(f"the connection to {host} broke: {told}", kind="network")


def _untrusted(said: str, host: str, ca_bundle: str | None) -> GiveUp:
    if "expired" in said or "not yet valid" in said:
        text = f"the TLS certificate of {host} is not trusted by this host's clock: {said}"
        hint = "compare this host's clock with the true time: timedatectl; date -u"
        return GiveUp(text, kind=DATES, hint=hint)
    hint = "if this is a private authority, set ca_bundle of its table to the PEM file of its root"
    if ca_bundle:
        hint = f"check that {ca_bundle} (ca_bundle) holds the root of {host}'s own certificate"
    return GiveUp(f"the TLS certificate of {host} is not trusted: {said}", kind="untrusted", hint=hint)
