"""The one HTTP client: its time, its size, its words; whoever uses it inherits all of it."""

import gzip
import socket
import ssl
import threading
from collections.abc import Callable
from pathlib import Path
from time import monotonic

import pytest

from renewer.errors import GiveUp, RenewerError, RetryLater
from renewer.network import http
from tests.servers.certificates import ServerRoot
from tests.servers.tls_peer import Behaviour, Peer, endless, silent


def saying(answer: bytes, heard: list[bytes] | None = None) -> Behaviour:
    """A server that hears a request and answers with these octets."""

    def serve(connection: socket.socket) -> None:
        request = b""
        while b"\r\n\r\n" not in request:
            request += connection.recv(65536)
        if heard is not None:
            heard.append(request)
        connection.sendall(answer)

    return serve


def asked(peer: Peer, **more: object) -> http.Answer:
    """One GET of a peer."""
    given: dict[str, object] = {"within": 5.0, **more}
    return http.ask("GET", f"http://127.0.0.1:{peer.port}/x?y=z", {}, **given)  # type: ignore[arg-type]


def test_a_request_and_its_answer() -> None:
    """What is sent is plain HTTP/1.1, and what comes back is all there."""
    heard: list[bytes] = []
    with Peer(saying(b"HTTP/1.1 201 Made\r\nContent-Length: 2\r\n\r\nok", heard)) as peer:
        found = asked(peer)
    assert (found.status, found.reason, found.body, found.location) == (201, "Made", b"ok", "")
    assert heard[0].startswith(b"GET /x?y=z HTTP/1.1\r\n")
    assert f"\r\nHost: 127.0.0.1:{peer.port}\r\n".encode() in heard[0]
    assert b"\r\nConnection: close\r\n" in heard[0]


