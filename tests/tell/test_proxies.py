"""Who is told through a proxy: the environment's, as for authorities."""

import base64
import contextlib
import socket
import threading
from pathlib import Path

import pytest

from renewer.errors import GiveUp, RetryLater
from renewer.model.desired import Secret, SecretSource
from renewer.network.channels import Courier
from renewer.secrets import proxy, roots
from tests.servers.certificates import Pair, ServerRoot
from tests.servers.tls_peer import Behaviour, Peer
from tests.tell.listener import Listener

VARIABLES = ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy", "NO_PROXY", "no_proxy")


def post(
    url: str,
    body: bytes,
    headers: dict[str, str],
    *,
    limit: float,
    ca_bundle: str = "",
    proxy: str | None = None,
) -> int:
    """As channels do it: through the door."""
    courier = Courier(roots(ca_bundle) if ca_bundle else "")
    return courier.post(url, body, headers.items(), limit=limit, proxy=proxy)


@pytest.fixture(autouse=True)
def no_proxy_of_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only what a test says counts."""
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)


def _copy(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)


def relay(heard: list[bytes], answer: bytes = b"HTTP/1.1 200 Connection established\r\n\r\n") -> Behaviour:
    """A proxy that lets CONNECT through, whatever the port, if its answer is a good one."""

    def serve(connection: socket.socket) -> None:
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            head += connection.recv(1)
        heard.append(head)
        host, _, port = head.split()[1].decode().rpartition(":")
        connection.sendall(answer)
        if b" 200 " not in answer:
            return
        with socket.create_connection((host, int(port)), timeout=10) as onward:
            threading.Thread(target=_copy, args=(onward, connection), daemon=True).start()
            _copy(connection, onward)

    return serve


@pytest.fixture
def bundle(root: ServerRoot, tmp_path: Path) -> str:
    """What the listener's certificate leads to."""
    return str(root.write(tmp_path / "roots.pem"))


@pytest.mark.parametrize("name", ["HTTPS_PROXY", "https_proxy", "ALL_PROXY"])
def test_the_environments_proxy_is_used(
    pair: Pair, bundle: str, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """The proxy learns the host and its own password; the path, a secret, goes through TLS only."""
    heard: list[bytes] = []
    with Listener(pair=pair) as listener, Peer(relay(heard)) as proxy:
        monkeypatch.setenv(name, f"http://us%65r:pass@127.0.0.1:{proxy.port}")
        assert post(listener.url("/secret"), b"body", {}, limit=10, ca_bundle=bundle) == 200

    assert [(one.path, one.body) for one in listener.posted] == [("/secret", b"body")]
    (head,) = heard
    assert head.startswith(f"CONNECT localhost:{listener.port} HTTP/1.1\r\n".encode())
    assert base64.b64encode(b"user:pass") in head
    assert b"secret" not in head


@pytest.mark.parametrize("spared", ["localhost", "*", "example.org,localhost", ".localhost"])
def test_hosts_in_no_proxy_are_spared(
    pair: Pair, bundle: str, monkeypatch: pytest.MonkeyPatch, spared: str
) -> None:
    """NO_PROXY counts; a proxy that is not there does no harm then."""
    with Listener(pair=pair) as listener:
        monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
        monkeypatch.setenv("NO_PROXY", spared)
        assert post(listener.url(), b"", {}, limit=10, ca_bundle=bundle) == 200


def test_what_is_in_clear_stays_on_this_host(monkeypatch: pytest.MonkeyPatch) -> None:
    """A loopback address in clear is told directly: no proxy hears of it."""
    with Listener() as listener:
        monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
        assert post(listener.url(), b"", {}, limit=10) == 200


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n", "another user and password"),
        (b"HTTP/1.0 403 Forbidden\r\nX: y\r\n\r\n", "answered 403"),
        (b"SSH-2.0-OpenSSH_9.2\r\n\r\n", "does not answer as a proxy does"),
        (b"", "hung up before the tunnel stood"),
    ],
)
def test_a_proxy_that_lets_nobody_through(
    pair: Pair, monkeypatch: pytest.MonkeyPatch, answer: bytes, said: str
) -> None:
    """It is named with host and port, without its password."""
    with Listener(pair=pair) as listener, Peer(relay([], answer)) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", f"http://user:hidden@127.0.0.1:{proxy.port}")
        with pytest.raises(RetryLater, match=said) as caught:
            post(listener.url(), b"", {}, limit=10)

    assert f"127.0.0.1:{proxy.port}" in caught.value.text
    assert "hidden" not in caught.value.text + caught.value.hint


def test_a_proxy_that_is_not_there(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who refused is the proxy, not the host behind it."""
    monkeypatch.setenv("https_proxy", "127.0.0.1:9")
    with Listener(pair=pair) as listener, pytest.raises(RetryLater, match=r"proxy 127\.0\.0\.1:9"):
        post(listener.url(), b"", {}, limit=10)


@pytest.mark.parametrize("wrong", ["socks5://127.0.0.1:1080", "http://", "http://[::1", "http://h:port"])
def test_a_proxy_that_is_none(pair: Pair, monkeypatch: pytest.MonkeyPatch, wrong: str) -> None:
    """What cannot be used is told and not gone round: the operator meant that nobody goes out directly."""
    monkeypatch.setenv("HTTPS_PROXY", wrong)
    with Listener(pair=pair) as listener, pytest.raises(RetryLater, match="no url of an http proxy"):
        post(listener.url(), b"", {}, limit=10)
    assert listener.posted == []


def test_the_proxy_of_the_configuration(
    pair: Pair, bundle: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It comes before the environment's, with its secret's password; NO_PROXY spares hosts of it, too."""
    heard: list[bytes] = []
    secret = tmp_path / "proxy"
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:1")
    with Listener(pair=pair) as listener, Peer(relay(heard)) as peer:
        secret.write_text(f"http://ops:p%40ss@127.0.0.1:{peer.port}\n")
        secret.chmod(0o600)
        way = proxy(Secret(source=SecretSource.FILE, argument=(str(secret),)))
        assert post(listener.url(), b"{}", {}, limit=10, ca_bundle=bundle, proxy=way) == 200
        assert base64.b64encode(b"ops:p@ss") in heard[0]
        monkeypatch.setenv("NO_PROXY", "localhost,127.0.0.1")
        assert post(listener.url(), b"{}", {}, limit=10, ca_bundle=bundle, proxy=way) == 200
    assert len(heard) == 1


@pytest.mark.parametrize(
    "url", ["socks5://u:geheim@proxy:1080", "http://u:geheim@", "http://a:geheim@b:no", "x y"]
)
def test_a_secret_that_is_no_proxy_is_told_without_it(tmp_path: Path, url: str) -> None:
    """What is wrong is said, and nothing of the password."""
    secret = tmp_path / "proxy"
    secret.write_text(url)
    secret.chmod(0o600)
    with pytest.raises(GiveUp, match="no URL of an HTTP proxy") as caught:
        proxy(Secret(source=SecretSource.FILE, argument=(str(secret),)))
    assert "geheim" not in caught.value.text + caught.value.hint
