import hashlib
import socket
import ssl
import threading
import time
import warnings
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
import trustme
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from renewer import secrets
from renewer.model.desired import Endpoint, Starttls
from renewer.network import verify
from renewer.network.verify import PortTrouble, Sight, Target
from renewer.network.verify.sight import is_ours
from tests.servers.certificates import Pair, ServerRoot
from tests.servers.nginx import NginxFactory
from tests.servers.ports import refusing_port
from tests.servers.tls_peer import Behaviour, Peer, dripping, endless, scripted, silent, tls
from tests.settling import hasty

__all__ = ["hasty"]

NAME = "a.example.org"


@pytest.fixture
def root() -> ServerRoot:
    """An authority of the test's own."""
    return ServerRoot()


@pytest.fixture
def roots(root: ServerRoot, tmp_path: Path) -> str:
    """Its certificate, as a file of roots."""
    return str(root.write(tmp_path / "roots.pem"))


@pytest.fixture
def pair(root: ServerRoot, tmp_path: Path) -> Pair:
    """A certificate of its for NAME."""
    return root.issue(tmp_path, NAME, stem="first")


def here(port: int, *, name: str = NAME, host: str | None = "127.0.0.1", roots: str = "any") -> Target:
    """A target on this host."""
    return Target(endpoint=Endpoint(server_name=name, port=port, host=host), roots=roots)


def only(target: Target, **settings: Any) -> Sight:
    """The one sight of a target with one address."""
    (sight,) = verify.look([target], reads=secrets.roots, **settings)
    return sight


def fingerprint(pair: Pair) -> str:
    """The fingerprint of a leaf, by other means than the package's."""
    return hashlib.sha256(ssl.PEM_cert_to_DER_cert(pair.cert.read_text())).hexdigest()


# --- one look ---------------------------------------------------------------------------------------------


def test_a_sound_port(pair: Pair, roots: str, nginx_factory: NginxFactory) -> None:
    """A real nginx with a good certificate: everything is seen and nothing is wrong."""
    nginx = nginx_factory({NAME: (pair.cert, pair.key)})

    sight = only(here(nginx.port, roots=roots))

    assert (sight.connected, sight.completed, sight.trusted, sight.name_matches) == (True,) * 4
    assert (sight.trouble, sight.error) == (None, None)
    assert sight.address == f"127.0.0.1:{nginx.port}"
    assert sight.fingerprint == fingerprint(pair)
    assert (sight.serial or "").lstrip("0") == nginx.serial(NAME).lstrip("0")
    assert sight.not_after is not None
    assert sight.not_after > datetime.now(UTC)


def test_the_server_name_is_asked_for(root: ServerRoot, tmp_path: Path, nginx_factory: NginxFactory) -> None:
    """Of several certificates behind one port the one for the endpoint's server name is seen."""
    a, b = (root.issue(tmp_path, name, stem=name) for name in ("a.example.org", "b.example.org"))
    nginx = nginx_factory({"a.example.org": (a.cert, a.key), "b.example.org": (b.cert, b.key)})

    assert only(here(nginx.port, name="b.example.org")).fingerprint == fingerprint(b)


def test_a_chain_to_other_roots(pair: Pair) -> None:
    """A certificate that the roots do not know is seen all the same, and not trusted."""
    with Peer(tls(pair)) as peer:
        sight = only(here(peer.port, roots="system"))

    assert (sight.completed, sight.trusted, sight.name_matches) == (True, False, True)
    assert sight.fingerprint == fingerprint(pair)
    assert sight.trouble is PortTrouble.CHAIN_INCOMPLETE
    assert (sight.error or "").startswith(f"127.0.0.1:{peer.port}: the chain stops short of a trusted root")


def test_roots_any_asks_for_no_chain(pair: Pair) -> None:
    """With roots = "any" nothing is said of the chain."""
    with Peer(tls(pair)) as peer:
        sight = only(here(peer.port))

    assert (sight.completed, sight.trusted, sight.trouble) == (True, None, None)


def test_roots_that_cannot_be_read(pair: Pair) -> None:
    """A broken file of roots is told and never means trust; the leaf is seen."""
    with Peer(tls(pair)) as peer:
        sight = only(here(peer.port, roots="/no/such/roots.pem"))

    assert (sight.completed, sight.trusted, sight.trouble) == (True, False, PortTrouble.ROOTS)
    assert "/no/such/roots.pem" in (sight.error or "")


