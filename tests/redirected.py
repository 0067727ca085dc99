"""Run by test_redirects.py in a network of its own: a public name whose server redirects the preflight.

`python -m tests.redirected PLACE WHERE` runs the real command against an authority that validates nothing.
It prints as JSON what the command said, what its log has, and which other places were asked.
"""

import fcntl
import json
import os
import socket
import struct
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from tests import toml
from tests.servers.bendable import Bendable
from tests.servers.foreground import program

PUBLIC, OTHER, LINK = "11.22.33.44", "11.22.33.45", "169.254.169.254"
NAME = "www.example.org"
SECRET = "instance-credentials-of-this-host"
_SIOCSIFFLAGS, _SIOCSIFADDR, _UP = 0x8914, 0x8916, 0x41


def _network(place: Path) -> None:
    """Bring up the loopback interface with more addresses, and names for them."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        places = (("lo", "127.0.0.1"), ("lo:1", PUBLIC), ("lo:2", OTHER), ("lo:3", LINK))
        for name, address in places:
            request = struct.pack("16sH2s4s8x", name.encode(), socket.AF_INET, b"", socket.inet_aton(address))
            fcntl.ioctl(control, _SIOCSIFADDR, request)
            fcntl.ioctl(control, _SIOCSIFFLAGS, struct.pack("16sH14x", name.encode(), _UP))
    hosts = place / "hosts"
    hosts.write_text(
        f"127.0.0.1 localhost\n{PUBLIC} {NAME}\n{OTHER} other.example.org\n{LINK} metadata.example.org\n"
        "127.0.0.1 inner.example.org\n"
    )
    subprocess.run([program("mount", "mount"), "--bind", str(hosts), "/etc/hosts"], check=True, timeout=10)


def _serve(address: str, asked: list[str], *, location: str = "") -> None:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(f"{address} {self.headers.get('Host')}")
            self.send_response(302 if location else 200)
            if location:
                self.send_header("Location", location)
            body = b"" if location else SECRET.encode()
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer((address, 80), Handler)
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()


def main() -> None:
    """Serve, run, and tell."""
    place, where = Path(sys.argv[1]), sys.argv[2]
    _network(place)
    asked: list[str] = []
    _serve(PUBLIC, [], location=where)
    for address in ("127.0.0.1", OTHER, LINK):
        _serve(address, asked)
    with Bendable(place / "authority") as authority:
        (place / "webroot").mkdir()
        tables: dict[str, dict[str, Any]] = {
            "agent": {"state": str(place / "state"), "host": "web-1", "preflight": "off"},
            "authority.bent": {
                "directory": authority.directory,
                "ca_bundle": str(authority.ca_bundle),
                "agree_terms": True,
                "roots": "any",
            },
            "certificate.www": {
                "names": [NAME],
                "authority": "bent",
                "challenge": {"type": "http-01", "webroot": str(place / "webroot"), "preflight": "require"},
            },
        }
        config = place / "config.toml"
        config.write_text(toml.tables(tables))
        ended = subprocess.run(
            [sys.executable, "-m", "renewer", "--config", str(config), "run"],
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
            env={**os.environ, "NO_PROXY": "*"},
        )
    log = (place / "state" / "renewal.log").read_text()
    told = {"code": ended.returncode, "said": ended.stdout + ended.stderr, "log": log, "asked": asked}
    sys.stdout.write(json.dumps(told))


if __name__ == "__main__":
    main()
