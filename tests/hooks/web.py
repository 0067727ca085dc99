"""Web servers beside nginx, each with one certificate: Apache, HAProxy, lighttpd, Caddy."""

import os
import pwd
import shutil
import subprocess
import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.hooks.bed import NAME, Server
from tests.servers.certificates import ServerRoot
from tests.servers.handshake import wait_until
from tests.servers.haproxy import program
from tests.servers.ports import free_port
from tests.servers.process import Process

_APACHE_MODULES = Path("/usr/lib/apache2/modules")


class WebServer(Server):
    """One program in the foreground, with a config and a pid file below a directory of the test's.

    `argv` is what starts it; `cert` and `key` are what its config names.
    """

    argv: Sequence[str | Path]
    env: dict[str, str]

    def __init__(self, directory: Path, live: Path) -> None:
        self.home = directory / self.hook
        self.home.mkdir(mode=0o755)
        self.live = live
        self.cert = live / "fullchain.pem"
        self.key = live / "privkey.pem"
        self.port = free_port()
        self.pid_file = self.home / "pid"
        self.log = self.home / "log"
        self.process: Process | None = None

    def start(self) -> None:
        """Start it; it is there when its port answers and its pid file is written."""
        self.process = Process(self.argv, log=self.log, env=self.environment, cwd=self.home)
        self.process.wait_for_port(self.port)
        self.ready()

    def ready(self) -> None:
        """Wait until the pid file is written."""
        wait_until(lambda: self.pid_file.exists() and self.pid_file.read_text().strip() != "", what="a pid")

    def stop(self) -> None:
        """End it."""
        if self.process is not None:
            self.process.stop()
            self.process = None

    def kill(self) -> None:
        """End it as a crash would; its pid file stays."""
        if self.process is not None:
            self.process.kill()
            self.process = None

    @property
    def environment(self) -> Mapping[str, str]:
        """What it is started with beside the environment of the tests."""
        return {}

    @property
    def pid(self) -> int:
        """Its main process."""
        assert self.process is not None
        return self.process.pid

    def serve_copies(self, user: str) -> None:
        """Let it name copies that belong to its user; the first are not the agent's, as after installing."""
        pair = ServerRoot().issue(self.home / "tls", NAME, stem="www")
        entry = pwd.getpwnam(user)
        for path in (pair.cert, pair.key):
            os.chown(path, entry.pw_uid, entry.pw_gid)
        self.cert, self.key = pair.cert, pair.key
        self.copies = [{"fullchain": self.cert, "key": self.key, "owner": user, "mode": "0600"}]

    def write(self, name: str, text: str) -> Path:
        """Write a file of its own."""
        path = self.home / name
        path.write_text(textwrap.dedent(text))
        return path


class Apache(WebServer):
    """Apache with mod_ssl and the event MPM; its port stands in its environment, as Debian's paths do."""

    hook = "apache"
    notices = True

    def __init__(self, directory: Path, live: Path, more: str = "") -> None:
        super().__init__(directory, live)
        modules = ("mpm_event", "authz_core", "socache_shmcb", "ssl")
        self.conf = self.home / "apache.conf"
        self.lines = [
            f"ServerRoot {self.home}",
            f"DocumentRoot {self.home}",
            f"PidFile {self.pid_file}",
            f"ErrorLog {self.log}",
            f"DefaultRuntimeDir {self.home}",
            "ServerName localhost",
            "Listen 127.0.0.1:${APACHE_PORT}",
            "GracefulShutdownTimeout 5",
            *(f"LoadModule {one}_module {_APACHE_MODULES}/mod_{one}.so" for one in modules),
            "<VirtualHost *:${APACHE_PORT}>",
            f"ServerName {NAME}",
            "SSLEngine on",
            f"SSLCertificateFile {self.cert}",
            f"SSLCertificateKeyFile {self.key}",
            "</VirtualHost>",
            more,
        ]
        self.binary = program("apache2", "apache2-bin")
        self.argv = [self.binary, "-f", self.conf, "-DFOREGROUND"]
        self.env = {"APACHE": self.binary, "APACHE_CONF": str(self.conf), "APACHE_PID": str(self.pid_file)}

    @property
    def environment(self) -> Mapping[str, str]:
        """Variables of the config."""
        return {"APACHE_PORT": str(self.port)}

    def check(self) -> "subprocess.CompletedProcess[bytes]":
        """Apache's own check of its config."""
        argv = [self.binary, "-f", str(self.conf), "-t"]
        return subprocess.run(
            argv, env={**os.environ, **self.environment}, capture_output=True, timeout=30, check=False
        )

    def start(self) -> None:
        """Write the config and a page, and start it."""
        self.conf.write_text("\n".join(self.lines) + "\n")
        self.write("index.html", "ok\n")
        self.pid_file.unlink(missing_ok=True)
        super().start()


