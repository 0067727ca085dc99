"""A network and an authority that fail: every error is one of ours, in bounded time, and says what to do."""

import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from renewer import clock
from renewer.accounts.session import Session
from renewer.errors import GiveUp, RenewerError, RetryLater
from renewer.model.desired import Authority
from renewer.network.acme import transport
from tests.acme.conftest import Answerer, authority_of, csr, name, obtain, prove
from tests.servers import faultproxy as faults
from tests.servers.certificates import ServerRoot
from tests.servers.faultproxy import FaultProxy
from tests.servers.pebble import Pebble

LIMIT = 1.0  # seconds for a request to an authority that is silent on purpose, or drips
PATIENCE = 30.0  # seconds for a request that is answered: a busy machine is slow
BOUND = 20.0  # seconds that no test of the former may take, far less than such an authority would


@pytest.fixture
def proxy(pebble: Pebble, tmp_path: Path) -> Iterator[FaultProxy]:
    """A failing network in front of the shared Pebble."""
    with FaultProxy(pebble, tmp_path / "proxy") as running:
        yield running


@pytest.fixture
def behind(pebble: Pebble, proxy: FaultProxy, state: Path) -> Iterator[Session]:
    """A session with Pebble through the proxy, its account made."""
    authority = authority_of(pebble, directory=proxy.directory, ca_bundle=str(proxy.ca_bundle))
    session = Session.open(authority, state=str(state), timeout=PATIENCE)
    _ = session.account
    yield session
    session.close()


def test_retry_after_of_a_refusal_is_kept(behind: Session, proxy: FaultProxy) -> None:
    """RFC 8555, section 6.6: the headers of a 429 and of a 503 are seen at every endpoint."""
    proxy.inject(faults.problem("rateLimited", 429, retry_after="3600"), path=faults.NEW_ORDER)
    with pytest.raises(RetryLater) as limited:
        behind.new_order([name("a.example.org")], profile="default")
    proxy.inject(faults.unavailable(retry_after="3600"), path=faults.NEW_ORDER)
    with pytest.raises(RetryLater) as unavailable:
        behind.new_order([name("a.example.org")], profile="default")
    for caught in (limited, unavailable):
        assert caught.value.not_before is not None
        assert abs((caught.value.not_before - clock.now()).total_seconds() - 3600) < 60
    assert limited.value.kind == "rateLimited"


@pytest.mark.parametrize("status", [400, 403, 404, 409, 500])
def test_any_refusal_of_replaces_is_ordered_without(behind: Session, proxy: FaultProxy, status: int) -> None:
    """RFC 9773, section 5, and every authority's own way to refuse it: the order goes once more without."""
    ours = "aYhba4dGQEHhs3uEe6CuLN4ByNQ.AIdlQyE"
    refusal = faults.problem("malformed", status, "no such certificate")
    proxy.inject(refusal, path=faults.NEW_ORDER, when=lambda each: "replaces" in each.payload, times=None)
    order = behind.new_order([name("a.example.org")], profile="default", replaces=ours)
    assert order.replaces_refused is not None
    assert "no such certificate" in order.replaces_refused
    sent = [each.payload.get("replaces") for each in proxy.requests(faults.NEW_ORDER)]
    assert (sent[0], sent[-1]) == (ours, None)


@pytest.mark.parametrize("fault", [faults.Reset(), faults.Reset(acted=True), faults.Truncate()])
@pytest.mark.parametrize("path", [faults.AUTHORIZATION, faults.CHALLENGE, faults.ORDER, faults.CERTIFICATE])
def test_a_lost_reply_is_asked_for_again(
    behind: Session, proxy: FaultProxy, answerer: Answerer, fault: faults.Fault, path: str
) -> None:
    """What may be said twice is said twice: one broken connection does not cost an order."""
    proxy.inject(fault, path=path)
    _, chain = obtain(behind, answerer, "a.example.org")
    assert b"BEGIN CERTIFICATE" in chain


