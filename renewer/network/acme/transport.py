"""Requests to an authority: bounded in time and size, over kept connections, from any thread.

acme's own ClientNetwork is not used: it drops the headers of refusals and the problem of a 409, retries a
refused nonce once only, has no bound on a whole reply, is not made for threads, and drags in pyOpenSSL. Its
signatures (`acme.jws`) are used, on main's side of the door.
"""

import contextlib
import re
import ssl
import threading
from collections import deque
from collections.abc import Callable
from datetime import timedelta
from typing import Any, TypeVar
from urllib.parse import urlsplit

import requests
from requests.adapters import HTTPAdapter
from requests.utils import get_environ_proxies
from urllib3.exceptions import HTTPError, NewConnectionError

from renewer import __version__, clock, words
from renewer.errors import GiveUp, RenewerError, RetryLater
from renewer.network import http, tls
from renewer.network.acme import problems, retry_after
from renewer.network.acme.lost import DATES, Lost, Unreached, elsewhere
from renewer.network.acme.reply import Reply, join

T = TypeVar("T")
USER_AGENT = f"renewer/{__version__} (+python; linux)"  # RFC 8555 §6.1: every client must send one
MAX_BODY = 1 << 20  # octets; the longest chains are a hundredth of it
_CHUNK = 1 << 16
_POOL = 64  # connections kept; more than anybody's workers
_PAUSES = (0.2, 0.8)  # seconds before a request whose reply was lost is sent again
_MIN_NONCE_TRIES = 30
REDIRECTS = (301, 302, 303, 307, 308)
_MAX_REDIRECTS = 5
_JSON = "application/json"
_NONCE = re.compile(r"[A-Za-z0-9_-]+")  # RFC 8555 §6.5.1: a nonce that is not base64url is to be ignored
_REACH = "check the URL, this host's DNS and its way out (firewall, proxy)"
_bound = threading.local()  # .end: when this thread's request must be over, on the clock that never jumps


class _BoundedSocket(ssl.SSLSocket):
    """Ends every wait of a request when the whole request's time is over, however slowly octets drip in."""

    def _limit(self) -> None:
        end = getattr(_bound, "end", None)
        if end is not None:
            left = end - clock.monotonic()
            if left <= 0:
                raise TimeoutError("timed out")
            self.settimeout(left)

    def do_handshake(self, block: bool = False) -> None:  # noqa: FBT001, FBT002  as ssl has it
        self._limit()
        end = getattr(_bound, "end", None)
        with contextlib.nullcontext() if end is None else tls.ending(self, end):
            super().do_handshake(block)

    def recv_into(self, buffer: Any, nbytes: int | None = None, flags: int = 0) -> int:
        self._limit()
        return super().recv_into(buffer, nbytes, flags)

    def sendall(self, data: Any, flags: int = 0) -> None:
        self._limit()
        super().sendall(data, flags)


