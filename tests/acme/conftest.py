"""What the tests of the authority's door share: an answerer for http-01, sessions, and a whole order."""

import http.server
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from renewer import clock
from renewer.accounts.session import Session
from renewer.model.desired import Authority
from renewer.model.names import Identifier
from renewer.network.acme.resources import AcmeOrder
from tests.servers.pebble import Pebble


def name(text: str) -> Identifier:
    """An identifier."""
    return Identifier.parse(text)


def authority_of(server: Pebble, **changes: object) -> Authority:
    """The config's table for a Pebble."""
    given: dict[str, object] = {
        "name": "pebble",
        "directory": server.directory,
        "ca_bundle": str(server.ca_bundle),
        "agree_terms": True,
        "contact": ("ops@example.org",),
    }
    return Authority(**(given | changes))  # type: ignore[arg-type]


def csr(*names: str) -> bytes:
    """A CSR (DER) for DNS names, without CN and without EKU."""
    san = x509.SubjectAlternativeName([x509.DNSName(each) for each in names])
    builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([])).add_extension(san, False)
    signed = builder.sign(ec.generate_private_key(ec.SECP256R1()), hashes.SHA256())
    return signed.public_bytes(serialization.Encoding.DER)


class Answerer:
    """A small web server that answers http-01 with the key authorizations in hand."""

    def __init__(self, port: int) -> None:
        self.answers: dict[str, str] = {}
        answers = self.answers

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                answer = answers.get(self.path.rpartition("/")[2])
                self.send_response(200 if answer else 404)
                self.end_headers()
                self.wfile.write((answer or "").encode())

            def log_message(self, *_: object) -> None:
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Stop listening."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@pytest.fixture
def answerer_at() -> Iterator[Callable[[int], Answerer]]:
    """Starts answerers at given ports."""
    running: list[Answerer] = []

    def make(port: int) -> Answerer:
        running.append(Answerer(port))
        return running[-1]

    yield make
    for each in running:
        each.stop()


@pytest.fixture
def answerer(pebble: Pebble, answerer_at: Callable[[int], Answerer]) -> Answerer:
    """Answers the shared Pebble's http-01."""
    return answerer_at(pebble.http_port)


@pytest.fixture
def state(tmp_path: Path) -> Path:
    """An empty state directory."""
    path = tmp_path / "state"
    path.mkdir(mode=0o700)
    return path


@pytest.fixture
def session(pebble: Pebble, state: Path) -> Iterator[Session]:
    """A session with the shared Pebble and a state directory of its own."""
    opened = Session.open(authority_of(pebble), state=str(state), timeout=30)
    yield opened
    opened.close()


def prove(session: Session, order: AcmeOrder, answerer: Answerer) -> None:
    """Answer every authorization by http-01 and wait until all are judged."""
    for url in order.authorizations:
        offer = next(one for one in session.authorization(url).challenges if one.type == "http-01")
        assert offer.token is not None
        answerer.answers[offer.token] = session.key_authorization(offer.token)
        session.answer(offer)
    judged = session.wait_authorizations(order.authorizations, clock.monotonic() + 60)
    assert [each.status for each in judged] == ["valid"] * len(order.authorizations)


def obtain(
    session: Session, answerer: Answerer, *names: str, replaces: str | None = None
) -> tuple[AcmeOrder, bytes]:
    """A whole order; the valid order and its chain."""
    order = session.new_order([name(each) for each in names], profile="default", replaces=replaces)
    prove(session, order, answerer)
    finalized = session.finalize(order, csr(*names))
    done = session.wait_order(finalized.url, clock.monotonic() + 60)
    return done, session.download(done)


def ari_id(chain: bytes) -> str:
    """The identifier of a certificate for renewal information (RFC 9773, section 4.1)."""
    import base64

    leaf = x509.load_pem_x509_certificate(chain)
    aki = leaf.extensions.get_extension_for_class(x509.AuthorityKeyIdentifier).value.key_identifier
    assert aki is not None
    serial = leaf.serial_number.to_bytes(leaf.serial_number.bit_length() // 8 + 1, "big")
    return ".".join(base64.urlsafe_b64encode(part).rstrip(b"=").decode() for part in (aki, serial))
