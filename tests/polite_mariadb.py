"""Run by test_polite.py in a network of its own: looks at a MariaDB by an address that is not loopback.

`python -m tests.polite_mariadb PLACE` prints what was seen and what the server counted, as JSON.
"""

import fcntl
import json
import socket
import struct
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from renewer import secrets
from renewer.model.desired import Endpoint, Starttls
from renewer.network import verify
from tests.servers.foreground import program
from tests.servers.mariadb import Mariadb

NAME = "www.example.org"
OURS = "198.51.100.7"
_SIOCSIFFLAGS, _SIOCSIFADDR, _UP = 0x8914, 0x8916, 0x41


class Counting(Mariadb):
    """One that keeps a count of each host's errors and bars a host at the twentieth."""

    def command(self) -> Sequence[str | Path]:
        """The last word on an option counts."""
        return [
            *super().command(),
            *("--bind-address=0.0.0.0", "--performance-schema=on", "--max-connect-errors=20"),
        ]


def _network() -> None:
    """Bring up the loopback interface of this namespace, with a second address that is not loopback."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        for name, address in (("lo", "127.0.0.1"), ("lo:1", OURS)):
            request = struct.pack("16sH2s4s8x", name.encode(), socket.AF_INET, b"", socket.inet_aton(address))
            fcntl.ioctl(control, _SIOCSIFADDR, request)
            fcntl.ioctl(control, _SIOCSIFFLAGS, struct.pack("16sH14x", name.encode(), _UP))
    # The server asks who that is before it counts; the answer is in an /etc/hosts of this namespace's own
    hosts = Path(sys.argv[1]) / "hosts"
    hosts.write_text(f"127.0.0.1 localhost\n{OURS} client.example.org\n")
    subprocess.run([program("mount", "mount"), "--bind", str(hosts), "/etc/hosts"], check=True, timeout=10)


def _asked(server: Mariadb, sql: str) -> str:
    client = program("mariadb", "mariadb-client")
    return subprocess.run(
        [client, "--no-defaults", f"--socket={server.socket}", "-N", "-B", "-e", sql],
        check=True,
        capture_output=True,
        text=True,
        timeout=20,
    ).stdout


def main() -> None:
    """Look, then ask the server what it counted."""
    place = Path(sys.argv[1])
    _network()
    with Counting(place / "server", place / "tls/server.pem", place / "tls/server.key") as server:
        endpoint = Endpoint(server_name=NAME, port=server.port, host=OURS, starttls=Starttls.MYSQL)
        _asked(server, "create user 'application'@'%' identified by 'secret'")  # else nobody is greeted
        seen = {"trusted": 0, "untrusted": 0}
        for _ in range(30):
            for roots, trusted in (("roots.pem", True), ("others.pem", False)):
                (sight,) = verify.look(
                    [verify.Target(endpoint=endpoint, roots=str(place / roots))], reads=secrets.roots
                )
                seen["trusted" if trusted else "untrusted"] += sight.completed and sight.trusted is trusted
        counted = _asked(
            server,
            "select count(*), coalesce(sum(sum_connect_errors), 0) "
            "from performance_schema.host_cache where ip = '198.51.100.7'",
        ).split()
        with socket.create_connection((OURS, server.port), timeout=10) as plain:
            greeting = plain.recv(200)
        sys.stdout.write(
            json.dumps(
                {
                    "seen": seen,
                    "known": int(counted[0]),
                    "errors": int(counted[1]),
                    "still_welcome": greeting[4:5] == b"\x0a",
                }
            )
        )


if __name__ == "__main__":
    main()
