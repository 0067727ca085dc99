"""Answering TLS-ALPN-01: the right certificate for who asks by that protocol, nothing for anybody else."""

import contextlib
import hashlib
import re
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from functools import partial

import pytest
from cryptography import x509 as foreign
from hypothesis import given
from hypothesis import strategies as st

from renewer import clock, x509
from renewer.errors import GiveUp, RenewerError, RetryLater
from renewer.issue.solvers import solver_for
from renewer.model.desired import KeyType, TlsAlpn01
from renewer.model.names import Identifier
from renewer.model.solver import Task
from renewer.network.challenges import Listening
from renewer.network.challenges.tlsalpn01.server import PROTOCOL, Hello, NotTls, TlsServer, parse
from renewer.provisioning import sockets
from renewer.provisioning import tlsalpn as room
from renewer.provisioning.tlsalpn import TlsAlpn01Solver, server_name
from tests.challenges.tasks import THUMBPRINT, TOKEN
from tests.servers.ports import free_port

# RFC 8737 §3: SHA-256 of the key authorization of the RFC's own token, as a DER OCTET STRING
OID = foreign.ObjectIdentifier("1.3.6.1.5.5.7.1.31")


def task(name: str = "www.example.org", *, certificate: str = "www", token: str = TOKEN) -> Task:
    """A challenge for a name or address."""
    return Task(
        certificate=certificate,
        identifier=Identifier.parse(name),
        type="tls-alpn-01",
        token=token,
        key_authorization=f"{token}.{THUMBPRINT}",
    )