@pytest.mark.parametrize("fault", [faults.Reset(), faults.Reset(acted=True), faults.Truncate(0)])
def test_a_lost_reply_to_finalising_never_finalises_twice(
    behind: Session, proxy: FaultProxy, pebble: Pebble, answerer: Answerer, fault: faults.Fault
) -> None:
    """Whether it arrived is seen from the order; one certificate is issued."""
    mark = pebble.mark()
    proxy.inject(fault, path=faults.FINALIZE)
    obtain(behind, answerer, "a.example.org")
    assert len(pebble.certificates_issued(mark)) == 1


def test_a_lost_reply_to_a_new_order_is_not_repeated(
    behind: Session, proxy: FaultProxy, pebble: Pebble
) -> None:
    """The order may exist; whoever ordered looks for it before ordering anew."""
    proxy.inject(faults.Reset(acted=True), path=faults.NEW_ORDER)
    mark = pebble.mark()
    with pytest.raises(RetryLater) as caught:
        behind.new_order([name("lost.example.org")], profile="default")
    assert caught.value.kind == "network"
    assert pebble.orders_created(mark) == 1


@pytest.mark.parametrize("fault", [faults.Delay(60), faults.Drip(0.3)])
def test_nothing_hangs(
    behind: Session, proxy: FaultProxy, pebble: Pebble, state: Path, fault: faults.Fault
) -> None:
    """Neither a silent authority nor one whose octets drip in holds a request longer than its limit."""
    assert behind.account
    authority = authority_of(pebble, directory=proxy.directory, ca_bundle=str(proxy.ca_bundle))
    hasty = Session.open(authority, state=str(state), timeout=LIMIT)
    proxy.inject(fault, path=faults.NEW_ORDER, times=None)
    began = time.monotonic()
    with pytest.raises(RetryLater, match="did not answer within 1 s"):
        hasty.new_order([name("a.example.org")], profile="default")
    assert time.monotonic() - began < BOUND
    hasty.close()


def test_workers_share_a_directory_that_does_not_come(proxy: FaultProxy, pebble: Pebble, state: Path) -> None:
    """Eight workers wait for a silent authority together, not one after the other."""
    proxy.inject(faults.Delay(60), path=faults.DIRECTORY, times=None)
    authority = authority_of(pebble, directory=proxy.directory, ca_bundle=str(proxy.ca_bundle))
    session = Session.open(authority, state=str(state), timeout=LIMIT)
    errors: list[RenewerError] = []

    def ask() -> None:
        try:
            _ = session.account
        except RenewerError as error:
            errors.append(error)

    began = time.monotonic()
    workers = [threading.Thread(target=ask) for _ in range(8)]
    for each in workers:
        each.start()
    for each in workers:
        each.join()
    assert len(errors) == 8
    assert time.monotonic() - began < BOUND


