"""A stand-in for the Docker daemon: one container with a directory for its files, for a real docker client.

It listens on a Unix socket and knows what `docker inspect`, `cp`, `kill` and `restart` ask for. A signal that
its container does not expect ends it, as the kernel would.
"""

import base64
import io
import json
import socketserver
import tarfile
import threading
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any, Self
from urllib.parse import parse_qs, unquote, urlsplit

_VERSION = "1.41"


class Dockerd:
    """Keeps the container `web`; `asked` is what was done to it, `owners` those of the files copied in."""

    def __init__(self, directory: Path) -> None:
        """Nobody listens yet; the container runs."""
        directory.mkdir(parents=True, exist_ok=True)
        self.socket = directory / "docker.sock"
        self.files = directory / "container"
        (self.files / "certs").mkdir(parents=True)
        self.running = True
        self.expects = {"HUP", "USR2"}
        self.asked: list[str] = []
        self.owners: dict[str, tuple[int, int]] = {}
        self._server: socketserver.ThreadingUnixStreamServer | None = None

    @property
    def host(self) -> str:
        """DOCKER_HOST of its clients."""
        return f"unix://{self.socket}"

    def start(self) -> Self:
        """Listen."""
        self._server = socketserver.ThreadingUnixStreamServer(
            str(self.socket), type("Handler", (_Handler,), {"dockerd": self})
        )
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()
        return self

    def stop(self) -> None:
        """No longer listen."""
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self.socket.unlink()
            self._server = None

    # --- what is asked of it ----------------------------------------------------------------------------

    def kill(self, signal: str) -> None:
        """Send a signal to the container."""
        self.asked.append(f"kill {signal}")
        self.running = signal.removeprefix("SIG") in self.expects

    def unpack(self, path: str, archive: bytes) -> None:
        """Put files into the container, each as the archive has it."""
        self.asked.append(f"cp {path}")
        with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
            for member in tar:
                self.owners[member.name] = (member.uid, member.gid)
                place = self.files / path.strip("/") / member.name
                if member.isdir():
                    place.mkdir(exist_ok=True)
                    continue
                source = tar.extractfile(member)
                assert source is not None
                place.unlink(missing_ok=True)
                place.write_bytes(source.read())
                place.chmod(member.mode)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    dockerd: Dockerd

    def address_string(self) -> str:
        """A Unix socket has no address."""
        return ""

    def _serve(self) -> None:
        parts = urlsplit(self.path)
        query = {key: values[0] for key, values in parse_qs(parts.query).items()}
        words = unquote(parts.path).strip("/").split("/")
        if words[0].startswith("v1."):
            words = words[1:]
        if words == ["_ping"]:
            self._answer(200, b"OK")
        elif words[:2] != ["containers", "web"]:
            self._tell(404, {"message": f"No such container: {words[1]}"})
        else:
            self._container(words[2], query)

    def do_GET(self) -> None:
        self._serve()

    def do_HEAD(self) -> None:
        self._serve()

    def do_POST(self) -> None:
        self._serve()

    def do_PUT(self) -> None:
        self._serve()

    def _container(self, what: str, query: dict[str, str]) -> None:
        match self.command, what:
            case "GET", "json":
                state = {"Running": self.dockerd.running, "Restarting": False}
                self._tell(200, {"Id": "0123", "Name": "/web", "State": state, "Mounts": []})
            case "HEAD" | "GET", "archive":
                self._stat(query["path"])
            case "PUT", "archive":
                self.dockerd.unpack(query["path"], self._body())
                self._answer(200, b"")
            case "POST", "kill":
                self.dockerd.kill(query["signal"])
                self._answer(204, b"")
            case "POST", "restart":
                self.dockerd.asked.append("restart")
                self._answer(204, b"")
            case _:
                self._tell(501, {"message": f"not known here: {self.command} {what}"})

    def _stat(self, path: str) -> None:
        place = self.dockerd.files / path.strip("/")
        if not place.is_dir():
            self._tell(404, {"message": f"Could not find the file {path} in container web"})
            return
        # Go's bit for a directory
        stat = {"name": place.name, "size": 0, "mode": 0x800001ED, "mtime": "2026-01-01T00:00:00Z"}
        told = base64.b64encode(json.dumps(stat).encode()).decode()
        self._answer(200, b"", {"X-Docker-Container-Path-Stat": told})

    def _body(self) -> bytes:
        if "chunked" not in self.headers.get("Transfer-Encoding", ""):
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))
        body = b""
        while size := int(self.rfile.readline(), 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return body

    def _tell(self, code: int, document: Any) -> None:
        self._answer(code, json.dumps(document).encode(), {"Content-Type": "application/json"})

    def _answer(self, code: int, body: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(code)
        for key, value in {"Api-Version": _VERSION, "Ostype": "linux", **(headers or {})}.items():
            self.send_header(key, value)
        if code != 204:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""
