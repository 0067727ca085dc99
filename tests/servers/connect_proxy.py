"""A proxy in a process of its own, that lets through whoever has its password (RFC 9110 §9.3.6, §11.7).

`python -m tests.servers.connect_proxy`, with LOGIN in its environment, prints its port, then a line for each
request: the status that it was answered with, and where to.
"""

import base64
import contextlib
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_CHECKOUT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True, slots=True)
class Proxy:
    """A running one; `log` is what it writes."""

    port: int
    log: Path

    @property
    def requests(self) -> list[str]:
        """A line for each request so far."""
        return self.log.read_text().splitlines()[1:]


@contextlib.contextmanager
def proxy(log: Path, login: str) -> Iterator[Proxy]:
    """Start one, and end it."""
    with log.open("w") as out:
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.servers.connect_proxy"],
            stdout=out,
            cwd=_CHECKOUT,
            env={**os.environ, "LOGIN": login},
        )
    try:
        while not (said := log.read_text()).endswith("\n"):
            assert process.poll() is None, "the proxy ended"
            threading.Event().wait(0.02)
        yield Proxy(int(said.split()[0]), log)
    finally:
        process.kill()
        process.wait()


def _pump(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            target.sendall(data)
    with contextlib.suppress(OSError):
        target.shutdown(socket.SHUT_WR)


def _serve(client: socket.socket, wanted: str) -> None:
    with client, contextlib.suppress(OSError, ValueError):
        head = b""
        while b"\r\n\r\n" not in head:
            if not (more := client.recv(4096)):
                return
            head += more
        first, *lines = head.decode("latin-1").split("\r\n")
        method, target, _ = first.split(" ")
        given = [line.partition(":")[2].strip() for line in lines if line.lower().startswith("proxy-auth")]
        status = 405 if method != "CONNECT" else 200 if given == [wanted] else 407
        sys.stdout.write(f"{status} {target}\n")
        sys.stdout.flush()
        if status != 200:
            client.sendall(f'HTTP/1.1 {status} No\r\nProxy-Authenticate: Basic realm="it"\r\n\r\n'.encode())
            return
        host, _, port = target.rpartition(":")
        with socket.create_connection((host, int(port)), timeout=10) as server:
            client.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
            back = threading.Thread(target=_pump, args=(server, client), daemon=True)
            back.start()
            _pump(client, server)
            back.join()


def main() -> None:
    """Serve until killed."""
    wanted = "Basic " + base64.b64encode(os.environ["LOGIN"].encode()).decode()
    listener = socket.create_server(("127.0.0.1", 0))
    sys.stdout.write(f"{listener.getsockname()[1]}\n")
    sys.stdout.flush()
    while True:
        client, _ = listener.accept()
        threading.Thread(target=_serve, args=(client, wanted), daemon=True).start()


if __name__ == "__main__":
    main()
