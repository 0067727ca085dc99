"""An HTTP server on this host that keeps what is posted to it."""

import ssl
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import NamedTuple, Self

from tests.servers.certificates import Pair


class Posted(NamedTuple):
    """One request."""

    path: str
    headers: dict[str, str]
    body: bytes


class Listener:
    """Answers with `answers` one after the other, the last for ever."""

    def __init__(self, *answers: int, pair: Pair | None = None) -> None:
        self.posted: list[Posted] = []
        self.answers = list(answers or (200,))
        self.headers: dict[str, str] = {}
        listener = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                length = int(self.headers.get("Content-Length") or 0)
                listener.posted.append(Posted(self.path, dict(self.headers), self.rfile.read(length)))
                answers = listener.answers
                self.send_response(answers.pop(0) if len(answers) > 1 else answers[0])
                for name, value in listener.headers.items():
                    self.send_header(name, value)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.scheme = "http"
        if pair is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(pair.cert, pair.key)
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
            self.scheme = "https"

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self._server.server_address[1])

    def url(self, path: str = "/") -> str:
        """Of a path."""
        return f"{self.scheme}://localhost:{self.port}{path}"

    @property
    def paths(self) -> list[str]:
        """What was asked for, without the query."""
        return [one.path.partition("?")[0] for one in self.posted]
