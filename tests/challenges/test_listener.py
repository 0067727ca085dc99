"""Answering by listening ourselves: only the tokens in hand, whatever is thrown at the port."""

import os
import resource
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from renewer.errors import GiveUp, OurFault, RenewerError, RetryLater
from renewer.issue.solvers import TokenPreflight, sweep
from renewer.model.desired import Preflight as Mode
from renewer.network.challenges import Listening
from renewer.network.challenges.http01.server import Server
from renewer.provisioning import listener, sockets
from renewer.provisioning.listener import ListenSolver
from tests.challenges.tasks import TOKEN, task
from tests.servers.ports import free_port

PATH = f"/.well-known/acme-challenge/{TOKEN}"
GET = f"GET {PATH} HTTP/1.1\r\nHost: a\r\n\r\n".encode()


def listen_on(address: str, *, before: tuple[str, ...] = (), after: tuple[str, ...] = ()) -> ListenSolver:
    """The solver for an address, without a look of its own."""
    serve = partial(Listening, "http-01")
    return ListenSolver(address, serve=serve, preflight=TokenPreflight(Mode.OFF), before=before, after=after)


@pytest.fixture
def port() -> int:
    """A port that is free."""
    return free_port()


@pytest.fixture
def solver(port: int) -> Iterator[ListenSolver]:
    """A solver that serves one token."""
    one = listen_on(f"127.0.0.1:{port}")
    one.present(task())
    yield one
    one.close()


@pytest.fixture
def impatient(port: int) -> Iterator[Server]:
    """A server with short limits and room for four."""
    server = Server(sockets.open_for(f"127.0.0.1:{port}"), time_limit=0.3, max_connections=4)
    server.answers[PATH] = b"answer"
    yield server
    server.stop()


@pytest.fixture
def few(port: int) -> Iterator[Server]:
    """A server with room for four, and time for all of them."""
    server = Server(sockets.open_for(f"127.0.0.1:{port}"), time_limit=60, max_connections=4)
    server.answers[PATH] = b"answer"
    yield server
    server.stop()


def say(port: int, data: bytes, host: str = "127.0.0.1") -> bytes:
    """Send bytes, return all that comes back until the server closes."""
    with socket.create_connection((host, port), timeout=30) as sock:
        sock.sendall(data)
        return hear(sock)


def hear(sock: socket.socket) -> bytes:
    """Everything until the end, or until a reset."""
    received = b""
    try:
        while chunk := sock.recv(65536):
            received += chunk
    except ConnectionResetError:
        pass
    return received


@pytest.mark.usefixtures("solver")
def test_serves_the_key_authorization(port: int) -> None:
    """GET of the exact path gives the key authorization (RFC 8555 §8.3), HEAD its size."""
    answer = say(port, GET)
    assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
    assert answer.endswith(b"\r\n\r\n" + task().key_authorization.encode())
    head = say(port, GET.replace(b"GET", b"HEAD"))
    assert head.endswith(b"\r\n\r\n")
    assert f"Content-Length: {len(task().key_authorization)}".encode() in head


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/.well-known/acme-challenge/",
        PATH + "/",
        PATH + "x",
        PATH + "?a=b",
        PATH.replace("a", "%61", 1),
        "/.well-known/acme-challenge/../acme-challenge/" + TOKEN,
        "//.well-known/acme-challenge/" + TOKEN,
        "/../../etc/passwd",
        PATH.upper(),
    ],
)
@pytest.mark.usefixtures("solver")
def test_everything_else_is_not_found(port: int, path: str) -> None:
    """No other spelling of the path is understood, and the refusal says nothing."""
    answer = say(port, f"GET {path} HTTP/1.1\r\nHost: a\r\n\r\n".encode())
    assert answer.startswith(b"HTTP/1.1 404 Not Found\r\n")
    assert answer.endswith(b"\r\n\r\n")


@pytest.mark.usefixtures("solver")
def test_other_methods_are_refused(port: int) -> None:
    """Only GET and HEAD; the refusal names them (RFC 9110 §15.5.6)."""
    answer = say(port, GET.replace(b"GET", b"POST"))
    assert answer.startswith(b"HTTP/1.1 405 Method Not Allowed\r\n")
    assert b"Allow: GET, HEAD\r\n" in answer


@pytest.mark.usefixtures("solver")
def test_pipelined_requests_get_one_answer(port: int) -> None:
    """The second request is not answered, and does not destroy the first answer by a reset."""
    for _ in range(20):
        answer = say(port, GET * 40)
        assert answer.count(b"HTTP/1.1 200") == 1
        assert answer.endswith(task().key_authorization.encode())