def test_an_expired_certificate(root: ServerRoot, roots: str, tmp_path: Path) -> None:
    """An expired leaf is seen with its dates."""
    long_ago = datetime.now(UTC) - timedelta(days=100)
    expired = root.issue(tmp_path, NAME, not_before=long_ago, valid_for=timedelta(days=90))
    with Peer(tls(expired)) as peer:
        sight = only(here(peer.port, roots=roots))

    assert (sight.completed, sight.trusted, sight.trouble) == (True, False, PortTrouble.EXPIRED)
    assert sight.not_after is not None
    assert sight.not_after < datetime.now(UTC)


def test_an_expired_authority(tmp_path: Path) -> None:
    """An expired certificate above a good leaf is not taken for an expired leaf."""
    authority = trustme.CA()
    made = authority.create_child_ca().issue_cert(NAME)
    pair = Pair(tmp_path / "leaf.pem", tmp_path / "leaf.key")
    pair.cert.write_bytes(b"".join(pem.bytes() for pem in made.cert_chain_pems))
    made.private_key_pem.write_to_path(str(pair.key))
    roots = tmp_path / "ca.pem"
    roots.write_bytes(expired_copy(authority))
    with Peer(tls(pair)) as peer:
        sight = only(here(peer.port, roots=str(roots)))

    assert (sight.completed, sight.trusted, sight.trouble) == (True, False, PortTrouble.UNTRUSTED)
    assert "above the leaf has expired" in (sight.error or "")


