"""Our own look at the token: quick when all is well, and telling what was found when it is not."""

import socket
import threading
import time
from collections.abc import Callable, Iterator

import pytest
import trustme
from hypothesis import given, settings
from hypothesis import strategies as st

from renewer import clock
from renewer.errors import RetryLater
from renewer.issue.solvers import TokenPreflight, judge
from renewer.model.desired import Preflight as Mode
from renewer.model.solver import Presented
from renewer.network.verify import fetching
from renewer.network.verify.fetching import fetch
from renewer.network.verify.messages import Fetched
from tests.challenges.tasks import task

Reply = Callable[[socket.socket], None]
GOOD = task().key_authorization.encode()


class Talker:
    """A server that does to every connection what a test wants, in a thread each."""

    def __init__(self, reply: Reply) -> None:
        self.reply = reply
        self.requests: list[bytes] = []
        self.listening = socket.create_server(("127.0.0.1", 0))
        self.port: int = self.listening.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                sock, _ = self.listening.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(sock,), daemon=True).start()

    def _serve(self, sock: socket.socket) -> None:
        try:
            with sock:
                self.requests.append(sock.recv(65536))
                self.reply(sock)
        except OSError:
            return


TalkerFactory = Callable[[Reply | bytes], Talker]


@pytest.fixture
def talker() -> Iterator[TalkerFactory]:
    """Makes servers that say the given bytes, or do what the given function does."""
    made: list[Talker] = []

    def make(reply: Reply | bytes) -> Talker:
        made.append(Talker(reply if callable(reply) else lambda sock: sock.sendall(reply)))
        return made[-1]

    yield make
    for one in made:
        one.listening.close()


def http(body: bytes, status: str = "200 OK", *headers: str) -> bytes:
    """An HTTP answer."""
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers, "", ""]
    return "\r\n".join(lines).encode() + body


def found_wrong(port: int, name: str = "127.0.0.1", time_limit: float = 30.0) -> str:
    """What the look warns of, empty if it is content."""
    said: list[str] = []
    one = Presented(task=task(name=name), where="somewhere")
    TokenPreflight(Mode.WARN, port=port, time_limit=time_limit).look([one], said.append)
    return "\n".join(said)


@pytest.mark.parametrize("body", [GOOD, GOOD + b"\n", GOOD + b" \r\n\t"])
def test_content_with_the_key_authorization(talker: TalkerFactory, body: bytes) -> None:
    """The key authorization, with whitespace at its end, is what the authority accepts (RFC 8555 §8.3)."""
    server = talker(http(body))
    assert found_wrong(server.port) == ""
    assert server.requests[0].startswith(
        b"GET /.well-known/acme-challenge/" + task().token.encode() + b" HTTP/1.1\r\n"
    )
    assert f"\r\nHost: 127.0.0.1:{server.port}\r\n".encode() in server.requests[0]


def test_chunked_answer(talker: TalkerFactory) -> None:
    """A server may answer in chunks."""
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    server = talker(head + f"{len(GOOD):x}\r\n".encode() + GOOD + b"\r\n0\r\n\r\n")
    assert found_wrong(server.port) == ""


def test_keep_alive_does_not_delay(talker: TalkerFactory) -> None:
    """A server that keeps the connection open is not waited for."""

    def reply(sock: socket.socket) -> None:
        sock.sendall(http(GOOD))
        sock.recv(1)

    began = time.monotonic()
    assert found_wrong(talker(reply).port, time_limit=60) == ""
    assert time.monotonic() - began < 30


def test_wrong_body_is_shown(talker: TalkerFactory) -> None:
    """The message has the URL, the address, the status and the beginning of the body, harmless to print."""
    server = talker(http(b"<h1>\x1b[31mNot\x07 here</h1>\n" + b"x" * 5000, "404 Not Found"))
    said = found_wrong(server.port, "localhost")
    assert f"http://localhost:{server.port}/.well-known/acme-challenge/{task().token} (127.0.0.1)" in said
    assert "answered 404 Not Found with the body “<h1>Not here</h1> xxx" in said
    assert "\x1b" not in said
    assert len(said) < 800
    assert 'preflight = "off"' in said