@pytest.mark.usefixtures("solver")
def test_huge_header_is_refused(port: int) -> None:
    """A request head beyond the limit is answered 431 and not read to its end."""
    answer = say(port, b"GET / HTTP/1.1\r\nX: " + b"x" * 5000)
    assert answer.startswith(b"HTTP/1.1 431 ")


@pytest.mark.usefixtures("solver")
def test_tls_handshake_is_refused_at_once(port: int) -> None:
    """Somebody who speaks TLS to the port is told quickly that it is HTTP."""
    began = time.monotonic()
    assert say(port, b"\x16\x03\x01\x00\xf0\x01\x00").startswith(b"HTTP/1.1 400 ")
    assert time.monotonic() - began < 30


def test_cleaned_up_token_is_gone(solver: ListenSolver, port: int) -> None:
    """After clean_up the token is not served any more, the others are."""
    solver.present(task("other"))
    assert solver.clean_up(task()) is None
    assert b" 404 " in say(port, GET)
    assert b" 200 " in say(port, GET.replace(TOKEN.encode(), b"other"))


def test_hostile_token(solver: ListenSolver) -> None:
    """A token outside RFC 8555 §8.3's alphabet is not served."""
    with pytest.raises(OurFault):
        solver.present(task("../x"))


def test_close_frees_the_port(port: int) -> None:
    """After close nobody listens, and closing twice is no error."""
    one = listen_on(f"127.0.0.1:{port}")
    one.present(task())
    one.close()
    one.close()
    with pytest.raises(ConnectionRefusedError):
        say(port, GET)


@pytest.mark.usefixtures("impatient")
def test_slow_clients_are_dropped(port: int) -> None:
    """A client that sends a byte now and then (slow loris) has the same time as all others."""
    began = time.monotonic()
    with socket.create_connection(("127.0.0.1", port), timeout=30) as sock:
        try:
            for byte in GET:
                sock.sendall(bytes([byte]))
                time.sleep(0.05)
        except OSError:
            pass
        answer = hear(sock)
    assert b" 200 " not in answer
    assert time.monotonic() - began < 30


def test_silent_clients_do_not_keep_others_out(port: int) -> None:
    """With every place taken by somebody silent, a real request is still answered, and at once."""
    server = Server(sockets.open_for(f"127.0.0.1:{port}"), time_limit=60, max_connections=4)
    server.answers[PATH] = b"answer"
    idle = [socket.create_connection(("127.0.0.1", port), timeout=30) for _ in range(40)]
    try:
        began = time.monotonic()
        assert say(port, GET).endswith(b"answer")
        assert time.monotonic() - began < 30  # and not when their time is over
        assert len(server._open) <= 4
    finally:
        server.stop()
        for sock in idle:
            sock.close()


@pytest.mark.usefixtures("few")
def test_clients_that_vanish(port: int) -> None:
    """Resets in the middle of everything leave the server working."""
    for beginning in (b"", b"GET", GET):
        sock = socket.create_connection(("127.0.0.1", port), timeout=30)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
        sock.sendall(beginning)
        sock.close()
    assert say(port, GET).endswith(b"answer")


