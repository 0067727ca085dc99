"""nginx: the web server whose certificates are kept alive, in a prefix of the test's own."""

import os
import pwd
import shutil
import signal
import subprocess
import textwrap
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Self

from .certificates import Pair, ServerRoot
from .handshake import served_serial
from .ports import free_port, release
from .process import Process, ServerFailedError


class Nginx:
    """One nginx: a TLS server block for each name on one port, and a webroot over plain HTTP on another.

    `binary`, `prefix`, `config` and `pid_file` are what a hook needs to address it.
    """

    def __init__(
        self,
        prefix: Path,
        sites: Mapping[str, tuple[Path, Path]] | None = None,
        *,
        http_port: int | None = None,
        workers: int = 2,
        user: str | None = None,
        extra: Sequence[str] = (),
    ) -> None:
        """Prepare one; `start` starts it.

        Args:
            prefix: Its directory: config, logs, pid file, webroot.
            sites: Server names and the paths of their (fullchain, key); the first answers for unknown names,
                as nginx has it. None at all: one self-signed site, "default.invalid".
            http_port: Port of the webroot: Pebble's `http_port` where it validates; a free one when None.
            workers: How many worker processes.
            user: Who the workers run as, when started by root; the current user when None, so that they may
                read a test's directories.
            extra: More lines for the `http` block, such as further `server` blocks.
        """
        binary = shutil.which("nginx", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")
        if binary is None:
            raise ServerFailedError("nginx is not installed; run: tests/setup.sh test")
        self.binary = Path(binary)
        self.prefix = prefix
        self.config = prefix / "nginx.conf"
        self.pid_file = prefix / "nginx.pid"
        self.error_log = prefix / "error.log"
        self.webroot = prefix / "webroot"
        self.port = free_port()
        self._own_ports = [self.port]
        if http_port is None:
            http_port = free_port()
            self._own_ports.append(http_port)
        self.http_port = http_port
        self.sites = dict(sites or {})
        self.extra = tuple(extra)
        self._workers = workers
        self._user = user or pwd.getpwuid(os.geteuid()).pw_name
        self._process: Process | None = None

    def start(self) -> Self:
        """Write the config, start it and return when both ports accept connections."""
        self.webroot.mkdir(parents=True, exist_ok=True)
        if not self.sites:
            pair = self._self_signed()
            self.sites = {"default.invalid": (pair.cert, pair.key)}
        self.write_config()
        self._process = Process(
            [*self.command(), "-g", "daemon off; master_process on;"], log=self.error_log, cwd=self.prefix
        )
        self._process.wait_for_port(self.port)
        self._process.wait_for_port(self.http_port)
        # The sockets are there before the pid file, and a hook needs that.
        deadline = time.monotonic() + 5
        while not self.pid_file.exists() or not self.pid_file.read_text().strip():
            if time.monotonic() > deadline:
                raise ServerFailedError(f"nginx wrote no pid file:\n{self._process.log_tail()}")
            time.sleep(0.003)
        return self

    def stop(self) -> None:
        """End it, workers included, and give the ports back."""
        if self._process is not None:
            self._process.stop()
            self._process = None
        release(*self._own_ports)

    def kill(self) -> None:
        """End master and workers at once, as a crash would: the pid file stays."""
        if self._process is not None:
            self._process.kill()
            self._process = None

    @property
    def alive(self) -> bool:
        """Whether its master is running."""
        return self._process is not None and self._process.alive

    @property
    def pid(self) -> int:
        """The master's process id."""
        if self._process is None:
            raise ServerFailedError("nginx is not running")
        return self._process.pid

    def command(self, *arguments: str) -> list[str]:
        """The command line that addresses this very nginx."""
        return [
            str(self.binary),
            *("-p", f"{self.prefix}/"),
            *("-c", str(self.config)),
            *("-e", str(self.error_log)),
            *arguments,
        ]

    def test(self) -> subprocess.CompletedProcess[str]:
        """Run `nginx -t`."""
        return subprocess.run(self.command("-t"), capture_output=True, text=True, timeout=30, check=False)

    def reload(self) -> None:
        """Load config and certificates anew by `nginx -s reload`; returns before all workers have changed."""
        subprocess.run(self.command("-s", "reload"), capture_output=True, text=True, timeout=30, check=True)

    def hangup(self) -> None:
        """Send a raw SIGHUP: with a broken config nginx then only logs, and goes on as before."""
        os.kill(self.pid, signal.SIGHUP)

    def serial(self, server_name: str) -> str:
        """The serial (lower-case hex) served for a name right now, by an independent handshake."""
        return served_serial(self.port, server_name)

    def write_config(self) -> None:
        """Write the config from `sites` and `extra`; `reload` makes nginx use it."""
        self.prefix.mkdir(parents=True, exist_ok=True)
        user = f"user {self._user};" if os.geteuid() == 0 else ""
        blocks = "\n".join(self._site(name, *paths) for name, paths in self.sites.items())
        temporary = "\n".join(
            f"    {kind}_temp_path {self.prefix}/spool-{kind};"
            for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        )
        self.config.write_text(
            f"{user}\n"
            f"pid {self.pid_file};\n"
            f"worker_processes {self._workers};\n"
            "events { worker_connections 512; }\n"
            "http {\n"
            f"    access_log {self.prefix}/access.log;\n"
            f"{temporary}\n"
            "    server_names_hash_bucket_size 256;\n"
            f"{self._plain()}\n{blocks}\n" + "\n".join(self.extra) + "\n}\n"
        )

    def _plain(self) -> str:
        return textwrap.indent(
            f"server {{\n"
            f"    listen 127.0.0.1:{self.http_port};\n"
            f"    server_name _;\n"
            f"    location /.well-known/acme-challenge/ {{ root {self.webroot}; default_type text/plain; }}\n"
            f"    location / {{ return 404; }}\n"
            f"}}",
            "    ",
        )

    def _site(self, name: str, cert: Path, key: Path) -> str:
        return textwrap.indent(
            f"server {{\n"
            f"    listen 127.0.0.1:{self.port} ssl;\n"
            f"    server_name {name};\n"
            f"    ssl_certificate {cert};\n"
            f"    ssl_certificate_key {key};\n"
            f"    location / {{ return 200 '{name}\\n'; }}\n"
            f"}}",
            "    ",
        )

    def _self_signed(self) -> Pair:
        return ServerRoot().issue(self.prefix, "default.invalid", stem="default")

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()


NginxFactory = Callable[..., Nginx]
"""The type of the fixture `nginx_factory`; it takes the arguments of Nginx but for its directory."""
