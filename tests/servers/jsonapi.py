"""A small HTTP server for one API: each request goes to a function that answers a status and a document."""

import json
import ssl
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

Answer = tuple[int, Any] | tuple[int, Any, Mapping[str, str]] | bytes | None
"""Status, document and perhaps headers; bytes are sent as they are; None is silence until the client goes."""


@dataclass(frozen=True, slots=True)
class Call:
    """One request: its path, its headers (names in small letters), its document."""

    path: str
    headers: Mapping[str, str]
    document: Any


@dataclass(slots=True)
class JsonApi:
    """Listens at a free port of the loopback; `calls` is all that came."""

    answer: Callable[[Call], Answer]
    tls: ssl.SSLContext | None = None
    calls: list[Call] = field(default_factory=list)
    _server: ThreadingHTTPServer | None = None

    @property
    def url(self) -> str:
        """Where it listens."""
        assert self._server is not None
        scheme = "https" if self.tls else "http"
        return f"{scheme}://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Self:
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._server.daemon_threads = True
        if self.tls is not None:
            self._server.socket = self.tls.wrap_socket(self._server.socket, server_side=True)
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.shutdown()
        self._server.server_close()


def _handler(api: JsonApi) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.do_POST()

        def do_PATCH(self) -> None:
            self.do_POST()

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            headers = {name.lower(): value for name, value in self.headers.items()}
            call = Call(self.path, headers, json.loads(body) if body else None)
            api.calls.append(call)
            answer = api.answer(call)
            if answer is None:
                self.rfile.read(1)
            elif isinstance(answer, bytes):
                self.wfile.write(answer)
            else:
                self._send(answer[0], answer[1], answer[2] if len(answer) == 3 else {})

        def _send(self, status: int, document: Any, headers: Mapping[str, str]) -> None:
            data = document.encode() if isinstance(document, str) else json.dumps(document).encode()
            self.send_response(status)
            for name, value in {"Content-Length": str(len(data)), **headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_: object) -> None:
            """Nothing on the test's screen."""

    return Handler
