"""Small HTTP APIs that take and give JSON: one POST, bounded in time and size, its refusals with advice.

No redirect is followed and no proxy is used: credentials go to the address that the config names, or nowhere.
"""

import http.client
import socket
import ssl
from collections.abc import Mapping
from urllib.parse import urlsplit

import msgspec

from renewer import __version__, clock
from renewer.config import scalars
from renewer.decoding import UndecodableError, decode
from renewer.errors import GiveUp, RenewerError, RetryLater
from renewer.model.desired import OptionValue, Secret
from renewer.model.value import Value
from renewer.network import tls
from renewer.network.challenges.bounded import Bounded, left
from renewer.proc import printable
from renewer.secrets import resolve

TIME_LIMIT = 30.0  # seconds for one request, unless the config says otherwise
_LARGEST = 64 * 1024
_EXCERPT = 200

_FINAL = {  # what does not pass by itself: what it means and what to do
    401: ("it does not take these credentials", "are user and password those that the server knows?"),
    403: ("it does not allow it", "are the credentials right, and may this host's address use them?"),
    404: ("there is no such API", "is the URL right, with its path?"),
    405: ("there is no such API", "is the URL right, with its path?"),
    410: ("it is gone", "is the URL right?"),
}


class Reply(Value):
    """What a server answered; `text` is its body, safe to print."""

    status: int
    text: str

    @property
    def document(self) -> Mapping[str, object]:
        """The body as a JSON object; empty if it is none."""
        try:
            found = decode(self.text)
        except UndecodableError:
            return {}
        return found if isinstance(found, dict) else {}

    @property
    def excerpt(self) -> str:
        """The body's beginning on one line."""
        text = " ".join(self.text.split())
        return text[:_EXCERPT] + ("…" if len(text) > _EXCERPT else "")


class Api:
    """A server's API; `what` is its name for people."""

    def __init__(self, what: str, url: str, options: Mapping[str, OptionValue]) -> None:
        self._what = what
        self.url = url.rstrip("/")
        self._roots = str(options.get("ca_bundle", tls.SYSTEM))
        self._limit = time_limit(options, TIME_LIMIT)

    def __str__(self) -> str:
        return f"the {self._what} {self.url}"

    def post(self, path: str, body: object, headers: Mapping[str, str]) -> Reply:
        """POST a document. Raises RetryLater or GiveUp if there is no answer at all."""
        parts = urlsplit(self.url)
        deadline = clock.monotonic() + self._limit
        sent = False
        try:
            with _connected(parts.scheme, parts.hostname or "", parts.port, self._roots, deadline) as sock:
                sent = True
                sock.settimeout(left(deadline))
                sock.sendall(_request(parts.netloc, parts.path + path, body, headers))
                return _reply(Bounded(sock, deadline, _LARGEST))
        except TimeoutError:
            raise self._silent(f"no answer in {self._limit:g} s", sent=sent) from None
        except ssl.SSLCertVerificationError as error:
            why = f"its certificate is not trusted: {error.verify_message}"
            raise self._silent(why, "for a private authority: ca_bundle", sent=False) from None
        except (OSError, UnicodeError) as error:
            strerror = error.strerror if isinstance(error, OSError) else None
            raise self._silent((strerror or str(error)).lower(), sent=sent) from None
        except (http.client.HTTPException, ValueError) as error:
            raise self._silent(f"it does not speak HTTP ({type(error).__name__})", sent=sent) from None

    def refused(self, reply: Reply) -> RenewerError:
        """The error for an answer that is no success."""
        said = f": {reply.excerpt}" if reply.excerpt else ""
        if 300 <= reply.status < 400:
            meaning, hint = "it redirects", "name the URL that it redirects to"
        else:
            meaning, hint = _FINAL.get(reply.status, ("it failed", "its log says why"))
        final = reply.status in _FINAL or 300 <= reply.status < 400
        text = f"{self} answered {reply.status}, {meaning}{said}"
        error = (GiveUp if final else RetryLater)(text, hint=hint, kind=f"http-{reply.status}")
        error.untouched = final
        return error

    def _silent(
        self, why: str, hint: str = "is it running, and is no firewall between?", *, sent: bool
    ) -> RetryLater:
        error = RetryLater(f"{self} could not be asked: {why}", hint=hint, kind="http")
        error.untouched = not sent
        return error


def text_of(value: OptionValue) -> str:
    """An option's text; a secret is resolved now."""
    return resolve(value) if isinstance(value, Secret) else str(value)


def time_limit(options: Mapping[str, OptionValue], usual: float) -> float:
    """Seconds: the option `timeout`, else the usual ones."""
    if "timeout" not in options:
        return usual
    try:
        return scalars.duration(str(options["timeout"]), "1s", "1h").total_seconds()
    except ValueError as error:
        raise GiveUp(f"the option timeout {error}", hint='as "90s"', kind="config") from None


def _connected(scheme: str, host: str, port: int | None, roots: str, deadline: float) -> socket.socket:
    secure = scheme == "https"
    sock = socket.create_connection((host, port or (443 if secure else 80)), timeout=left(deadline))
    if not secure:
        return sock
    try:
        sock.settimeout(left(deadline))
        return tls.verifying(roots).wrap_socket(sock, server_hostname=host)
    except BaseException:
        sock.close()
        raise


def _reply(stream: Bounded) -> Reply:
    answer = http.client.HTTPResponse(stream, method="POST")  # type: ignore[arg-type]
    answer.begin()
    return Reply(status=answer.status, text=printable(answer.read()))


def _request(netloc: str, path: str, body: object, headers: Mapping[str, str]) -> bytes:
    data = msgspec.json.encode(body)
    fields = {
        "Host": netloc,
        "User-Agent": f"renewer/{__version__}",
        "Accept": "application/json",
        "Content-Type": "application/json",
        "Content-Length": str(len(data)),
        "Connection": "close",
        **headers,
    }
    for name, value in fields.items():
        if not value.isprintable():
            raise GiveUp(f"the header {name} would hold control characters", hint="mend the secret")
    head = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
    return f"POST {path} HTTP/1.1\r\n{head}\r\n".encode() + data