def test_nonces_refused_for_ever_end(
    behind: Session, proxy: FaultProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At least thirty tries, then RetryLater; each with the nonce that the refusal brought."""
    slept, real = [0.0], clock.monotonic
    monkeypatch.setattr(clock, "sleep", slept.append)
    monkeypatch.setattr(clock, "monotonic", lambda: real() + sum(slept))
    proxy.inject(faults.problem("badNonce", 400), path=faults.NEW_ORDER, times=None)
    with pytest.raises(RetryLater, match="nonces") as caught:
        behind.new_order([name("a.example.org")], profile="default")
    assert caught.value.kind == "badNonce"
    sent = [each.protected["nonce"] for each in proxy.requests(faults.NEW_ORDER)]
    assert len(sent) >= 30
    assert len(set(sent)) == len(sent)


def test_a_page_instead_of_an_object_says_what_came(behind: Session, proxy: FaultProxy) -> None:
    """A portal's page is quoted, and tried again later."""
    proxy.inject(faults.html(), path=faults.NEW_ORDER, times=None)
    with pytest.raises(RetryLater, match="not a JSON object"):
        behind.new_order([name("a.example.org")], profile="default")


def test_a_page_instead_of_a_chain_is_no_chain(
    behind: Session, proxy: FaultProxy, answerer: Answerer
) -> None:
    """Nothing but a certificate is handed on as one."""
    proxy.inject(faults.html(), path=faults.CERTIFICATE)
    with pytest.raises(RetryLater, match="no certificate"):
        obtain(behind, answerer, "a.example.org")


def test_a_directory_that_moved_is_fetched_again(behind: Session, proxy: FaultProxy) -> None:
    """A stale directory: newOrder answers 404, the directory is fetched again, the refusal is then final."""
    proxy.inject(faults.Answer(404), path=faults.NEW_ORDER, times=None)
    with pytest.raises(GiveUp) as caught:
        behind.new_order([name("a.example.org")], profile="default")
    assert caught.value.kind == "gone"
    assert len(proxy.requests(faults.DIRECTORY)) == 2


def test_no_directory_there_is_told_with_its_url(proxy: FaultProxy, pebble: Pebble, state: Path) -> None:
    """A 404 at the directory itself names the URL to correct."""
    authority = authority_of(pebble, directory=proxy.directory + "ectory", ca_bundle=str(proxy.ca_bundle))
    with pytest.raises(GiveUp, match="may have moved") as caught:
        _ = Session.open(authority, state=str(state), timeout=PATIENCE).directory
    assert authority.directory in caught.value.text


def test_an_order_resumes_after_the_deadline(behind: Session, proxy: FaultProxy, answerer: Answerer) -> None:
    """A Retry-After beyond the deadline ends this run at once; the next takes the same order up."""
    order = behind.new_order([name("a.example.org")], profile="default")
    prove(behind, order, answerer)
    later = faults.Answer(
        200,
        b'{"status":"processing","identifiers":[{"type":"dns","value":"a.example.org"}],'
        b'"authorizations":[],"finalize":"https://x"}',
        {"Content-Type": "application/json", "Retry-After": "1800"},
    )
    proxy.inject(later, path=faults.ORDER)
    began = time.monotonic()
    with pytest.raises(RetryLater, match="still at work") as caught:
        behind.wait_order(order.url, clock.monotonic() + 60)
    assert time.monotonic() - began < BOUND
    assert caught.value.not_before is not None
    assert (caught.value.not_before - clock.now()).total_seconds() > 1700
    behind.finalize(order, csr("a.example.org"))
    assert behind.wait_order(order.url, clock.monotonic() + 60).certificate


# --- an authority that is none ----------------------------------------------------------------------------


class _Fake:
    """Answers every connection with fixed octets over TLS."""

    def __init__(self, folder: Path, answer: Callable[[ssl.SSLSocket], None]) -> None:
        folder.mkdir()
        root = ServerRoot("fake")
        self.ca_bundle = folder / "ca.pem"
        root.write(self.ca_bundle)
        pair = root.issue(folder, "localhost", "127.0.0.1", stem="fake")
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(pair.cert, pair.key)
        self._listener = context.wrap_socket(socket.create_server(("127.0.0.1", 0)), server_side=True)
        self.url = f"https://127.0.0.1:{self._listener.getsockname()[1]}/dir"
        self._answer = answer
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except ssl.SSLError:
                continue
            except OSError:
                return
            try:
                with connection:
                    connection.recv(65536)
                    self._answer(connection)
            except OSError:
                pass

    def stop(self) -> None:
        """Stop listening."""
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(5)


@pytest.fixture
def fake(tmp_path: Path) -> Iterator[Callable[[Callable[[ssl.SSLSocket], None]], _Fake]]:
    """Makes authorities that answer as they are told."""
    running: list[_Fake] = []

    def make(answer: Callable[[ssl.SSLSocket], None]) -> _Fake:
        running.append(_Fake(tmp_path / f"fake{len(running)}", answer))
        return running[-1]

    yield make
    for each in running:
        each.stop()


def _directory_of(
    server: _Fake, state: Path, *, timeout: float = PATIENCE, **changes: object
) -> RenewerError:
    given: dict[str, object] = {"name": "fake", "directory": server.url, "ca_bundle": str(server.ca_bundle)}
    session = Session.open(Authority(**(given | changes)), state=str(state), timeout=timeout)  # type: ignore[arg-type]
    with pytest.raises(RenewerError) as caught:
        _ = session.directory
    return caught.value


def _says(head: str, body: bytes) -> Callable[[ssl.SSLSocket], None]:
    return lambda connection: connection.sendall(f"HTTP/1.1 {head}\r\n\r\n".encode() + body)


Maker = Callable[[Callable[[ssl.SSLSocket], None]], _Fake]


def test_untrusted_tls_names_ca_bundle(fake: Maker, state: Path) -> None:
    """An authority with a root of its own: the message says where to put it."""
    server = fake(_says("200 OK\r\nContent-Length: 2", b"{}"))
    without = _directory_of(server, state, ca_bundle=None)
    assert isinstance(without, GiveUp)
    assert (without.kind, "ca_bundle" in without.hint) == ("untrusted", True)
    other = fake(_says("200 OK\r\nContent-Length: 2", b"{}"))
    wrong = _directory_of(server, state, ca_bundle=str(other.ca_bundle))
    assert isinstance(wrong, GiveUp)
    assert str(other.ca_bundle) in wrong.hint


def test_a_ca_bundle_that_is_none_is_told(fake: Maker, state: Path, tmp_path: Path) -> None:
    """A missing or empty file is named."""
    server = fake(_says("200 OK", b""))
    assert "ca_bundle" in _directory_of(server, state, ca_bundle=str(tmp_path / "none.pem")).text


def test_an_object_that_is_no_directory_is_told(fake: Maker, state: Path) -> None:
    """JSON without newOrder is somebody else's."""
    error = _directory_of(fake(_says("200 OK\r\nContent-Length: 15", b'{"hello": "you"}'[:15])), state)
    assert isinstance(error, RetryLater | GiveUp)
    error = _directory_of(fake(_says("200 OK\r\nContent-Length: 2", b"{}")), state)
    assert isinstance(error, GiveUp)
    assert "is not an ACME directory" in error.text


def test_a_page_in_html_is_told(fake: Maker, state: Path) -> None:
    """A web site's page is quoted."""
    page = b"<html>It works!</html>"
    error = _directory_of(fake(_says(f"200 OK\r\nContent-Length: {len(page)}", page)), state)
    assert "It works!" in error.text


def test_a_truncated_reply_is_a_broken_connection(fake: Maker, state: Path) -> None:
    """Fewer octets than announced are never taken for the whole."""
    error = _directory_of(fake(_says("200 OK\r\nContent-Length: 500", b'{"newNonce":')), state)
    assert isinstance(error, RetryLater)


def _drip(connection: ssl.SSLSocket) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\n")
    for _ in range(1200):
        time.sleep(0.05)
        connection.sendall(b"X: y\r\n"[:1])


def test_headers_that_drip_end_in_time(fake: Maker, state: Path) -> None:
    """A limit per read would never end this."""
    began = time.monotonic()
    assert isinstance(_directory_of(fake(_drip), state, timeout=LIMIT), RetryLater)
    assert time.monotonic() - began < BOUND


def test_a_reply_without_end_is_cut(fake: Maker, state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No more than a mebibyte is read."""
    monkeypatch.setattr(transport, "_PAUSES", ())

    def flood(connection: ssl.SSLSocket) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n")
        while True:
            connection.sendall(b"x" * 65536)

    assert "more than 1 MiB" in _directory_of(fake(flood), state).text


def test_a_closed_port_is_told_at_once(state: Path) -> None:
    """Refused connections are tried thrice within about a second, not until the time is over."""
    authority = Authority(name="none", directory="https://127.0.0.1:1/dir")
    began = time.monotonic()
    with pytest.raises(RetryLater, match=r"127\.0\.0\.1:1 cannot be reached: Connection refused"):
        _ = Session.open(authority, state=str(state), timeout=600).directory
    assert time.monotonic() - began < BOUND


def test_an_unknown_host_is_told(state: Path) -> None:
    """A name that does not resolve is about DNS, not about the authority."""
    authority = Authority(name="none", directory="https://authority.invalid/dir")
    with pytest.raises(RetryLater, match=r"authority\.invalid cannot be reached"):
        _ = Session.open(authority, state=str(state), timeout=PATIENCE).directory


def test_plain_http_is_refused(state: Path) -> None:
    """RFC 8555, section 6.1: "Use of HTTPS is REQUIRED"."""
    with pytest.raises(GiveUp, match="not an https URL"):
        _ = Session.open(Authority(name="x", directory="http://127.0.0.1/dir"), state=str(state)).directory