@pytest.mark.usefixtures("few")
def test_no_free_descriptors(port: int) -> None:
    """When the process has no file descriptor left, the server waits for one and goes on."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with socket.socket() as client:
        resource.setrlimit(resource.RLIMIT_NOFILE, (client.fileno() + 1, hard))
        try:
            client.settimeout(30)
            client.connect(("127.0.0.1", port))
            time.sleep(0.05)
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        client.sendall(GET)
        assert hear(client).endswith(b"answer")


@pytest.mark.usefixtures("solver")
def test_many_at_once(port: int) -> None:
    """An authority that looks from several places at once is answered everywhere."""
    answers: list[bytes] = []
    threads = [threading.Thread(target=lambda: answers.append(say(port, GET))) for _ in range(50)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(b" 200 " in answer for answer in answers)
    assert len(answers) == 50


@pytest.mark.usefixtures("solver")
def test_nothing_is_logged(port: int, capfd: pytest.CaptureFixture[str]) -> None:
    """Whatever comes, nothing is written to stdout or stderr."""
    for data in (GET, b"\xff\xff\n", b"GET / HTTP/9.9\r\n\r\n"):
        say(port, data)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_dual_stack(port: int, host: str) -> None:
    """[::]:PORT answers IPv6 and IPv4."""
    one = listen_on(f"[::]:{port}")
    try:
        one.present(task())
    except GiveUp:
        pytest.skip("no IPv6 on this machine")
    try:
        assert b" 200 " in say(port, GET, host)
    finally:
        one.close()


def test_two_solvers_share_an_address(port: int) -> None:
    """Two certificates with the same `listen` do not take the port from each other."""
    one, two = listen_on(f"127.0.0.1:{port}"), listen_on(f"127.0.0.1:{port}")
    one.present(task())
    two.present(task("other", certificate="mail"))
    one.close()
    assert b" 200 " in say(port, GET.replace(TOKEN.encode(), b"other"))
    two.close()
    assert listener._servers == {}


def test_port_taken_says_by_whom(port: int) -> None:
    """The message names the port, the process that holds it, and the other way."""
    script = (
        "import socket,sys; s=socket.create_server(('127.0.0.1',int(sys.argv[1])));print(flush=True);input()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script, str(port)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as holder:
        assert holder.stdout is not None
        holder.stdout.readline()
        with pytest.raises(RetryLater, match=rf"port {port} is taken by \S+ \(pid {holder.pid}\)") as told:
            listen_on(f"0.0.0.0:{port}").present(task())
        holder.kill()
    assert "`webroot`" in told.value.hint


@pytest.mark.parametrize("listen", ["80", "[::1", "a:b", "1.2.3.4:99999", "", "[::]:", "1:2:3:80"])
def test_nonsense_addresses(listen: str) -> None:
    """An address that is none gives a sentence with an example."""
    with pytest.raises(GiveUp, match="is not HOST:PORT") as told:
        listen_on(listen).present(task())
    assert "0.0.0.0:80" in told.value.hint


def test_address_of_another_host() -> None:
    """An address that no interface has may come later (at boot): tried again."""
    with pytest.raises(RetryLater, match="no interface"):
        listen_on("192.0.2.1:8099").present(task())


AS_NOBODY = """
import encodings.idna, os  # the interpreter's own files may be closed to nobody
from renewer.provisioning.listener import ListenSolver
from renewer.issue.solvers import TokenPreflight
from renewer.network.challenges.http01.server import Server
from renewer.errors import GiveUp
from renewer.model.desired import Preflight as Mode
from renewer.provisioning import sockets
from tests.challenges.tasks import task
os.setgid(65534); os.setuid(65534)
try:
    ListenSolver("127.0.0.1:80", serve=Server, preflight=TokenPreflight(Mode.OFF)).present(task())
except GiveUp as error:
    print(error.text, error.hint)
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="a network namespace needs root")
def test_privileged_port_without_right() -> None:
    """Port 80 without the right says what right, and the ways round it."""
    done = subprocess.run(
        ["/usr/bin/unshare", "--net", sys.executable, "-c", AS_NOBODY],
        capture_output=True,
        text=True,
        check=True,
    )
    assert "no right to use port 80" in done.stdout
    assert "CAP_NET_BIND_SERVICE" in done.stdout


def script(tmp_path: Path, name: str, code: int = 0) -> tuple[str, ...]:
    """A command that writes its name to a list and ends with a code."""
    return ("/bin/sh", "-c", f"echo {name} >> {tmp_path}/order; echo said by {name}; exit {code}")


def order(tmp_path: Path) -> list[str]:
    """The commands that ran."""
    file = tmp_path / "order"
    return file.read_text().split() if file.exists() else []


def test_before_and_after_run_once(tmp_path: Path, port: int) -> None:
    """`before` runs ahead of the first token, `after` when everything is over; each once."""
    one = listen_on(f"127.0.0.1:{port}", before=script(tmp_path, "before"), after=script(tmp_path, "after"))
    one.present(task())
    one.present(task("other"))
    assert order(tmp_path) == ["before"]
    one.close()
    one.close()
    assert order(tmp_path) == ["before", "after"]


def test_after_runs_when_before_fails(tmp_path: Path, port: int) -> None:
    """A failing `before` is told with its output, tried once a run, and `after` runs all the same."""
    one = listen_on(
        f"127.0.0.1:{port}", before=script(tmp_path, "before", 3), after=script(tmp_path, "after")
    )
    for _ in range(3):
        with pytest.raises(RetryLater, match="exit code 3, it said: said by before"):
            one.present(task())
    one.close()
    assert order(tmp_path) == ["before", "after"]


def test_after_runs_when_the_port_is_taken(tmp_path: Path, port: int) -> None:
    """What `before` opened is closed again when listening fails."""
    with socket.create_server(("127.0.0.1", port)):
        one = listen_on(f"127.0.0.1:{port}", after=script(tmp_path, "after"))
        with pytest.raises(RetryLater):
            one.present(task())
    assert order(tmp_path) == ["after"]
    one.close()
    assert order(tmp_path) == ["after"]