class _Adapter(HTTPAdapter):
    """Trusts what our own context trusts; requests would add its own roots to it."""

    def __init__(self, context: ssl.SSLContext) -> None:
        self._context = context
        super().__init__(pool_connections=8, pool_maxsize=_POOL)

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, **kwargs, ssl_context=self._context)

    def proxy_manager_for(self, proxy: str, **kwargs: Any) -> Any:
        return super().proxy_manager_for(proxy, **kwargs, ssl_context=self._context)

    def cert_verify(self, conn: Any, url: str, verify: Any, cert: Any) -> None:  # noqa: ARG002
        conn.cert_reqs = "CERT_REQUIRED"


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
        self._proxies: dict[str, dict[str, str]] = {}
        self._nonces: deque[str] = deque(maxlen=_POOL)  # append and pop are atomic; the newest goes first
        self._nonce_methods: tuple[str, ...] = ("HEAD", "GET")
        self._adapter: _Adapter | None = None
        self._lock = threading.Lock()

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

        return http.patiently(send, _PAUSES, passing, end=clock.monotonic() + self.timeout)

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
        request = requests.PreparedRequest()
        _bound.end = clock.monotonic() + self.timeout
        try:
            request.prepare(method=method, url=url, headers=headers, data=data)
            response = self._http().send(
                request,
                stream=True,
                # Connecting is tried at each of the host's addresses in turn, so it gets a share each.
                timeout=(self.timeout / 3, self.timeout),
                verify=True,
                proxies=self._proxies_for(url),
            )
            try:
                body = self._read(response)
            finally:
                response.close()
        except (requests.RequestException, HTTPError, OSError, ValueError) as error:
            raise failure(error, url, ca_bundle=self._ca_bundle, timeout=self.timeout) from error
        finally:
            _bound.end = None
        reply = Reply(url, response.status_code, response.headers, body)
        # A cache on the way may hand out what is fetched by GET days later, with the Date of then
        if method != "GET" and (date := retry_after.http_date(reply.headers.get("Date"))):
            self.date_skew = clock.ahead(date)
        return reply

    def _read(self, response: requests.Response) -> bytes:
        parts, size = [], 0
        while part := response.raw.read(_CHUNK, decode_content=False):
            parts.append(part)
            size += len(part)
            if size > MAX_BODY:
                text = f"{response.url} sent more than {MAX_BODY >> 20} MiB, which no ACME authority does"
                raise RetryLater(text, kind="bad-reply", hint="check the URL of the directory")
        return http.unpacked(b"".join(parts), response.headers.get("Content-Encoding"), MAX_BODY)

    def _http(self) -> _Adapter:
        with self._lock:
            if self._adapter is None:
                # Not the shared context: urllib3 sets ALPN and more on the one it is given.
                try:
                    context = tls.verifying.__wrapped__(self._roots or tls.SYSTEM)
                except GiveUp as error:
                    raise GiveUp(f"ca_bundle: {error.text}", kind="ca_bundle", hint=error.hint) from error
                context.sslsocket_class = _BoundedSocket
                self._adapter = _Adapter(context)
            return self._adapter

    def _proxies_for(self, url: str) -> dict[str, str]:
        if self._proxy:
            return {"https": self._proxy}
        host = urlsplit(url).netloc
        if host not in self._proxies:
            self._proxies[host] = get_environ_proxies(url)
        return self._proxies[host]

    def close(self) -> None:
        """Close the kept connections."""
        if self._adapter is not None:
            self._adapter.close()


def _nonce_of(reply: Reply) -> str | None:
    """The nonce that came with a reply, if it is one (RFC 8555 §6.5.1)."""
    given = reply.headers.get("Replay-Nonce", "")
    return given if _NONCE.fullmatch(given) else None


def _is_https(url: str) -> bool:
    try:
        return urlsplit(url).scheme == "https"
    except ValueError:
        return False


def failure(error: Exception, url: str, *, ca_bundle: str | None, timeout: float) -> RetryLater | GiveUp:
    """What a request that brought no reply means."""
    host = urlsplit(url).netloc
    why = _innermost(error)
    if isinstance(why, ssl.SSLCertVerificationError):
        return _untrusted(why.verify_message, host, ca_bundle)
    if isinstance(error, requests.exceptions.InvalidURL | requests.exceptions.MissingSchema):
        return GiveUp(f"{words.text_of(url, 200)} is not a URL", kind="url", hint="check `directory`")
    if isinstance(error, requests.Timeout) or isinstance(why, TimeoutError):
        kind = Unreached if isinstance(error, requests.ConnectTimeout) else Lost
        lost = kind(f"{host} did not answer within {timeout:g} s", kind="network")
        lost.timed_out = True
        return lost
    told = words.text_of(getattr(why, "strerror", None) or str(why), 200) or type(why).__name__
    if isinstance(why, NewConnectionError) or isinstance(error, requests.exceptions.ProxyError):
        return Unreached(f"{host} cannot be reached: {told}", kind="network", hint=_REACH)
    if isinstance(why, ConnectionRefusedError) or type(why).__name__ == "gaierror":
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


def _innermost(error: BaseException) -> BaseException:
    """What really happened, below the wrappings of requests and urllib3."""
    seen = error
    for _ in range(10):
        reason = getattr(seen, "reason", None)
        inner = reason if isinstance(reason, BaseException) else seen.__cause__
        inner = (
            inner or next((a for a in seen.args if isinstance(a, BaseException)), None) or seen.__context__
        )
        if inner is None:
            break
        seen = inner
    return seen
