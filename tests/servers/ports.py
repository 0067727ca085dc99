"""Ports that are free now and stay ours, whatever other test processes do at the same time.

Ports from 32768 up are ephemeral on Linux: any outgoing connection may take one between the moment it is
found free and the moment the server binds it. So they are taken from below, and a port handed out is claimed
for as long as this process lives (or until it is released) by an abstract Unix socket of its name: the kernel
drops the claim with the process, however it ends, and no lock file can be left behind.
"""

import itertools
import os
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

_LOWEST = 10_000
_HIGHEST = 32_000

_claims: dict[int, socket.socket] = {}
_lock = threading.Lock()
# Processes start at places far apart, so that they seldom meet even before the claim decides.
_candidates = itertools.count(os.getpid() * 397 % (_HIGHEST - _LOWEST))


def free_port() -> int:
    """Return a port below 32768 that nobody listens on and that no other test process will be given."""
    with _lock:
        for _ in range(_HIGHEST - _LOWEST):
            port = _LOWEST + next(_candidates) % (_HIGHEST - _LOWEST)
            if port not in _claims and _claim(port):
                return port
    raise RuntimeError(f"no free port between {_LOWEST} and {_HIGHEST}")


def release(*ports: int) -> None:
    """Give ports back; ones that were not claimed here are ignored."""
    with _lock:
        for port in ports:
            claim = _claims.pop(port, None)
            if claim is not None:
                claim.close()


@contextmanager
def refusing_port() -> Iterator[int]:
    """A port at which nobody listens until the block ends."""
    port = free_port()
    try:
        yield port
    finally:
        release(port)


def _claim(port: int) -> bool:
    claim = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    try:
        claim.bind(f"\0renewer-test-port-{port}")
    except OSError:
        claim.close()
        return False
    if not (_is_free(port, socket.SOCK_STREAM) and _is_free(port, socket.SOCK_DGRAM)):
        claim.close()
        return False
    _claims[port] = claim
    return True


def _is_free(port: int, kind: socket.SocketKind) -> bool:
    """A DNS server needs the port for both UDP and TCP, and some servers listen on every address."""
    with socket.socket(socket.AF_INET, kind) as probe:
        try:
            probe.bind(("0.0.0.0", port))
        except OSError:
            return False
    return True