def test_right_status_is_demanded(talker: TalkerFactory) -> None:
    """The right body under an error's status does not count."""
    assert "answered 500" in found_wrong(talker(http(GOOD, "500 Oops")).port)


def test_nobody_there() -> None:
    """A refused connection is told with its address and port."""
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    assert f"127.0.0.1 port {port}: connection refused" in found_wrong(port)


def test_name_that_does_not_resolve(monkeypatch: pytest.MonkeyPatch) -> None:
    """An unknown name is told as such."""

    def unknown(*_: object, **__: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    assert "no-such.example does not resolve here: Name or service not known" in found_wrong(
        80, "no-such.example"
    )


def test_resolver_that_hangs(monkeypatch: pytest.MonkeyPatch) -> None:
    """A resolver that never answers holds us for the time limit only."""
    release = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: [][: release.wait(60)])
    began = time.monotonic()
    assert "could not be resolved in time" in found_wrong(80, "slow.example", time_limit=0.2)
    assert time.monotonic() - began < 30
    monkeypatch.undo()
    release.set()


def test_dripping_server(talker: TalkerFactory) -> None:
    """A server that sends a byte now and then is given up at the time limit."""

    def drip(sock: socket.socket) -> None:
        for byte in http(GOOD) * 100:
            sock.sendall(bytes([byte]))
            time.sleep(0.02)

    began = time.monotonic()
    assert "no answer in time" in found_wrong(talker(drip).port, time_limit=0.3)
    assert time.monotonic() - began < 30


def test_flood(talker: TalkerFactory) -> None:
    """A server that sends headers for ever is cut off."""

    def flood(sock: socket.socket) -> None:
        sock.sendall(b"HTTP/1.1 200 OK\r\n")
        for _ in range(100_000):
            sock.sendall(b"X: " + b"y" * 1000 + b"\r\n")

    assert "did not answer in HTTP" in found_wrong(talker(flood).port)


@given(st.binary(max_size=300))
@settings(max_examples=50, deadline=None)
def test_any_answer_is_survived(data: bytes) -> None:
    """Whatever bytes come back, the fetch says something and never raises."""
    server = Talker(lambda sock: sock.sendall(data))
    found = fetch(f"http://127.0.0.1:{server.port}/", deadline=clock.monotonic() + 60)
    server.listening.close()
    assert found.error or found.status
    assert judge(task(), found)


def test_redirects_are_followed_and_told(talker: TalkerFactory) -> None:
    """A redirect is followed as authorities do, and the message tells the way."""
    # a server that redirects its own first path to another one of itself
    hops = iter([http(b"", "301 Moved", "Location: /other"), http(b"nothing", "404 Not Found")])
    server = talker(lambda sock: sock.sendall(next(hops)))
    said = found_wrong(server.port)
    assert f"redirected to http://127.0.0.1:{server.port}/other answered 404" in said
    hops = iter([http(b"", "302 Found", "Location: /other"), http(GOOD)])
    assert found_wrong(server.port) == ""


def test_redirect_to_https_is_not_verified(talker: TalkerFactory) -> None:
    """The certificate behind a redirect may be expired or self-signed: it may be the one to be renewed."""
    import ssl

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("other.example").configure_cert(context)
    count = iter(range(2))

    def reply(sock: socket.socket) -> None:
        if next(count) == 0:
            sock.sendall(http(b"", "301 Moved", f"Location: https://127.0.0.1:{server.port}/x"))

    server = talker(reply)
    plain_serve = server._serve

    def serve(sock: socket.socket) -> None:
        if not server.requests:
            plain_serve(sock)
            return
        with context.wrap_socket(sock, server_side=True) as secured:
            secured.recv(65536)
            secured.sendall(http(GOOD))

    server._serve = serve  # type: ignore[method-assign]
    assert found_wrong(server.port) == ""


