"""A second address for a server: what comes to 127.0.0.x goes to the server's own port, and back.

BIND listens only on addresses that the loopback interface really has; a relay gives it any other, also
without being root. It speaks UDP and TCP, byte for byte.
"""

import contextlib
import socket
import socketserver
import threading
from typing import Any, Self

_LARGEST = 65535


class Relay:
    """Carries `address`:`port` to 127.0.0.1:`inner`."""

    def __init__(self, address: str, port: int, inner: int) -> None:
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        target = ("127.0.0.1", inner)
        self._servers: list[socketserver.BaseServer] = []
        for base, handler in ((_Udp, _Datagram), (_Tcp, _Stream)):
            kind = type(base.__name__, (base,), {"address_family": family, "target": target})
            self._servers.append(kind((address, port), handler))
        for server in self._servers:
            threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()

    def close(self) -> None:
        """Listen no longer."""
        for server in self._servers:
            server.shutdown()
            server.server_close()
        self._servers.clear()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class _Udp(socketserver.ThreadingUDPServer):
    max_packet_size = _LARGEST
    daemon_threads = True
    block_on_close = False


class _Tcp(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True
    block_on_close = False
    request_queue_size = 64


class _Datagram(socketserver.BaseRequestHandler):
    server: Any

    def handle(self) -> None:
        data, back = self.request
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as out, contextlib.suppress(OSError):
            out.settimeout(5)
            out.connect(self.server.target)
            out.send(data)
            back.sendto(out.recv(_LARGEST), self.client_address)


class _Stream(socketserver.BaseRequestHandler):
    server: Any

    def handle(self) -> None:
        with contextlib.suppress(OSError), socket.create_connection(self.server.target, timeout=30) as out:
            answering = threading.Thread(target=_pump, args=(out, self.request), daemon=True)
            answering.start()
            _pump(self.request, out)
            answering.join(5)


def _pump(source: socket.socket, sink: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(_LARGEST):
            sink.sendall(data)
    with contextlib.suppress(OSError):
        sink.shutdown(socket.SHUT_WR)