def test_a_redirect_is_an_answer() -> None:
    """Where it leads is told and nobody goes there."""
    with Peer(saying(b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\n\r\n")) as peer:
        found = asked(peer)
    assert (found.status, found.location, peer.connections) == (302, "http://127.0.0.1:1/", 1)


def test_a_body_that_a_proxy_packed() -> None:
    """It is unpacked, and what of it is wanted is counted afterwards."""
    body = gzip.compress(b"0123456789" * 100)
    head = f"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: {len(body)}\r\n\r\n".encode()
    with Peer(saying(head + body)) as peer:
        assert asked(peer, wanted=12).body == b"012345678901"


def test_a_bomb_does_not_unfold() -> None:
    """What comes out of a packed body is bounded as the answer itself is."""
    body = gzip.compress(bytes(20 << 20))
    head = f"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: {len(body)}\r\n\r\n".encode()
    with Peer(saying(head + body)) as peer, pytest.raises(RetryLater, match="grows beyond 64 KiB"):
        asked(peer)


def _drip(connection: socket.socket) -> None:
    connection.recv(65536)
    connection.sendall(b"HTTP/1.1 200 OK\r\nX: ")
    while True:
        connection.sendall(b"y")
        threading.Event().wait(0.02)


def _flood(connection: socket.socket) -> None:
    connection.recv(65536)
    connection.sendall(b"HTTP/1.1 200 OK\r\n")
    while True:
        connection.sendall(b"X: " + b"y" * 1000 + b"\r\n")


@pytest.mark.parametrize(
    ("behaviour", "why"),
    [
        pytest.param(silent, "no answer in 0.4 s", id="silent"),
        pytest.param(_drip, "no answer in 0.4 s", id="dripping"),
        pytest.param(_flood, "it does not speak HTTP", id="endless"),
        pytest.param(saying(b"220 mail ready\r\n"), "it does not speak HTTP", id="another protocol"),
        pytest.param(saying(b""), "remote end closed connection", id="hangs up"),
    ],
)
def test_whatever_comes_ends_in_time(behaviour: Behaviour, why: str) -> None:
    """Neither a drip nor a flood holds us beyond the time limit; it is told that the request was sent."""
    with Peer(behaviour) as peer:
        began = monotonic()
        with pytest.raises(http.NoAnswerError) as caught:
            asked(peer, within=0.4 if "0.4" in why else 60.0)
        assert monotonic() - began < 30
    assert why in caught.value.why
    assert caught.value.sent


def _deaf(_: socket.socket) -> None:
    threading.Event().wait(2)


def test_a_peer_that_does_not_read() -> None:
    """A large body is not waited for beyond the time limit."""
    with Peer(_deaf) as peer, pytest.raises(http.NoAnswerError) as caught:
        http.ask("POST", f"http://127.0.0.1:{peer.port}/", {}, bytes(64 << 20), within=0.5)
    assert caught.value.why == "no answer in 0.5 s"


def test_a_resolver_that_hangs(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is left behind; nothing was sent then."""
    release = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: [][: release.wait(20)])
    with pytest.raises(http.NoAnswerError) as caught:
        http.ask("GET", "http://slow.example/", {}, within=0.2)
    release.set()
    assert (caught.value.why, caught.value.sent) == ("no answer in 0.2 s", False)


@pytest.mark.slow
def test_a_dead_address_leaves_time_for_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    """A host whose first address drops everything is reached by its second."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as full:
        waiting = [socket.socket() for _ in range(8)]
        for one in waiting:  # until the queue of the one that never accepts is full
            one.setblocking(False)
            one.connect_ex(full.getsockname())
        with Peer(saying(b"HTTP/1.1 200 OK\r\n\r\n")) as peer:
            both = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", full.getsockname()[1]))]
            both.append((socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", peer.port)))
            monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: both)
            assert http.ask("GET", "http://two.example/", {}, within=8.0).status == 200
        for one in waiting:
            one.close()


def test_a_name_that_the_certificate_lacks(tmp_path: Path) -> None:
    """Chain and name are checked, and nothing is sent to somebody else."""
    root = ServerRoot("a private authority")
    bundle = str(root.write(tmp_path / "roots.pem"))
    pair = root.issue(tmp_path, "localhost", stem="tls")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pair.cert, pair.key)

    def serve(connection: socket.socket) -> None:
        with context.wrap_socket(connection, server_side=True) as secured:
            saying(b"HTTP/1.1 200 OK\r\n\r\n")(secured)

    with Peer(serve) as peer:
        assert http.ask("GET", f"https://localhost:{peer.port}/", {}, within=30, roots=bundle).status == 200
        with pytest.raises(http.NoAnswerError, match="not trusted") as caught:
            http.ask("GET", f"https://127.0.0.1:{peer.port}/", {}, within=30, roots=bundle)
    assert not caught.value.sent


def test_no_header_of_a_secret() -> None:
    """A line break in a value is refused before anything is sent, without the value."""
    with Peer(saying(b"")) as peer, pytest.raises(GiveUp, match="the header X") as caught:
        http.ask("GET", f"http://127.0.0.1:{peer.port}/", {"X": "hidden\r\nY: z"}, within=30)
    assert "hidden" not in caught.value.text + caught.value.hint


@pytest.mark.parametrize(("failures", "calls"), [(0, 1), (2, 3), (9, 3)])
def test_patience_ends(failures: int, calls: int) -> None:
    """What may pass is tried again after each pause; the last failure is told."""
    count = 0

    def act() -> str:
        nonlocal count
        count += 1
        if count <= failures:
            raise RetryLater("not yet")
        return "done"

    if failures < 3:
        assert http.patiently(act, (0.0, 0.0), _always) == "done"
    else:
        with pytest.raises(RetryLater):
            http.patiently(act, (0.0, 0.0), _always)
    assert count == calls


def _always(_: RenewerError) -> bool:
    return True


_never: Callable[[RenewerError], bool] = lambda _: False  # noqa: E731  one word


@pytest.mark.parametrize(("passing", "end"), [(_never, float("inf")), (_always, 0.0)])
def test_what_does_not_pass_is_told_at_once(passing: Callable[[RenewerError], bool], end: float) -> None:
    """So is what would come after the end."""
    count = 0

    def act() -> None:
        nonlocal count
        count += 1
        raise RetryLater("no")

    with pytest.raises(RetryLater):
        http.patiently(act, (0.0, 0.0), passing, end)
    assert count == 1


def test_a_flood_before_tls_is_there_ends_in_time() -> None:
    """Records that mean nothing are never waited for, and so no timeout of a wait ends them."""
    began = monotonic()
    with Peer(endless(b"\x16\x03\x03\x40\x00" + bytes(16384))) as peer, pytest.raises(http.NoAnswerError):
        http.ask("GET", f"https://127.0.0.1:{peer.port}/", {}, within=1.0)

    assert monotonic() - began < 30