@pytest.mark.parametrize(
    ("location", "said"),
    [
        ("ftp://a.example/", "no authority follows"),
        ("http://a.example:8080/", "ports 80 and 443 only"),
        ("https://[/", "no URL"),
        ("file:///etc/passwd", "no authority follows"),
    ],
)
def test_redirects_that_authorities_refuse(talker: TalkerFactory, location: str, said: str) -> None:
    """A redirect to another scheme or port is not followed but told: the authority would refuse it, too."""
    assert said in found_wrong(talker(http(b"", "302 Found", f"Location: {location}")).port)


def test_endless_redirects(talker: TalkerFactory) -> None:
    """After ten redirects it is given up."""
    server = talker(http(b"", "302 Found", "Location: /again"))
    assert "more than 10 redirects" in found_wrong(server.port)
    assert len(server.requests) == 11


def test_require_raises_with_names(talker: TalkerFactory) -> None:
    """`require` keeps the authority from being asked, and says for which names."""
    server = talker(http(b"no", "404 Not Found"))
    tasks = [Presented(task=task(name=name), where="") for name in ("127.0.0.1", "localhost")]
    with pytest.raises(RetryLater) as told:
        TokenPreflight(Mode.REQUIRE, port=server.port).look(tasks, pytest.fail)
    assert [name for name, _ in told.value.identifiers] == ["127.0.0.1", "localhost"]
    assert 'preflight = "off"' in told.value.hint


def test_off_looks_at_nothing(talker: TalkerFactory) -> None:
    """`off` makes no request."""
    server = talker(http(b"no"))
    TokenPreflight(Mode.OFF, port=server.port).look([Presented(task=task(), where="")], pytest.fail)
    assert server.requests == []


def test_all_names_at_once(talker: TalkerFactory) -> None:
    """A hundred names take as long as one."""

    def slow(sock: socket.socket) -> None:
        time.sleep(0.3)
        sock.sendall(http(GOOD))

    server = talker(slow)
    began = time.monotonic()
    tasks = [Presented(task=task(), where="") for _ in range(100)]
    TokenPreflight(Mode.REQUIRE, port=server.port).look(tasks, pytest.fail)
    assert time.monotonic() - began < 25  # one after the other: 30


def test_next_address_is_tried(talker: TalkerFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """If the first address (IPv6, say) does not accept, the next is asked, and the message names both."""
    server = talker(http(GOOD))
    both = [
        (socket.AF_INET, socket.SOCK_STREAM, 6, "", (host, server.port))
        for host in ("127.9.9.9", "127.0.0.1")
    ]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: both)
    assert found_wrong(server.port, "www.example.org") == ""
    server.listening.close()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: both[:1] * 2)
    assert found_wrong(server.port, "www.example.org").count("127.9.9.9 port") == 2


def test_empty_body_is_said() -> None:
    """A 200 without a body says so."""
    assert judge(task(), Fetched(trace="http://x", status=200, phrase="OK")).endswith("with an empty body")


@pytest.mark.parametrize(
    ("first", "then", "followed"),
    [
        ("8.8.8.8", "127.0.0.1", False),
        ("8.8.8.8", "::ffff:127.0.0.1", False),
        ("8.8.8.8", "169.254.169.254", False),
        ("8.8.8.8", "64:ff9b::a00:1", False),
        ("8.8.8.8", "10.0.0.1", False),
        ("10.0.0.1", "169.254.169.254", False),
        ("10.0.0.1", "10.0.0.2", True),
        ("127.0.0.1", "127.0.0.1", True),
        ("10.0.0.1", "8.8.8.8", True),
        ("8.8.8.8", "9.9.9.9", True),
    ],
)
def test_redirects_lead_outwards(*, first: str, then: str, followed: bool) -> None:
    """Whoever answers for a public name must not make us ask inner hosts, or this host's own services."""
    assert fetching._allowed(then, fetching.reach_of(first)) is followed