class Haproxy(WebServer):
    """HAProxy as a master with a worker, its certificate a combined copy; with its runtime API if wanted."""

    hook = "haproxy"

    def __init__(
        self, directory: Path, live: Path, *, api: bool, master: bool = True, crt: str | None = None
    ) -> None:
        super().__init__(directory, live)
        self.pem = self.home / "certs" / "www.pem"
        self.copies: Sequence[Mapping[str, Any]] = [{"combined": self.pem}]
        self.socket = self.home / "admin.sock"
        conf = self.write(
            "haproxy.cfg",
            f"""\
            global
                {f'stats socket "{self.socket}" level admin' if api else ""}
                hard-stop-after 5s
            defaults
                mode http
                timeout connect 5s
                timeout client 5s
                timeout server 5s
            frontend tls
                bind 127.0.0.1:"$WEB_PORT" ssl crt "{crt or self.pem}"
                http-request return status 200 content-type text/plain string ok
            """,
        )
        binary = program("haproxy", "haproxy")
        self.master = master
        self.argv = [binary, "-W" if master else "-db", "-f", conf, "-p", self.pid_file]
        self.env = {"HAPROXY": binary, "HAPROXY_PID": str(self.pid_file)}
        if api:
            self.env["HAPROXY_SOCKET"] = str(self.socket)

    @property
    def environment(self) -> Mapping[str, str]:
        """Variables of the config."""
        return {"WEB_PORT": str(self.port)}

    def start(self) -> None:
        """Lay down what is live where no copy is yet, and start it."""
        if not self.pem.exists():
            self.lay()
        self.pid_file.unlink(missing_ok=True)
        super().start()

    def ready(self) -> None:
        """One in the foreground writes no pid file, so its keeper does."""
        if not self.master:
            self.pid_file.write_text(f"{self.pid}\n")
        super().ready()

    def lay(self) -> None:
        """Make the combined file what is live."""
        self.pem.parent.mkdir(exist_ok=True)
        self.pem.touch(mode=0o600)
        self.pem.write_bytes(self.key.read_bytes() + self.cert.read_bytes())


class Lighttpd(WebServer):
    """lighttpd with mod_openssl, as root or another user."""

    hook = "lighttpd"
    notices = True

    def __init__(
        self, directory: Path, live: Path, user: str = "root", *, background: bool = False, pid: bool = True
    ) -> None:
        super().__init__(directory, live)
        binary = program("lighttpd", "lighttpd")
        self.background, self.with_pid = background, pid
        self.errors = self.home / "errors"
        self.errorlog = f'server.errorlog = "{self.errors}"'
        self.conf = self.home / "lighttpd.conf"
        self.user = user
        self.argv = [binary, "-D", "-f", self.conf]
        self.env = {
            "LIGHTTPD": binary,
            "LIGHTTPD_CONF": str(self.conf),
            "LIGHTTPD_PID": str(self.pid_file),
        }

    def start(self) -> None:
        """Write the config and start it."""
        self.write(
            "lighttpd.conf",
            f"""\
            server.modules = ("mod_openssl")
            server.document-root = "{self.home}"
            server.bind = "127.0.0.1"
            server.port = {self.port}
            {f'server.pid-file = "{self.pid_file}"' if self.with_pid else ""}
            {f'server.feature-flags = ("{_BACKGROUND}" => "enable")' if self.background else ""}
            {f'server.username = "{self.user}"' if self.user != "root" else ""}
            {self.errorlog}
            ssl.engine = "enable"
            ssl.pemfile = "{self.cert}"
            ssl.privkey = "{self.key}"
            """,
        )
        if not self.errors.exists():
            self.errors.touch()
            shutil.chown(self.errors, self.user)
        self.pid_file.unlink(missing_ok=True)
        super().start()

    def ready(self) -> None:
        """Without a pid file there is none to wait for."""
        if self.with_pid:
            super().ready()


class Caddy(WebServer):
    """Caddy with an admin API on a port of its own, as root or another user."""

    hook = "caddy"
    notices = True

    def __init__(self, directory: Path, live: Path, user: str = "root", more: str = "") -> None:
        super().__init__(directory, live)
        binary = program("caddy", "caddy")
        self.conf = self.home / "Caddyfile"
        self.admin = f"127.0.0.1:{free_port()}"
        self.more = more
        self.data = self.home / "data"
        self.data.mkdir()
        for path in (self.home, self.data) if user != "root" else ():
            os.chown(path, pwd.getpwnam(user).pw_uid, pwd.getpwnam(user).pw_gid)
        run_as = ["setpriv", f"--reuid={user}", f"--regid={user}", "--init-groups"] if user != "root" else []
        self.argv = [*run_as, binary, "run", "--config", self.conf, "--pidfile", self.pid_file]
        self.env = {"CADDY": binary, "CADDY_CONF": str(self.conf), "CADDY_PID": str(self.pid_file)}

    @property
    def environment(self) -> Mapping[str, str]:
        """Where it keeps what is its own, and a variable of the config."""
        return {"HOME": str(self.data), "WEB_PORT": str(self.port), **dict.fromkeys(_XDG, str(self.data))}

    def start(self) -> None:
        """Write the config and start it."""
        self.configure()
        self.pid_file.unlink(missing_ok=True)
        super().start()

    def configure(self) -> None:
        """Write the config."""
        self.write(
            "Caddyfile",
            f"""\
            {{
                admin {self.admin}
                auto_https off
                grace_period 2s
                {self.more}
            }}
            https://{NAME}:{{$WEB_PORT}} {{
                bind 127.0.0.1
                tls {self.cert} {self.key}
                respond ok
            }}
            """,
        )


_BACKGROUND = "server.graceful-restart-bg"
_XDG = ("XDG_DATA_HOME", "XDG_CONFIG_HOME")
