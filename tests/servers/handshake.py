"""What is served at a port, seen without any of the package's own code, so that it can contradict it."""

import socket
import ssl
import time
from collections.abc import Callable
from pathlib import Path

from cryptography import x509


def served_leaf(
    port: int, server_name: str, *, host: str = "127.0.0.1", roots: Path | None = None, timeout: float = 5
) -> x509.Certificate:
    """Return the leaf served for a name; with `roots`, only if its chain leads there and names fit."""
    if roots is None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    else:
        context = ssl.create_default_context(cafile=str(roots))
    with (
        socket.create_connection((host, port), timeout=timeout) as plain,
        context.wrap_socket(plain, server_hostname=server_name) as secured,
    ):
        der = secured.getpeercert(binary_form=True)
    if der is None:
        raise ssl.SSLError("the server showed no certificate")
    return x509.load_der_x509_certificate(der)


def served_serial(port: int, server_name: str, *, host: str = "127.0.0.1", roots: Path | None = None) -> str:
    """Return the serial of the leaf served for a name, in lower-case hex."""
    return f"{served_leaf(port, server_name, host=host, roots=roots).serial_number:x}"


def wait_until(condition: Callable[[], bool], *, what: str = "it", timeout: float = 60) -> None:
    """Ask until the answer is yes; for what another process does in its own time."""
    deadline = time.monotonic() + timeout
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what} did not happen within {timeout} s")
        time.sleep(0.005)
