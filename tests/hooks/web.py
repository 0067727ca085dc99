"""Web servers beside nginx, each with the one certificate of a bed: Apache, HAProxy, lighttpd, Caddy."""

import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.hooks.bed import NAME, Bed, Server
from tests.servers.handshake import wait_until
from tests.servers.haproxy import program
from tests.servers.ports import free_port
from tests.servers.process import Process

_APACHE_MODULES = Path("/usr/lib/apache2/modules")


class WebServer(Server):
    """One program in the foreground, with a config and a pid file below the bed's directory.

    `argv` is what starts it; `cert` and `key` are what its config names.
    """

    argv: Sequence[str | Path]

    def __init__(self, bed: Bed) -> None:
        self.home = bed.directory / type(self).__name__.lower()
        self.home.mkdir(mode=0o755)
        self.cert = bed.live / "fullchain.pem"
        self.key = bed.live / "privkey.pem"
        self.port = free_port()
        self.pid_file = self.home / "pid"
        self.log = self.home / "log"
        self.process: Process | None = None

    def start(self) -> None:
        """Start it; it is there when its port answers and its pid file is written."""
        self.process = Process(self.argv, log=self.log, env=self.environment, cwd=self.home)
        self.process.wait_for_port(self.port)
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

    def write(self, name: str, text: str) -> Path:
        """Write a file of its own."""
        path = self.home / name
        path.write_text(textwrap.dedent(text))
        return path


class Apache(WebServer):
    """Apache with mod_ssl and the event MPM; its port stands in its environment, as Debian's paths do."""

    hook = "apache"
    notices = True

    def __init__(self, bed: Bed, more: str = "") -> None:
        super().__init__(bed)
        modules = ("mpm_event", "authz_core", "socache_shmcb", "ssl")
        self.conf = self.home / "apache.conf"
        self.lines = [
            f"ServerRoot {self.home}",
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

    def start(self) -> None:
        """Write the config and start it."""
        self.conf.write_text("\n".join(self.lines) + "\n")
        self.pid_file.unlink(missing_ok=True)
        super().start()


class Haproxy(WebServer):
    """HAProxy as a master with a worker, its certificate a combined copy; with its runtime API if wanted."""

    hook = "haproxy"

    def __init__(self, bed: Bed, *, api: bool, master: bool = True, crt: str | None = None) -> None:
        super().__init__(bed)
        self.pem = self.home / "certs" / "www.pem"
        self.live = bed.live
        self.copies: Sequence[Mapping[str, Any]] = [{"combined": self.pem}]
        self.socket = self.home / "admin.sock"
        conf = self.write(
            "haproxy.cfg",
            f"""\
            global
                {f"stats socket {self.socket} level admin" if api else ""}
                hard-stop-after 5s
            defaults
                mode http
                timeout connect 5s
                timeout client 5s
                timeout server 5s
            frontend tls
                bind 127.0.0.1:"$WEB_PORT" ssl crt {crt or self.pem}
                http-request return status 200 content-type text/plain string ok
            """,
        )
        binary = program("haproxy", "haproxy")
        self.argv = [binary, "-W" if master else "-D", "-f", conf, "-p", self.pid_file]
        self.env = {"HAPROXY": binary, "HAPROXY_PID": str(self.pid_file)}
        if api:
            self.env["HAPROXY_SOCKET"] = str(self.socket)

    @property
    def environment(self) -> Mapping[str, str]:
        """Variables of the config."""
        return {"WEB_PORT": str(self.port)}

    def start(self) -> None:
        """Lay down the placeholder where no copy is yet, and start it."""
        if not self.pem.exists():
            self.pem.parent.mkdir(exist_ok=True)
            parts = (self.live / "privkey.pem", self.live / "fullchain.pem")
            self.pem.write_bytes(b"".join(part.read_bytes() for part in parts))
            self.pem.chmod(0o600)
        self.pid_file.unlink(missing_ok=True)
        super().start()


class Lighttpd(WebServer):
    """lighttpd with mod_openssl, as root or another user."""

    hook = "lighttpd"
    notices = True

    def __init__(self, bed: Bed, user: str = "root") -> None:
        super().__init__(bed)
        binary = program("lighttpd", "lighttpd")
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
            server.pid-file = "{self.pid_file}"
            {f'server.username = "{self.user}"' if self.user != "root" else ""}
            ssl.engine = "enable"
            ssl.pemfile = "{self.cert}"
            ssl.privkey = "{self.key}"
            """,
        )
        self.pid_file.unlink(missing_ok=True)
        super().start()


class Caddy(WebServer):
    """Caddy with an admin API on a port of its own, as root or another user."""

    hook = "caddy"
    notices = True

    def __init__(self, bed: Bed, user: str = "root", more: str = "") -> None:
        super().__init__(bed)
        binary = program("caddy", "caddy")
        self.conf = self.home / "Caddyfile"
        self.admin = f"127.0.0.1:{free_port()}"
        self.more = more
        self.data = self.home / "data"
        self.data.mkdir()
        run_as = ["setpriv", f"--reuid={user}", f"--regid={user}", "--init-groups"] if user != "root" else []
        self.argv = [*run_as, binary, "run", "--config", self.conf, "--pidfile", self.pid_file]
        self.env = {"CADDY": binary, "CADDY_CONF": str(self.conf), "CADDY_PID": str(self.pid_file)}

    @property
    def environment(self) -> Mapping[str, str]:
        """Where it keeps what is its own, and a variable of the config."""
        return {"HOME": str(self.data), "WEB_PORT": str(self.port), **dict.fromkeys(_XDG, str(self.data))}

    def start(self) -> None:
        """Write the config and start it."""
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
        self.pid_file.unlink(missing_ok=True)
        super().start()


_XDG = ("XDG_DATA_HOME", "XDG_CONFIG_HOME")