def shown(
    port: int, name: str | None, protocols: tuple[str, ...] = (PROTOCOL,), *, version: str = "TLSv1_3"
) -> tuple[foreign.Certificate, str | None]:
    """What a handshake shows: the certificate and the protocol that was chosen."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.maximum_version = ssl.TLSVersion[version]
    if protocols:
        context.set_alpn_protocols(list(protocols))
    with (
        socket.create_connection(("127.0.0.1", port), timeout=30) as sock,
        context.wrap_socket(sock, server_hostname=name) as tls,
    ):
        der = tls.getpeercert(binary_form=True)
        assert der is not None
        assert tls.recv(10) == b""  # RFC 8737 §3: no application data; and it is closed in order
        return foreign.load_der_x509_certificate(der), tls.selected_alpn_protocol()


@pytest.fixture
def port() -> int:
    """A port that is free."""
    return free_port()


@pytest.fixture
def solver(port: int) -> Iterator[TlsAlpn01Solver]:
    """A solver for that port, not listening yet."""
    one = solver_for(TlsAlpn01(listen=f"127.0.0.1:{port}"))
    assert isinstance(one, TlsAlpn01Solver)
    yield one
    one.close()


def refuses(port: int, name: str | None = "www.example.org", protocols: tuple[str, ...] = (PROTOCOL,)) -> str:
    """How such a handshake fails."""
    with pytest.raises(ssl.SSLError) as refusal:
        shown(port, name, protocols)
    return refusal.value.reason or str(refusal.value)


@pytest.mark.parametrize("version", ["TLSv1_2", "TLSv1_3"])
@pytest.mark.parametrize(
    ("name", "sni"),
    [
        ("www.example.org", "www.example.org"),
        ("www.example.org", "WWW.Example.ORG"),
        ("127.0.0.1", "1.0.0.127.in-addr.arpa"),
        ("2001:db8::7", "7." + "0." * 23 + "8.b.d.0.1.0.0.2.ip6.arpa"),
    ],
)
def test_the_certificate(port: int, solver: TlsAlpn01Solver, name: str, sni: str, version: str) -> None:
    """One name, and the critical acmeIdentifier with the digest (RFC 8737 §3); addresses by RFC 8738 §6."""
    asked = task(name)
    (presented,) = solver.present_all([asked])
    assert presented.where == f"127.0.0.1:{port} for {sni.lower()}"
    certificate, protocol = shown(port, sni, version=version)
    assert protocol == "acme-tls/1"

    found = certificate.extensions.get_extension_for_oid(OID)
    digest = hashlib.sha256(asked.key_authorization.encode()).digest()
    assert found.critical
    assert isinstance(found.value, foreign.UnrecognizedExtension)
    assert found.value.value == b"\x04\x20" + digest
    names = certificate.extensions.get_extension_for_class(foreign.SubjectAlternativeName).value
    kind = foreign.IPAddress if asked.identifier.type == "ip" else foreign.DNSName
    assert [str(one) for one in names.get_values_for_type(kind)] == [name]
    assert len(list(names)) == 1
    assert certificate.issuer == certificate.subject


def test_nothing_for_anybody_else(port: int, solver: TlsAlpn01Solver) -> None:
    """Another protocol, none, another name, none: an alert before any certificate is shown."""
    solver.present(task())
    for others in (("h2", "http/1.1"), ()):
        assert re.search("(?i)no.application.protocol", refuses(port, protocols=others))
    assert refuses(port, "other.example.org") == "TLSV1_UNRECOGNIZED_NAME"
    assert refuses(port, None) == "TLSV1_UNRECOGNIZED_NAME"


def test_only_tokens_in_hand(port: int, solver: TlsAlpn01Solver) -> None:
    """After clean-up the name is unknown; the others stay; after close nobody listens."""
    one, other = task("a.example.org"), task("b.example.org")
    solver.wait(solver.present_all([one, other]), lambda _: None)
    assert solver.clean_up_all([one]) == []
    assert refuses(port, "a.example.org") == "TLSV1_UNRECOGNIZED_NAME"
    shown(port, "b.example.org")
    solver.close()
    solver.close()
    with pytest.raises(ConnectionRefusedError):
        shown(port, "b.example.org")


def test_two_certificates_with_one_name(port: int, solver: TlsAlpn01Solver) -> None:
    """The listener has one certificate a name: the second order waits until the first is through."""
    first, second = task(certificate="a"), task(certificate="b", token=TOKEN[::-1])
    solver.present_all([first])
    before, _ = shown(port, "www.example.org")
    done = threading.Event()

    def later() -> None:
        solver.present_all([second])
        done.set()

    threading.Thread(target=later, daemon=True).start()
    assert not done.wait(0.2)
    assert shown(port, "www.example.org")[0] == before
    solver.clean_up(first)
    assert done.wait(5)
    assert shown(port, "www.example.org")[0] != before


def test_waiting_for_a_name_ends(port: int) -> None:
    """A run that must end does not wait for a name that another certificate holds."""
    one = TlsAlpn01Solver(f"127.0.0.1:{port}", serve=partial(Listening, "tls-alpn-01"), until=clock.monotonic)
    try:
        one.present(task(certificate="a"))
        with pytest.raises(RetryLater, match=r"another certificate is being proved with www\.example\.org"):
            one.present(task(certificate="b"))
    finally:
        one.close()


def test_two_solvers_share_a_listener(port: int, solver: TlsAlpn01Solver) -> None:
    """The address is listened on once; who closes first does not end it for the other."""
    other = TlsAlpn01Solver(f"127.0.0.1:{port}", serve=partial(Listening, "tls-alpn-01"))
    solver.present(task("a.example.org"))
    other.present(task("b.example.org"))
    solver.close()
    shown(port, "b.example.org")
    other.close()
    with pytest.raises(ConnectionRefusedError):
        shown(port, "b.example.org")


def test_a_port_that_is_taken(port: int, solver: TlsAlpn01Solver) -> None:
    """It says who has it and how to live beside it, to everybody, and asks only once."""
    with socket.create_server(("127.0.0.1", port)):
        for _ in range(2):
            with pytest.raises(RetryLater, match="is taken by") as refusal:
                solver.present(task())
            assert "renewer challenge snippet" in refusal.value.hint
    with pytest.raises(RetryLater, match="is taken by"):
        solver.present(task())


def test_an_address_that_is_none() -> None:
    """A listen that cannot be is final, with advice for this challenge."""
    with pytest.raises(GiveUp) as refusal:
        TlsAlpn01Solver("nonsense", serve=partial(Listening, "tls-alpn-01")).present(task())
    assert "[::]:443" in refusal.value.hint


def test_a_socket_handed_over(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """A socket of systemd's is used (sd_listen_fds(3)), as for HTTP-01."""
    with socket.create_server(("127.0.0.1", port)) as held:
        monkeypatch.setattr(
            sockets, "handed_over", lambda host, number: [held.dup()] if number == port else [host]
        )
        one = TlsAlpn01Solver(f"127.0.0.1:{port}", serve=partial(Listening, "tls-alpn-01"))
        try:
            one.present(task())
            shown(port, "www.example.org")
        finally:
            one.close()


# --- the listener under attack ------------------------------------------------------------------------------


@pytest.fixture
def impatient(port: int) -> Iterator[TlsServer]:
    """A listener with a short time limit and one name in hand."""
    server = TlsServer(sockets.open_for(f"127.0.0.1:{port}"), time_limit=0.3)
    key = x509.new_key(KeyType.ECDSA_P256)
    pair = key + x509.acme_tls(Identifier.parse("www.example.org"), "a.b", key, clock.now())
    server.show("www.example.org", pair)
    yield server
    server.stop()


