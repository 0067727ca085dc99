"""The test bed itself: if a server here does not do what it says, no other test proves anything."""

import errno
import json
import os
import signal
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import josepy
import pytest
import requests
from acme import challenges, client, messages
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from tests.servers import faultproxy as faults
from tests.servers.certificates import ServerRoot
from tests.servers.faultproxy import FaultProxy
from tests.servers.handshake import served_leaf, served_serial, wait_until
from tests.servers.nginx import Nginx, NginxFactory
from tests.servers.pebble import Pebble, PebbleFactory, Request, new_eab_key
from tests.servers.ports import free_port, release
from tests.servers.process import Process, ServerFailedError, accepts

CHECKOUT = Path(__file__).resolve().parents[2]


def running(pid: int) -> bool:
    """Whether a process exists and is not merely waiting to be reaped."""
    try:
        # The state follows the name, which stands in parentheses and may hold anything.
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in {"Z", "X"}
    except OSError:
        return False


class _PatientNetwork(client.ClientNetwork):
    """Goes on when nonces are refused: Pebble refuses one in twenty good ones, now and then two in a row."""

    def post(self, *args: Any, **kwargs: Any) -> requests.Response:
        """The package's own post asks twice; this one until chance cannot be meant."""
        for _ in range(10):
            try:
                return self._post_once(*args, **kwargs)
            except messages.Error as error:
                if error.code != "badNonce":
                    raise
        return super().post(*args, **kwargs)


class Client:
    """The `acme` package's own client, as a second opinion on what the servers do."""

    def __init__(self, directory: str, ca_bundle: Path) -> None:
        """Make an account."""
        self.key = josepy.jwk.JWKEC(key=ec.generate_private_key(ec.SECP256R1()))
        self.net = _PatientNetwork(
            self.key,
            alg=josepy.jwa.ES256,
            verify_ssl=str(ca_bundle),  # type: ignore[arg-type]  # it is handed on to requests, which takes both
            timeout=10,
        )
        self.acme = client.ClientV2(client.ClientV2.get_directory(directory, self.net), self.net)
        self.account = self.acme.new_account(messages.NewRegistration.from_data(terms_of_service_agreed=True))

    def order(self, name: str, profile: str = "default") -> messages.OrderResource:
        """Create an order."""
        key = ec.generate_private_key(ec.SECP256R1())
        request = (
            x509.CertificateSigningRequestBuilder()
            .subject_name(x509.Name([]))
            .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
            .sign(key, hashes.SHA256())
        )
        return self.acme.new_order(request.public_bytes(serialization.Encoding.PEM), profile=profile)

    def issue(self, name: str, webroot: Path, profile: str = "default") -> str:
        """Order, answer HTTP-01 through a webroot, and return the chain."""
        order = self.order(name, profile)
        for authorization in order.authorizations:
            body = next(
                each for each in authorization.body.challenges if isinstance(each.chall, challenges.HTTP01)
            )
            response, validation = body.chall.response_and_validation(self.key)
            token = webroot / body.chall.path.lstrip("/")
            token.parent.mkdir(parents=True, exist_ok=True)
            token.write_text(validation)
            self.acme.answer_challenge(body, response)
        return self.acme.poll_and_finalize(order).fullchain_pem


# --- ports and processes ------------------------------------------------------------------------------------


def test_ports_lie_below_the_ephemeral_ones_and_differ() -> None:
    """No outgoing connection can take a port that a test was given."""
    ports = [free_port() for _ in range(20)]
    assert len(set(ports)) == 20
    assert all(1024 < port < 32768 for port in ports)
    release(*ports)


def test_two_processes_are_never_given_the_same_port() -> None:
    """A claim holds between processes, also when both ask from the same place on."""
    script = (
        "import itertools, sys; from tests.servers import ports; ports._candidates = itertools.count(77);"
        "print(*(ports.free_port() for _ in range(40)), flush=True); sys.stdin.read()"
    )
    helpers = [
        subprocess.Popen(
            [sys.executable, "-c", script],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=CHECKOUT,
        )
        for _ in range(2)
    ]
    given: list[str] = []
    for helper in helpers:
        assert helper.stdout is not None
        given += helper.stdout.readline().split()
    for helper in helpers:
        helper.communicate()
    assert len(given) == 80
    assert len(set(given)) == 80