def expired_copy(authority: trustme.CA) -> bytes:
    """The authority's root with the same key, but of long ago."""
    original = x509.load_pem_x509_certificate(authority.cert_pem.bytes())
    key = serialization.load_pem_private_key(authority.private_key_pem.bytes(), None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    builder = (
        x509.CertificateBuilder()
        .subject_name(original.subject)
        .issuer_name(original.issuer)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(datetime(2001, 1, 1, tzinfo=UTC))
        .not_valid_after(datetime(2002, 1, 1, tzinfo=UTC))
    )
    for extension in original.extensions:
        builder = builder.add_extension(extension.value, extension.critical)
    return builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


def test_a_certificate_of_tomorrow(root: ServerRoot, roots: str, tmp_path: Path) -> None:
    """A leaf that is not valid yet is told apart from an expired one."""
    with Peer(tls(root.issue(tmp_path, NAME, not_before=datetime.now(UTC) + timedelta(days=1)))) as peer:
        assert only(here(peer.port, roots=roots)).trouble is PortTrouble.NOT_YET_VALID


def test_somebody_elses_name(pair: Pair, roots: str) -> None:
    """A certificate for other names is trusted as a chain, and still wrong."""
    with Peer(tls(pair)) as peer:
        sight = only(here(peer.port, name="b.example.org", roots=roots))

    assert (sight.completed, sight.trusted, sight.name_matches) == (True, True, False)
    assert sight.trouble is PortTrouble.NAME_MISMATCH


@pytest.mark.parametrize(
    ("names", "asked", "fits"),
    [
        (["*.example.org"], "a.example.org", True),
        (["*.example.org"], "example.org", False),
        (["*.example.org"], "a.b.example.org", False),
        (["192.0.2.1", "127.0.0.1"], "127.0.0.1", True),
        (["example.org", "b.example.org"], "b.example.org", True),
    ],
)
def test_names_that_fit(
    root: ServerRoot, tmp_path: Path, *, names: list[str], asked: str, fits: bool
) -> None:
    """Wildcards stand for one label, addresses for themselves (RFC 6125 §6.4)."""
    with Peer(tls(root.issue(tmp_path, *names))) as peer:
        assert only(here(peer.port, name=asked)).name_matches is fits


def chained(tmp_path: Path, *, whole: bool) -> tuple[Pair, str]:
    """A certificate below an intermediate, with or without it; and the roots."""
    authority = trustme.CA()
    made = authority.create_child_ca().issue_cert(NAME)
    pair = Pair(tmp_path / "chained.pem", tmp_path / "chained.key")
    pems = made.cert_chain_pems if whole else made.cert_chain_pems[:1]
    pair.cert.write_bytes(b"".join(pem.bytes() for pem in pems))
    made.private_key_pem.write_to_path(str(pair.key))
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    return pair, str(tmp_path / "ca.pem")


@pytest.mark.parametrize("whole", [True, False])
def test_the_intermediate_must_be_sent(tmp_path: Path, *, whole: bool) -> None:
    """A server that forgets its intermediate is not trusted, as by clients that have not cached it."""
    pair, roots = chained(tmp_path, whole=whole)
    with Peer(tls(pair)) as peer:
        sight = only(here(peer.port, roots=roots))

    assert sight.completed
    assert sight.trusted is whole
    assert sight.trouble is (None if whole else PortTrouble.CHAIN_INCOMPLETE)


def test_a_self_signed_certificate(root: ServerRoot, tmp_path: Path) -> None:
    """A certificate that vouches for itself is called by its name."""
    alone = Pair(tmp_path / "self.pem", tmp_path / "self.key")
    alone.cert.write_bytes(root.pem)
    alone.key.write_bytes(
        root._key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    with Peer(tls(alone)) as peer:
        sight = only(here(peer.port, roots="system"))

    assert (sight.completed, sight.trusted, sight.trouble) == (True, False, PortTrouble.SELF_SIGNED)


def test_only_old_tls(pair: Pair, roots: str) -> None:
    """A server that only clients of yesterday can reach is seen, and not called sound."""
    old = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        old.maximum_version = ssl.TLSVersion.TLSv1_1
        old.minimum_version = ssl.TLSVersion.TLSv1
    old.set_ciphers("ALL:@SECLEVEL=0")
    with Peer(tls(pair, context=old)) as peer:
        sight = only(here(peer.port, roots=roots))

    assert (sight.completed, sight.trusted, sight.trouble) == (True, False, PortTrouble.OLD_TLS)


def test_nobody_listens() -> None:
    """A refused connection is told as such."""
    with refusing_port() as port:
        sight = only(here(port))

    assert (sight.connected, sight.completed, sight.trouble) == (False, False, PortTrouble.REFUSED)
    assert sight.local


@pytest.mark.parametrize("roots", ["any", "system"])
@pytest.mark.parametrize(
    ("behaviour", "trouble"),
    [
        (silent, PortTrouble.TIMEOUT),
        (endless(b"HTTP/1.1 200 OK\r\n" * 1000), PortTrouble.NO_TLS),
        (endless(b"\x16\x03\x03\x40\x00" + bytes(16384)), PortTrouble.NO_TLS),
        (endless(b"\x16\x03\x03\x00\x04\x00\x00\x00\x00" * 1000), PortTrouble.NO_TLS),
        (endless(b"\x16\x03\x03\x00\x00" * 1000), PortTrouble.NO_TLS),
        (endless(b"\x15\x03\x03\x00\x02\x01\x5a" * 1000), PortTrouble.NO_TLS),
        (endless(b"\x00"), PortTrouble.NO_TLS),
        (dripping(b"\x16\x03\x03\x40\x00" + bytes(16384)), PortTrouble.TIMEOUT),
        (dripping(b"\x16\x03\x03\x00\x04\x00\x00\x00\x00" * 100, pause=0.001), PortTrouble.TIMEOUT),
        (lambda _: None, PortTrouble.NO_TLS),
    ],
    ids=[
        *("silent", "http", "records", "short-records", "empty-records", "warnings", "zeros", "dripping"),
        *("trickling", "closing"),
    ],
)
def test_hostile_peers(behaviour: Behaviour, trouble: PortTrouble, roots: str) -> None:
    """Silence, floods, garbage and single bytes end within the time limit, in words."""
    began = time.monotonic()
    with Peer(behaviour) as peer:
        sight = only(here(peer.port, roots=roots), timeout=0.5 if trouble is PortTrouble.TIMEOUT else 60)
    took = time.monotonic() - began

    assert took < 30  # a flood is left for its length, long before its time is over
    assert sight.completed is False
    assert sight.trouble in {trouble, PortTrouble.NETWORK}  # a peer that closes with data unread resets
    assert (sight.error or "").startswith(f"127.0.0.1:{peer.port}: ")


@pytest.mark.parametrize("starttls", [None, Starttls.SMTP])
def test_a_flood_where_a_goodbye_is_said(starttls: Starttls | None) -> None:
    """The look that takes leave as the protocol wants it ends as well, with TLS at once and after a talk."""
    flood = endless(b"\x16\x03\x03\x40\x00" + bytes(16384))
    script = [(b"220 mx\r\n", b"EHLO renewer.invalid\r\n"), (b"250 STARTTLS\r\n", b"STARTTLS\r\n")]
    endpoint = Endpoint(server_name=NAME, port=1, host="127.0.0.1")
    began = time.monotonic()
    with Peer(scripted([*script, (b"220 go\r\n", b"")], flood) if starttls else flood) as peer:
        asked = msgspec.structs.replace(endpoint, port=peer.port, starttls=starttls, protocol=Starttls.SMTP)
        sight = only(Target(endpoint=asked, roots="any"), timeout=60)
    took = time.monotonic() - began

    assert took < 30
    assert (sight.completed, sight.trouble) == (False, PortTrouble.NO_TLS)
    assert "talks without end" in (sight.error or "")


def test_a_name_without_an_address() -> None:
    """A name that does not resolve gives one sight that says so."""
    sight = only(Target(endpoint=Endpoint(server_name="nowhere.invalid")))

    assert (sight.address, sight.connected, sight.trouble) == ("", False, PortTrouble.UNRESOLVED)
    assert "nowhere.invalid cannot be resolved" in (sight.error or "")
    assert not sight.local


def test_a_name_with_no_address_at_all(monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty answer is an answer: no target goes without a sight."""
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: [])

    sight = only(Target(endpoint=Endpoint(server_name="empty.example.org")))

    assert (sight.trouble, sight.address) == (PortTrouble.UNRESOLVED, "")


def test_a_resolver_that_hangs(monkeypatch: pytest.MonkeyPatch) -> None:
    """The system's resolver may take minutes; we do not."""
    released = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: [] * released.wait(60))
    try:
        sight = only(Target(endpoint=Endpoint(server_name="slow.example.org")), timeout=0.2)
    finally:
        released.set()

    assert sight.trouble is PortTrouble.UNRESOLVED
    assert "no answer within 0.2 s" in (sight.error or "")


def resolves_to(monkeypatch: pytest.MonkeyPatch, *addresses: tuple[str, int]) -> None:
    """Let every name have these addresses."""

    def answer(_host: bytes, _port: int, **_: object) -> list[tuple[Any, ...]]:
        return [
            (socket.AF_INET6, socket.SOCK_STREAM, 6, "", (host, port, 0, 0))
            if ":" in host
            else (socket.AF_INET, socket.SOCK_STREAM, 6, "", (host, port))
            for host, port in addresses
        ]

    monkeypatch.setattr(socket, "getaddrinfo", answer)


def test_every_address_is_looked_at(
    root: ServerRoot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """IPv4 and IPv6 addresses of a name are all seen, each once, each with its own certificate."""
    four, six = (root.issue(tmp_path, NAME, stem=stem) for stem in ("four", "six"))
    with Peer(tls(four)) as v4, Peer(tls(six), host="::1") as v6:
        known = [("127.0.0.1", v4.port), ("::1", v6.port), ("127.0.0.1", v4.port)]
        resolves_to(monkeypatch, *known)
        sights = verify.look([here(443, host=None)])

    assert [(sight.address, sight.fingerprint, sight.local) for sight in sights] == [
        (f"127.0.0.1:{v4.port}", fingerprint(four), True),
        (f"[::1]:{v6.port}", fingerprint(six), True),
    ]


def test_whose_an_address_is() -> None:
    """An address is this host's if a socket can be bound to it."""
    assert is_ours(socket.AF_INET, "127.0.0.1")
    assert not is_ours(socket.AF_INET, "192.0.2.1")
    assert not is_ours(socket.AF_INET6, "2001:db8::1")


def test_an_address_of_somebody_else_is_not_local(monkeypatch: pytest.MonkeyPatch) -> None:
    """A name that leads elsewhere is looked at, but is not this host's business."""
    resolves_to(monkeypatch, ("192.0.2.1", 443))

    assert not only(here(443, host=None)).local


def test_an_endpoint_with_a_host_is_local(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who names the address says that this host answers for it, whatever the address."""
    resolves_to(monkeypatch, ("192.0.2.1", 443))

    assert only(here(443, host="backend.example.org")).local


def test_many_targets_keep_their_order(pair: Pair, roots: str, nginx_factory: NginxFactory) -> None:
    """Looking is concurrent; what comes back is in the order of what was asked."""
    nginx = nginx_factory({NAME: (pair.cert, pair.key)})
    names = [f"n{number}.example.org" for number in range(100)]

    sights = verify.look([here(nginx.port, name=name, roots=roots) for name in names], reads=secrets.roots)

    assert [sight.endpoint.server_name for sight in sights] == names
    assert all(sight.completed for sight in sights)


def test_nothing_to_look_at() -> None:
    """No targets, no sights, and no import of TLS for it."""
    assert verify.look([]) == []
    assert verify.settle_all([]) == []


# --- until it has settled ---------------------------------------------------------------------------------


def test_settled_means_five_over_a_while(pair: Pair, roots: str, nginx_factory: NginxFactory) -> None:
    """A port that serves the expected leaf is believed after five handshakes over 0.3 s, not before."""
    nginx = nginx_factory({NAME: (pair.cert, pair.key)})
    began = time.monotonic()

    (sight,) = verify.settle(here(nginx.port, roots=roots), fingerprint(pair), reads=secrets.roots)

    assert time.monotonic() - began >= 0.3
    assert (sight.fitted, sight.trusted, sight.name_matches) == (5, True, True)


def test_a_reload_of_nginx_settles(
    root: ServerRoot, roots: str, tmp_path: Path, nginx_factory: NginxFactory
) -> None:
    """After a real reload the new certificate is waited for while workers old and new answer in turn."""
    old, new = (root.issue(tmp_path, NAME, stem=stem) for stem in ("old", "new"))
    wanted = fingerprint(new)
    nginx = nginx_factory({NAME: (old.cert, old.key)}, workers=4)
    new.cert.replace(old.cert)
    new.key.replace(old.key)

    nginx.reload()
    (sight,) = verify.settle(here(nginx.port, roots=roots), wanted, reads=secrets.roots)

    assert (sight.fingerprint, sight.fitted) == (wanted, 5)


def test_old_and_new_in_turn_count_as_not_yet(root: ServerRoot, tmp_path: Path) -> None:
    """Four new ones and then an old one again: counting starts anew."""
    old, new = (root.issue(tmp_path, NAME, stem=stem) for stem in ("old", "new"))
    with Peer(tls(new, new, new, new, old, new)) as peer:
        (sight,) = verify.settle(here(peer.port), fingerprint(new), over=0.05)
        assert peer.connections == 10

    assert sight.fitted == 5


@pytest.mark.usefixtures("hasty")
def test_a_port_that_stays_stale(root: ServerRoot, pair: Pair, tmp_path: Path) -> None:
    """After the time given, what is served is told as it is."""
    other = root.issue(tmp_path, NAME, stem="other")
    with Peer(tls(pair)) as peer:
        (sight,) = verify.settle(here(peer.port), fingerprint(other), within=0.3)

    assert (sight.completed, sight.fingerprint, sight.fitted) == (True, fingerprint(pair), 0)


def test_a_server_that_is_starting(pair: Pair) -> None:
    """A refused connection is no reason to give up: a server may be restarting."""
    with refusing_port() as port, ExitStack() as started:

        def start_late() -> None:
            time.sleep(0.3)
            started.enter_context(Peer(tls(pair), port=port))

        starter = threading.Thread(target=start_late)
        starter.start()
        (sight,) = verify.settle(here(port), fingerprint(pair), within=60, over=0.05)
        starter.join()

    assert sight.fitted == 5


@pytest.mark.usefixtures("hasty")
def test_a_server_that_stays_away() -> None:
    """A port that refuses to the end is told as refused."""
    with refusing_port() as port:
        (sight,) = verify.settle(here(port), "00", within=0.2)

    assert (sight.trouble, sight.fitted) == (PortTrouble.REFUSED, 0)


def test_silence_elsewhere_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """Behind NAT a host cannot reach its own public address: that is found out once, not for ever."""
    resolves_to(monkeypatch, ("192.0.2.1", 443))
    (sight,) = verify.settle(here(443, host=None), "00", within=60)

    assert (sight.connected, sight.local) == (False, False)


@pytest.mark.usefixtures("hasty")
def test_each_address_settles_by_itself(
    root: ServerRoot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One backend that has the new certificate says nothing of the other."""
    old, new = (root.issue(tmp_path, NAME, stem=stem) for stem in ("old", "new"))
    with Peer(tls(new)) as one, Peer(tls(old)) as two:
        resolves_to(monkeypatch, ("127.0.0.1", one.port), ("127.0.0.1", two.port))
        sights = verify.settle(here(443, host=None), fingerprint(new), within=1.5, over=0.05)

    assert [sight.fitted for sight in sights] == [5, 0]


@pytest.mark.usefixtures("hasty")
def test_many_settle_at_once(pair: Pair, nginx_factory: NginxFactory) -> None:
    """A whole batch is waited for side by side, each with its own expectation."""
    nginx = nginx_factory({NAME: (pair.cert, pair.key)})
    wanted = [(here(nginx.port), fingerprint(pair)), (here(nginx.port), "00")] * 10

    sights = verify.settle_all(wanted, within=1.5, over=0.05)

    assert [sight.fitted for sight in sights] == [5, 0] * 10


def demanding(pair: Pair, version: ssl.TLSVersion) -> Behaviour:
    """A server that breaks the handshake off for want of a certificate of the client's."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.maximum_version = version
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(pair.cert)
    return tls(pair, context=context)


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_a_server_that_demands_a_certificate_is_seen(pair: Pair, roots: str, version: ssl.TLSVersion) -> None:
    """The leaf comes before the server breaks off, and it is judged as any other."""
    with Peer(demanding(pair, version)) as peer:
        sight = only(here(peer.port, roots=roots))

    assert (sight.completed, sight.trusted, sight.name_matches, sight.error) == (True, True, True, None)
    assert sight.fingerprint == fingerprint(pair)


def test_a_demanding_server_with_a_foreign_chain_is_not_trusted(
    pair: Pair, tmp_path: Path, root: ServerRoot
) -> None:
    """That the handshake could not be completed is no reason to believe its chain."""
    others = str(ServerRoot().write(tmp_path / "others.pem"))
    with Peer(demanding(pair, ssl.TLSVersion.TLSv1_2)) as peer:
        sight = only(here(peer.port, roots=others))

    assert root.pem != Path(others).read_bytes()
    assert (sight.completed, sight.trusted, sight.trouble) == (True, False, PortTrouble.CHAIN_INCOMPLETE)


def wanting_a_header(pair: Pair, heard: list[bytes]) -> Behaviour:
    """A server behind a proxy that says for whom it connects; without that it hangs up."""
    secured = tls(pair)

    def serve(connection: socket.socket) -> None:
        line = b""
        while not line.endswith(b"\r\n") and len(line) < 107:
            line += connection.recv(1)
        heard.append(line)
        if line.startswith(b"PROXY "):
            secured(connection)

    return serve


def test_a_port_that_wants_the_proxy_protocol(pair: Pair, roots: str) -> None:
    """The header says who looks, from where, and that it is nobody else; then comes TLS."""
    heard: list[bytes] = []
    with Peer(wanting_a_header(pair, heard)) as peer:
        endpoint = Endpoint(server_name=NAME, port=peer.port, host="127.0.0.1", proxy_protocol=True)
        (sight,) = verify.look([Target(endpoint=endpoint, roots=roots)], reads=secrets.roots)

    assert (sight.completed, sight.trusted) == (True, True)
    assert heard[0].split()[:4] == [b"PROXY", b"TCP4", b"127.0.0.1", b"127.0.0.1"]
    assert int(heard[0].split()[5]) == peer.port


@pytest.mark.slow
def test_an_endpoint_may_be_slow_if_the_config_says_so(pair: Pair, roots: str) -> None:
    """`timeout` of an endpoint counts for it, above and below what is usual."""
    secured = tls(pair)

    def late(connection: socket.socket) -> None:
        time.sleep(6)
        secured(connection)

    with Peer(late) as peer:
        targets = [
            Target(
                endpoint=Endpoint(server_name=NAME, port=peer.port, host="127.0.0.1", timeout=seconds),
                roots=roots,
            )
            for seconds in (1.0, 60.0)
        ]
        soon, patient = verify.look(targets, reads=secrets.roots)

    assert (soon.trouble, patient.completed) == (PortTrouble.TIMEOUT, True)
