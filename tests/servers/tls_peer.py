"""Small TCP and TLS peers in threads: well-behaved ones, scripted ones, and hostile ones."""

import contextlib
import socket
import ssl
import threading
from collections.abc import Callable, Sequence
from typing import Self

from .certificates import Pair

Behaviour = Callable[[socket.socket], None]
"""What a peer does with a connection; when it returns, the connection is closed."""


class Peer:
    """Accepts connections on a loopback port and hands each to `behaviour` in a thread of its own."""

    def __init__(self, behaviour: Behaviour, *, host: str = "127.0.0.1", port: int = 0) -> None:
        """Listen at once; connections are served from `__enter__` on."""
        self.behaviour = behaviour
        self.listener = socket.create_server(
            (host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET
        )
        self.port: int = self.listener.getsockname()[1]
        self.connections = 0

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(OSError):
            self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            self.connections += 1
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError):
            connection.settimeout(10)
            self.behaviour(connection)


def tls(*pairs: Pair, context: ssl.SSLContext | None = None) -> Behaviour:
    """Completes a handshake; with several pairs the n-th connection shows the n-th, the last for ever."""
    contexts = [_loaded(pair, context) for pair in pairs]
    turn = iter(contexts[:-1])

    def serve(connection: socket.socket) -> None:
        with next(turn, contexts[-1]).wrap_socket(connection, server_side=True) as secured:
            secured.recv(1)

    return serve


def scripted(script: Sequence[tuple[bytes, bytes]], then: Behaviour) -> Behaviour:
    """Says each first part after having heard all of the part before it, then goes on with `then`.

    The script is (say, hear) pairs; an empty part is passed over.
    """

    def serve(connection: socket.socket) -> None:
        for say, hear in script:
            connection.sendall(say)
            heard = b""
            while len(heard) < len(hear):
                more = connection.recv(len(hear) - len(heard))
                if not more:
                    return
                heard += more
            if heard != hear:
                connection.sendall(b"500 expected " + repr(hear).encode() + b"\r\n")
                return
        then(connection)

    return serve


def silent(connection: socket.socket) -> None:
    """Says nothing, and waits until the other side goes."""
    while connection.recv(65536):
        pass


def endless(chunk: bytes) -> Behaviour:
    """Says the same for ever, without listening."""

    def serve(connection: socket.socket) -> None:
        while True:
            connection.sendall(chunk)

    return serve


def dripping(data: bytes, pause: float = 0.05) -> Behaviour:
    """Says one byte at a time, so that no single read ever takes long."""

    def serve(connection: socket.socket) -> None:
        while True:
            for index in range(len(data)):
                connection.sendall(data[index : index + 1])
                threading.Event().wait(pause)

    return serve


def _loaded(pair: Pair, context: ssl.SSLContext | None) -> ssl.SSLContext:
    context = context or ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pair.cert, pair.key)
    return context