def test_a_failing_after_is_told(tmp_path: Path, port: int) -> None:
    """It is run once, its words are handed to whoever closes the solver, also if it failed early."""
    one = listen_on(f"127.0.0.1:{port}", after=script(tmp_path, "after", 3))
    one.present(task())
    for _ in range(2):
        assert "exit code 3, it said: said by after" in (one.close() or "")
    assert order(tmp_path) == ["after"]
    with socket.create_server(("127.0.0.1", port)):
        two = listen_on(f"127.0.0.1:{port}", after=script(tmp_path, "after", 4))
        with pytest.raises(RetryLater):
            two.present(task())
    assert "exit code 4" in (two.close() or "")
    assert listen_on(f"127.0.0.1:{port}", after=("/bin/true",)).close() is None


def test_missing_before(port: int) -> None:
    """A `before` that does not exist is named."""
    with pytest.raises(RetryLater, match="/no/such"):
        listen_on(f"127.0.0.1:{port}", before=("/no/such",)).present(task())


def test_nothing_runs_without_a_token(tmp_path: Path, port: int) -> None:
    """A solver that was never used opens and closes nothing."""
    listen_on(f"127.0.0.1:{port}", before=script(tmp_path, "b"), after=script(tmp_path, "a")).close()
    assert order(tmp_path) == []


def test_killed_run_owes_after(tmp_path: Path, port: int) -> None:
    """What a killed run opened is closed by the next run's sweep, with the command of today's config."""
    one = listen_on(f"127.0.0.1:{port}", after=script(tmp_path, "after"))
    debris = one.debris_of(task())
    assert debris is not None
    assert sweep(debris, [listen_on("127.0.0.1:1"), one])
    assert order(tmp_path) == ["after"]
    assert not sweep(debris, [listen_on(f"127.0.0.1:{port}", after=("/bin/false",))])
    assert sweep(debris)
    assert listen_on(f"127.0.0.1:{port}").debris_of(task()) is None


HANDED = """
import os, socket, sys
from functools import partial
os.environ["LISTEN_PID"] = str(os.getpid())
from renewer.provisioning import sockets
from renewer.provisioning.listener import ListenSolver
from renewer.issue.solvers import TokenPreflight
from renewer.network.challenges import Listening
from renewer.model.desired import Preflight as Mode
from tests.challenges.tasks import task
solver = ListenSolver(sys.argv[1], serve=partial(Listening, "http-01"), preflight=TokenPreflight(Mode.OFF))
for turn in range(2):  # the second time in one process it must still be there
    solver.present(task())
    print("ready", flush=True)
    input()
    solver.close()
print(os.get_inheritable(3), os.get_inheritable(4))
"""


@pytest.mark.parametrize("listen", ["127.0.0.1:{}", "0.0.0.0:{}", "[::]:{}"])
def test_socket_handed_over_by_systemd(port: int, listen: str) -> None:
    """LISTEN_FDS: the fitting socket is used, another port's is not; hooks inherit neither."""
    with (
        socket.create_server(("127.0.0.1", free_port())) as other,
        socket.create_server(("127.0.0.1", port)) as ours,
    ):
        command = f'exec "$@" 3<&{other.fileno()} 4<&{ours.fileno()}'
        with subprocess.Popen(
            ["/bin/bash", "-c", command, "sh", sys.executable, "-c", HANDED, listen.format(port)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            pass_fds=(other.fileno(), ours.fileno()),
            env={**os.environ, "LISTEN_FDS": "2"},
        ) as child:
            assert child.stdin is not None
            assert child.stdout is not None
            for _ in range(2):
                assert child.stdout.readline() == "ready\n"
                assert b" 200 " in say(port, GET)
                child.stdin.write("\n")
                child.stdin.flush()
            assert child.stdout.read() == "False False\n"
        assert child.returncode == 0


def test_sockets_meant_for_others_are_left_alone(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """LISTEN_PID of another process, a broken count or a closed descriptor give no socket and no crash."""
    monkeypatch.setenv("LISTEN_FDS", "1")
    monkeypatch.setenv("LISTEN_PID", "1")
    assert sockets.handed_over("127.0.0.1", port) == []
    monkeypatch.setenv("LISTEN_PID", str(os.getpid()))
    for count in ("x", "", "-1"):
        monkeypatch.setenv("LISTEN_FDS", count)
        assert sockets.handed_over("127.0.0.1", port) == []


def test_errors_are_raised_anew(port: int) -> None:
    """Every thread gets an error of its own when listening failed for all."""
    with socket.create_server(("127.0.0.1", port)):
        one = listen_on(f"127.0.0.1:{port}")
        told: list[RenewerError] = []
        for _ in range(2):
            with pytest.raises(RetryLater) as raised:
                one.present(task())
            told.append(raised.value)
    assert told[0] is not told[1]
    assert told[0].text == told[1].text