@pytest.mark.parametrize(
    "data",
    [
        b"GET / HTTP/1.1\r\n\r\n",
        b"\x16\x03\x01\x00\x00",
        b"\x16\x03\x01\x00\x04\x02\x00\x00\x00",
        b"\x16\x03\x01\x40\x00\x01\xff\xff\xff" + bytes(0x4000 - 4),
        b"\x16\x03\x01\x00\x06\x01\x00\x00\x02\x03\x03",
    ],
    ids=["http", "empty record", "another message", "too long", "cut short"],
)
@pytest.mark.usefixtures("impatient")
def test_what_is_no_hello_is_dropped(port: int, data: bytes) -> None:
    """Whatever is no ClientHello ends the connection at once; the next client is served."""
    with socket.create_connection(("127.0.0.1", port), timeout=30) as sock:
        sock.sendall(data)
        with contextlib.suppress(ConnectionResetError):
            assert sock.recv(100) == b""
    shown(port, "www.example.org")


@pytest.mark.usefixtures("impatient")
def test_the_slow_and_the_many_hold_nobody_up(port: int) -> None:
    """A hundred and fifty connections that say nothing or half a hello: the honest one is served at once."""
    idle = [socket.create_connection(("127.0.0.1", port), timeout=30) for _ in range(150)]
    for one in idle[::2]:
        one.sendall(b"\x16\x03\x01\x01")
    began = time.monotonic()
    shown(port, "www.example.org")
    assert time.monotonic() - began < 30
    for one in idle:
        with contextlib.suppress(ConnectionResetError):
            assert one.recv(1) == b""  # by the time limit, or to make room
        one.close()


@pytest.mark.usefixtures("impatient")
def test_a_hello_in_small_pieces(port: int) -> None:
    """A ClientHello that comes byte by byte is put together."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_alpn_protocols([PROTOCOL])
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = context.wrap_bio(incoming, outgoing, server_hostname="www.example.org")
    with socket.create_connection(("127.0.0.1", port), timeout=30) as sock:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        while True:
            try:
                tls.do_handshake()
                break
            except ssl.SSLWantReadError:
                for octet in outgoing.read():
                    sock.sendall(bytes((octet,)))
                incoming.write(sock.recv(65536))
    assert tls.selected_alpn_protocol() == PROTOCOL


# --- reading a ClientHello ----------------------------------------------------------------------------------


def hello(name: str | None, protocols: list[str]) -> bytes:
    """A real one, of OpenSSL's."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    if protocols:
        context.set_alpn_protocols(protocols)
    outgoing = ssl.MemoryBIO()
    tls = context.wrap_bio(ssl.MemoryBIO(), outgoing, server_hostname=name)
    with pytest.raises(ssl.SSLWantReadError):
        tls.do_handshake()
    return outgoing.read()


@given(
    name=st.none() | st.from_regex(r"[a-z0-9]{1,20}\.example", fullmatch=True),
    protocols=st.lists(st.sampled_from(["h2", "http/1.1", PROTOCOL]), unique=True),
    pieces=st.integers(1, 60),
)
def test_a_real_hello_is_read(name: str | None, protocols: list[str], pieces: int) -> None:
    """Name and protocols are found, also if the message is spread over many records (RFC 8446 §5.1)."""
    whole = hello(name, protocols)
    expected = Hello(name=name or "", protocols=tuple(protocols))
    assert parse(whole) == expected
    body = whole[5:]
    step = max(1, len(body) // pieces)
    parts = [body[at : at + step] for at in range(0, len(body), step)]
    spread = b"".join(b"\x16\x03\x01" + len(part).to_bytes(2, "big") + part for part in parts)
    assert parse(spread) == expected
    assert parse(spread[:-1]) is None


@given(data=st.binary(max_size=400), at=st.integers(0, 500), real=st.booleans())
def test_no_bytes_break_the_reader(data: bytes, at: int, real: bool) -> None:  # noqa: FBT001
    """Any bytes, also a real hello that was tampered with: read, waited for or refused, nothing else."""
    whole = hello("www.example.org", [PROTOCOL])
    given_bytes = whole[:at] + data + whole[at + len(data) :] if real else data
    with contextlib.suppress(NotTls):
        parse(given_bytes)


def test_names_of_servers() -> None:
    """RFC 8738 §6: SNI cannot carry an address, so the reverse-mapped name stands for it."""
    assert server_name(Identifier.parse("192.0.2.7")) == "7.2.0.192.in-addr.arpa"
    assert server_name(Identifier.parse("www.example.org")) == "www.example.org"


def test_errors_are_one_for_each() -> None:
    """One instance is not raised by several threads."""
    error: RenewerError = RetryLater("taken", kind="port-taken")
    assert room._again(error) is not error
