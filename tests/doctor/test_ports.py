"""Real connections to what answers at a name's addresses."""

import http.server
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from renewer.model.desired import Http01, TlsAlpn01
from renewer.model.inspection import Severity
from tests.doctor.conftest import HTTP01, Bed
from tests.servers.ports import free_port, release
from tests.servers.scripted_dns import zone

ZONE = zone("example.org", "ns1.example.org 127.0.0.1")
LISTEN = Http01(listen="0.0.0.0:80")
Answer = Callable[[str], tuple[int, dict[str, str]]]


@pytest.fixture
def web(bed: Bed) -> Iterator[Callable[[Answer], list[str]]]:
    """Starts a web server at 127.0.0.1; returns the list of (path, Host) it is asked for."""
    port = bed.doors["http"] = free_port()
    with ExitStack() as servers:

        def start(answer: Answer) -> list[str]:
            asked: list[str] = []

            class Handler(http.server.BaseHTTPRequestHandler):
                def do_GET(self) -> None:
                    asked.append(f"{self.headers['Host']}{self.path}")
                    status, headers = answer(self.path)
                    self.send_response(status)
                    for name, value in headers.items():
                        self.send_header(name, value)
                    self.end_headers()

                def log_message(self, *_: Any) -> None:
                    pass

            server = http.server.ThreadingHTTPServer(("127.0.0.1", port), Handler)
            servers.callback(server.server_close)
            servers.callback(server.shutdown)
            threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
            return asked

        yield start
    release(port)


def test_a_web_server_in_order(bed: Bed, web: Any) -> None:
    """404 for a token that is not there; asked by the name, at the address that DNS says."""
    bed.world(*ZONE, "www.example.org A 127.0.0.1")
    asked = web(lambda _: (404, {}))

    assert bed.findings("www.example.org", HTTP01) == {}
    assert asked == [f"www.example.org:{bed.doors['http']}/.well-known/acme-challenge/renewer-probe"]


@pytest.mark.parametrize(
    ("status", "headers", "code"),
    [
        (200, {}, "http-catch-all"),
        (403, {}, "http-refused"),
        (302, {"Location": "http://www.example.org:8080/"}, "http-broken"),
        (301, {"Location": "/.well-known/acme-challenge/renewer-probe"}, "http-broken"),
    ],
)
def test_a_web_server_in_the_way(bed: Bed, web: Any, status: int, headers: dict[str, str], code: str) -> None:
    """Programs that take everything, logins, redirects that no authority follows."""
    bed.world(*ZONE, "www.example.org A 127.0.0.1")
    web(lambda _: (status, headers))

    assert set(bed.findings("www.example.org", HTTP01)) == {code}


def test_an_address_that_is_closed_beside_one_that_is_open(bed: Bed, web: Any) -> None:
    """IPv6 is forgotten in the web server's config: a warning with the address."""
    bed.world(*ZONE, "www.example.org A 127.0.0.1", "www.example.org AAAA ::1")
    web(lambda _: (404, {}))

    finding = bed.findings("www.example.org", HTTP01)["port-closed"]

    assert finding.severity is Severity.WARNING
    assert "::1 (connection refused)" in finding.text


def test_a_closed_port(bed: Bed) -> None:
    """Nobody listens: an error with a webroot, right with a listener of our own."""
    port = bed.doors["http"] = free_port()
    bed.world(*ZONE, "www.example.org A 127.0.0.1")

    assert bed.findings("www.example.org", HTTP01)["port-closed"].severity is Severity.ERROR
    assert bed.findings("www.example.org", LISTEN) == {}
    release(port)


def test_somebody_else_at_our_listeners_port(bed: Bed, web: Any) -> None:
    """A web server stands where our listener shall be."""
    bed.world(*ZONE, "www.example.org A 127.0.0.1")
    web(lambda _: (404, {}))

    assert set(bed.findings("www.example.org", LISTEN)) == {"port-taken"}


@pytest.mark.slow
def test_a_server_that_accepts_and_says_nothing(bed: Bed) -> None:
    """It costs a few seconds and is said."""
    with socket.create_server(("127.0.0.1", 0)) as mute:
        bed.doors["http"] = mute.getsockname()[1]
        bed.limit = 4
        bed.world(*ZONE, "www.example.org A 127.0.0.1")

        found = bed.findings("www.example.org", HTTP01)

    assert "no answer in time" in found["http-broken"].text


def test_an_ip_address_needs_no_dns(bed: Bed, web: Any) -> None:
    """RFC 8738: only the port is looked at."""
    web(lambda _: (404, {}))

    assert bed.findings("127.0.0.1", HTTP01) == {}


def test_ports_are_left_alone_for_dns_01(bed: Bed, web: Any) -> None:
    """What a challenge does not need is not connected to."""
    bed.world(*ZONE, "www.example.org A 127.0.0.1")
    asked = web(lambda _: (404, {}))

    assert bed.findings("www.example.org") == {}
    assert asked == []


def test_port_443_for_tls_alpn_01(bed: Bed, web: Any) -> None:
    """A refusal is right before our listener is there; a server without TLS is told."""
    bed.doors["tls"] = bed.doors["http"]
    bed.world(*ZONE, "www.example.org A 127.0.0.1")
    challenge = TlsAlpn01(listen="127.0.0.1:443")
    assert bed.findings("www.example.org", challenge) == {}

    web(lambda _: (404, {}))
    finding = bed.findings("www.example.org", challenge)["no-tls"]
    assert "does not speak TLS" in finding.text
    assert finding.severity is Severity.INFO