def test_a_program_that_ends_at_once_is_told_with_its_own_words(tmp_path: Path) -> None:
    """Waiting for a server that cannot start says why instead of running into the time limit."""
    with (
        Process(["sh", "-c", "echo no such luck; exit 3"], log=tmp_path / "log") as process,
        pytest.raises(ServerFailedError, match=r"(?s)ended with 3.*no such luck"),
    ):
        process.wait_for_port(free_port())


def test_stopping_ends_the_programs_children_as_well(tmp_path: Path) -> None:
    """A child that outlives its parent's polite end does not outlive the test."""
    pid_file = tmp_path / "pid"
    argv = ["sh", "-c", f"sh -c 'trap \"\" TERM; while :; do sleep 0.1; done' & echo $! > {pid_file}; wait"]
    process = Process(argv, log=tmp_path / "log")
    wait_until(lambda: pid_file.exists() and pid_file.read_text().endswith("\n"), what="the child's start")
    child = int(pid_file.read_text())
    assert running(child)
    process.stop()
    wait_until(lambda: not running(child), what="the child's end")


def test_servers_go_when_the_test_process_is_killed(tmp_path: Path) -> None:
    """A pytest killed by -9 can tidy nothing, and still nothing stays behind."""
    script = f"""
import sys
from pathlib import Path
from tests.servers.nginx import Nginx
from tests.servers.pebble import Pebble
pebble = Pebble(Path({str(tmp_path / "pebble")!r})).start()
nginx = Nginx(Path({str(tmp_path / "nginx")!r})).start()
print(pebble.pid, nginx.pid, pebble.port, pebble.dns.management_port, nginx.port, flush=True)
sys.stdin.read()
"""
    helper = subprocess.Popen(
        [sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=CHECKOUT
    )
    assert helper.stdout is not None
    *pids, pebble_port, dns_port, nginx_port = map(int, helper.stdout.readline().split())
    ports = [pebble_port, dns_port, nginx_port]
    assert all(map(running, pids))
    assert all(map(accepts, ports))
    helper.kill()
    helper.communicate()
    wait_until(lambda: not any(map(running, pids)), what="the servers' end")
    # nginx's workers hold the port as well, so they are gone, too.
    wait_until(lambda: not any(map(accepts, ports)), what="the ports' release")


# --- Pebble -------------------------------------------------------------------------------------------------


def test_pebble_is_recent(pebble: Pebble) -> None:
    """The directory offers renewal information (RFC 9773, section 4.1) and the profiles asked for."""
    document = pebble.directory_document()
    assert document["renewalInfo"].startswith(f"https://127.0.0.1:{pebble.port}/")
    assert set(document["meta"]["profiles"]) == {"default", "shortlived", "seconds", "long"}


def test_pebble_starts_quickly_and_leaves_nothing(pebble_factory: PebbleFactory) -> None:
    """A fresh authority per test is affordable, and stopped it is gone, its DNS included."""
    server = pebble_factory()
    pid, ports = server.pid, (server.port, server.management_port, server.dns.port)
    assert pid is not None
    assert server.alive
    server.stop()
    assert not running(pid)
    assert not any(map(accepts, ports))


def test_a_killed_pebble_comes_back_as_another_authority(pebble_factory: PebbleFactory) -> None:
    """The address and its TLS stay, the memory is lost: what a client sees of a rebuilt test authority."""
    server = pebble_factory()
    before = server.root_pem()
    server.kill()
    assert not server.alive
    assert not accepts(server.port)
    server.start()
    assert server.directory_document()["newOrder"].startswith(f"https://127.0.0.1:{server.port}/")
    assert server.root_pem() != before


def test_a_certificate_comes_all_the_way(pebble: Pebble, tmp_path: Path) -> None:
    """Pebble asks its DNS, finds the token at nginx, issues, counts, and knows what is revoked."""
    mark = pebble.mark()
    with Nginx(tmp_path / "web", http_port=pebble.http_port) as web:
        user = Client(pebble.directory, pebble.ca_bundle)
        pem = user.issue("way.example.org", web.webroot, "seconds")
        leaf = x509.load_pem_x509_certificate(pem.encode())
        serial = f"{leaf.serial_number:x}"
        lifetime = leaf.not_valid_after_utc - leaf.not_valid_before_utc
        assert abs(lifetime - timedelta(seconds=90)) <= timedelta(seconds=1)
        assert pebble.dns.dns_requests("way.example.org")
        assert pebble.orders_created(mark) == 1
        assert pebble.certificates_issued(mark) == (serial,)
        assert Request("POST", "/order-plz") in pebble.requests(mark)
        assert leaf.issuer == x509.load_pem_x509_certificate(pebble.intermediate_pem().encode()).subject

        start = datetime(2030, 1, 2, 3, 4, 5, tzinfo=UTC)
        end = start + timedelta(hours=6)
        pebble.set_renewal_info(pem, start, end, explanation_url="https://example.org/why")
        identifier = user.acme.renewal_time(leaf.public_bytes(serialization.Encoding.PEM))[0]
        assert identifier is not None
        assert start <= identifier <= end

        assert pebble.cert_status(serial) == "Valid"
        user.acme.revoke(leaf, 0)
        assert pebble.cert_status(serial) == "Revoked"


def test_pebble_can_demand_external_accounts(pebble_factory: PebbleFactory) -> None:
    """With key ids given, an account that names none is refused (RFC 8555, section 7.3.4)."""
    server = pebble_factory(eab={"kid-1": new_eab_key()})
    assert server.directory_document()["meta"]["externalAccountRequired"] is True
    with pytest.raises(messages.Error, match="externalAccountRequired"):
        Client(server.directory, server.ca_bundle)


def test_pebble_refuses_blocked_names(pebble_factory: PebbleFactory) -> None:
    """A name on the list is refused as rejectedIdentifier."""
    server = pebble_factory(blocklist=["blocked.example"])
    with pytest.raises(messages.Error, match="rejectedIdentifier"):
        Client(server.directory, server.ca_bundle).order("www.blocked.example")


# --- nginx --------------------------------------------------------------------------------------------------


def test_nginx_serves_each_name_its_own_certificate(nginx_factory: NginxFactory, tmp_path: Path) -> None:
    """Two names on one port are told apart by SNI, and each chain leads to the root given."""
    root = ServerRoot()
    roots = root.write(tmp_path / "root.pem")
    names = ("a.example.org", "b.example.org")
    pairs = {name: root.issue(tmp_path, name, stem=name) for name in names}
    web = nginx_factory({name: (pair.cert, pair.key) for name, pair in pairs.items()})
    for name, pair in pairs.items():
        expected = x509.load_pem_x509_certificate(pair.cert.read_bytes())
        assert served_leaf(web.port, name, roots=roots) == expected


def test_nginx_serves_tokens_from_its_webroot(nginx_factory: NginxFactory) -> None:
    """A token is found where HTTP-01 looks (RFC 8555, section 8.3), and nothing else is."""
    web = nginx_factory()
    token = web.webroot / ".well-known/acme-challenge/token"
    token.parent.mkdir(parents=True)
    token.write_text("token.thumbprint")
    base = f"http://127.0.0.1:{web.http_port}"
    found = requests.get(f"{base}/.well-known/acme-challenge/token", timeout=30)
    assert (found.status_code, found.text) == (200, "token.thumbprint")
    assert requests.get(f"{base}/.well-known/acme-challenge/other", timeout=30).status_code == 404
    assert requests.get(f"{base}/token", timeout=30).status_code == 404


def test_nginx_loads_a_new_certificate_when_told(nginx_factory: NginxFactory, tmp_path: Path) -> None:
    """What lies on disk is served only after a reload: the very gap that this project watches."""
    root = ServerRoot()
    pair = root.issue(tmp_path, "r.example.org")
    web = nginx_factory({"r.example.org": (pair.cert, pair.key)})
    before = web.serial("r.example.org")
    root.issue(tmp_path, "r.example.org")
    after = f"{x509.load_pem_x509_certificate(pair.cert.read_bytes()).serial_number:x}"
    assert web.serial("r.example.org") == before != after
    web.reload()
    wait_until(lambda: web.serial("r.example.org") == after, what="the new certificate")


def test_nginx_refuses_a_key_that_does_not_fit(nginx_factory: NginxFactory, tmp_path: Path) -> None:
    """A broken pair fails `nginx -t`, and a raw SIGHUP leaves the old certificate served."""
    root = ServerRoot()
    pair = root.issue(tmp_path, "k.example.org")
    web = nginx_factory({"k.example.org": (pair.cert, pair.key)})
    before = web.serial("k.example.org")
    pair.key.write_bytes(root.issue(tmp_path / "other", "k.example.org").key.read_bytes())
    tested = web.test()
    assert tested.returncode == 1
    assert "key values mismatch" in tested.stderr
    web.hangup()
    wait_until(lambda: "key values mismatch" in web.error_log.read_text(), what="nginx's complaint")
    assert web.alive
    assert served_serial(web.port, "k.example.org") == before


def test_nginx_leaves_no_worker(nginx_factory: NginxFactory) -> None:
    """Stopped or killed, master and workers are gone."""
    for end in (Nginx.stop, Nginx.kill):
        web = nginx_factory()
        wait_until(partial(_has_workers, web.pid, 2), what="two workers")
        pids = [web.pid, *_workers(web.pid)]
        end(web)
        wait_until(partial(_none_runs, pids), what="the end of all processes")
        assert not accepts(web.port)


def _workers(master: int) -> list[int]:
    return list(map(int, Path(f"/proc/{master}/task/{master}/children").read_text().split()))


def _has_workers(master: int, number: int) -> bool:
    return len(_workers(master)) == number


def _none_runs(pids: list[int]) -> bool:
    return not any(map(running, pids))


# --- the fault proxy ----------------------------------------------------------------------------------------


@pytest.fixture
def proxy(pebble: Pebble, tmp_path: Path) -> Iterator[FaultProxy]:
    """A proxy in front of the shared Pebble."""
    with FaultProxy(pebble, tmp_path / "proxy") as server:
        yield server


@pytest.fixture
def session(proxy: FaultProxy) -> Iterator[requests.Session]:
    """An HTTP client that trusts the proxy and retries nothing."""
    with requests.Session() as http:
        http.trust_env = False  # REQUESTS_CA_BUNDLE would overrule what follows
        http.verify = str(proxy.ca_bundle)
        yield http


def test_the_proxy_changes_nothing_unasked(proxy: FaultProxy, pebble: Pebble) -> None:
    """A signed order goes through, its URLs lead through the proxy, and the exchange can be read."""
    mark = pebble.mark()
    user = Client(proxy.directory, proxy.ca_bundle)
    order = user.order("proxied.example.org")
    assert order.uri.startswith(f"https://127.0.0.1:{proxy.port}/")
    assert pebble.orders_created(mark) == 1
    (created,) = [each for each in proxy.requests(faults.NEW_ORDER) if each.status == 201]
    assert created.payload["identifiers"] == [{"type": "dns", "value": "proxied.example.org"}]
    assert created.payload["profile"] == "default"
    assert created.protected["url"] == f"https://127.0.0.1:{proxy.port}{faults.NEW_ORDER}"


def test_the_proxy_answers_unavailable(proxy: FaultProxy, session: requests.Session) -> None:
    """A 503 with Retry-After comes as often as asked, and the authority hears nothing of it."""
    proxy.inject(faults.unavailable(retry_after="7"), times=2)
    answers = [session.get(proxy.directory, timeout=30) for _ in range(3)]
    assert [answer.status_code for answer in answers] == [503, 503, 200]
    assert answers[0].headers["Retry-After"] == "7"


def test_the_proxy_answers_problems(proxy: FaultProxy, session: requests.Session) -> None:
    """A 429 carries its problem document, Retry-After and a nonce of the authority's."""
    fault = faults.problem("rateLimited", 429, "too many", retry_after="60", subproblems=[])
    proxy.inject(fault, path=faults.NEW_ORDER, method="POST")
    assert session.get(proxy.directory, timeout=30).ok
    answer = session.post(f"https://127.0.0.1:{proxy.port}{faults.NEW_ORDER}", data="{}", timeout=30)
    assert answer.status_code == 429
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert answer.headers["Retry-After"] == "60"
    assert answer.headers["Replay-Nonce"]
    assert answer.json()["type"] == "urn:ietf:params:acme:error:rateLimited"


def test_the_proxy_strikes_the_nth_request(proxy: FaultProxy, session: requests.Session) -> None:
    """`skip` lets requests pass first; `times=None` then never ends, until cleared."""
    proxy.inject(faults.unavailable(), skip=2, times=None)
    statuses = [session.get(proxy.directory, timeout=30).status_code for _ in range(4)]
    assert statuses == [200, 200, 503, 503]
    proxy.clear()
    assert session.get(proxy.directory, timeout=30).status_code == 200


def test_the_proxy_resets(proxy: FaultProxy, pebble: Pebble, session: requests.Session) -> None:
    """The connection breaks; the authority never saw the request."""
    proxy.inject(faults.Reset())
    mark = pebble.mark()
    with pytest.raises(requests.ConnectionError):
        session.get(proxy.directory, timeout=30)
    assert pebble.requests(mark) == ()


def test_the_proxys_reset_is_a_real_one(proxy: FaultProxy) -> None:
    """An RST arrives, not an end of file; ssl makes them look alike, so the socket below it is read."""
    proxy.inject(faults.Reset())
    context = ssl.create_default_context(cafile=str(proxy.ca_bundle))
    with (
        socket.create_connection(("127.0.0.1", proxy.port), timeout=30) as plain,
        plain.dup() as below,
        context.wrap_socket(plain, server_hostname="localhost") as secured,
    ):
        secured.sendall(f"GET {faults.DIRECTORY} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        below.settimeout(5)
        below_tls = iter(partial(below.recv, 4096), b"")
        with pytest.raises(ConnectionResetError):
            list(below_tls)  # session tickets come first


def test_the_proxy_loses_the_reply(proxy: FaultProxy, pebble: Pebble) -> None:
    """The authority creates the order, and its client never hears so."""
    user = Client(proxy.directory, proxy.ca_bundle)
    mark = pebble.mark()
    # Only of the request that succeeds: Pebble refuses some nonces, and a refusal creates nothing.
    proxy.inject(faults.Reset(acted=True), path=faults.NEW_ORDER, times=None)
    wait_until(lambda: _fails(user) and pebble.orders_created(mark) == 1, what="the order", timeout=20)
    assert proxy.requests(faults.NEW_ORDER)[-1].status is None


def _fails(user: Client) -> bool:
    with pytest.raises((requests.ConnectionError, ValueError)):
        user.order("lost.example.org")
    return True


def test_the_proxy_is_slow(proxy: FaultProxy, session: requests.Session) -> None:
    """An answer can be late as a whole, or come so slowly that no read ever times out."""
    proxy.inject(faults.Delay(2))
    with pytest.raises(requests.Timeout):
        session.get(proxy.directory, timeout=0.5)
    proxy.inject(faults.Drip(0.0005))
    began = time.monotonic()
    answer = session.get(proxy.directory, timeout=30)
    assert answer.ok
    assert time.monotonic() - began > 0.0005 * len(answer.content)


def test_the_proxy_truncates(proxy: FaultProxy, session: requests.Session) -> None:
    """A body ends before the length that was announced."""
    proxy.inject(faults.Truncate(20))
    with pytest.raises((requests.ConnectionError, requests.exceptions.ChunkedEncodingError)):
        session.get(proxy.directory, timeout=30)


def test_the_proxy_answers_pages_for_people(proxy: FaultProxy, session: requests.Session) -> None:
    """HTML comes with status 200, as from a captive portal."""
    proxy.inject(faults.html())
    answer = session.get(proxy.directory, timeout=30)
    assert answer.status_code == 200
    assert answer.headers["Content-Type"] == "text/html"
    with pytest.raises(json.JSONDecodeError):
        answer.json()


def test_the_proxy_swaps_nonces(proxy: FaultProxy, session: requests.Session) -> None:
    """The nonce handed on is none of the authority's, so the next signed request is refused for it."""
    proxy.inject(faults.SwapNonce("ZmFrZQ"), path=faults.NEW_NONCE)
    url = f"https://127.0.0.1:{proxy.port}{faults.NEW_NONCE}"
    assert session.head(url, timeout=30).headers["Replay-Nonce"] == "ZmFrZQ"
    assert session.head(url, timeout=30).headers["Replay-Nonce"] != "ZmFrZQ"


def test_the_proxy_resets_when_the_authority_is_down(pebble_factory: PebbleFactory, tmp_path: Path) -> None:
    """Behind a proxy too, an authority that is down looks down."""
    server = pebble_factory()
    with FaultProxy(server, tmp_path) as proxy:
        server.kill()
        with pytest.raises(requests.ConnectionError):
            requests.get(proxy.directory, verify=str(proxy.ca_bundle), timeout=30)
    assert not accepts(proxy.port)


# --- the session's own rules --------------------------------------------------------------------------------


@pytest.mark.usefixtures("pebble")  # with an old one a session in CI does not even begin
@pytest.mark.parametrize(("ci", "workers", "status"), [("", 0, 0), ("true", 0, 1), ("true", 1, 1)])
def test_a_skipped_test_fails_the_session_in_ci(tmp_path: Path, ci: str, workers: int, status: int) -> None:
    """With CI set a test that did not run counts as failed, and the session says which."""
    (tmp_path / "test_skipped.py").write_text(
        "import pytest\n\ndef test_runs():\n    pass\n\n@pytest.mark.skip\ndef test_does_not():\n    pass\n"
    )
    command = [sys.executable, "-m", "pytest", "-p", "tests.conftest", "-c", os.devnull, "-n", str(workers)]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST")}
    ended = subprocess.run(
        [*command, "--rootdir", str(tmp_path), "-p", "no:cacheprovider", str(tmp_path)],
        capture_output=True,
        text=True,
        cwd=CHECKOUT,
        env=environment | {"CI": ci},
        timeout=60,
        check=False,
    )
    assert ended.returncode == status, ended.stdout + ended.stderr
    assert ("With CI set every test must run" in ended.stdout) == bool(ci)
    assert "1 passed, 1 skipped" in ended.stdout.splitlines()[-1]


def test_this_process_sees_no_network_but_the_loopback() -> None:
    """Connections and look-ups of the world fail at once, as on a machine without a network."""
    with pytest.raises(OSError, match="loopback") as refused:
        socket.create_connection(("192.0.2.1", 443), timeout=1)
    assert refused.value.errno == errno.ENETUNREACH
    with pytest.raises(socket.gaierror, match="loopback"):
        socket.getaddrinfo("www.example.org", 443)


def test_interrupted_servers_are_ended_on_exit(tmp_path: Path) -> None:
    """A session that ends by Ctrl-C without reaching its fixtures' ends still leaves nothing."""
    script = f"""
import signal
from pathlib import Path
from tests.servers.nginx import Nginx
signal.signal(signal.SIGINT, signal.default_int_handler)  # who runs in the background of a shell ignores it
print(Nginx(Path({str(tmp_path)!r})).start().pid, flush=True)
signal.pause()
"""
    helper = subprocess.Popen(
        [sys.executable, "-c", script],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        cwd=CHECKOUT,
    )
    assert helper.stdout is not None
    pid = int(helper.stdout.readline())
    helper.send_signal(signal.SIGINT)
    helper.communicate(timeout=60)
    wait_until(lambda: not running(pid), what="nginx's end")
