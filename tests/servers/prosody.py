"""prosody: XMPP with STARTTLS, under the user of its package. Needs root to become that user."""

import shutil
from collections.abc import Sequence
from pathlib import Path

from .foreground import Foreground, program

USER = "prosody"


class Prosody(Foreground):
    """One prosody for the host `www.example.org`, with clients' connections only.

    Its key must be readable for `USER`.
    """

    def __init__(self, directory: Path, cert: Path, key: Path) -> None:
        """Prepare it."""
        super().__init__(directory, cert, key)
        self.config = directory / "prosody.cfg.lua"
        self.pid_file = directory / "data" / "prosody.pid"
        self.written_last = self.pid_file
        self.env = {
            "PROSODYCTL": program("prosodyctl", "prosody"),
            "PROSODY_CONF": str(self.config),
            "PROSODY_PID": str(self.pid_file),
        }

    def configure(self) -> None:
        """Write the config."""
        (self.directory / "data").mkdir(exist_ok=True)
        (self.directory / "certs").mkdir(exist_ok=True)
        shutil.chown(self.directory / "data", USER)
        self.config.write_text(
            f'pidfile = "{self.pid_file}"\n'
            f'data_path = "{self.directory}/data"\n'
            'modules_enabled = { "tls", "saslauth" }\n'
            'modules_disabled = { "s2s" }\n'
            'interfaces = { "127.0.0.1" }\n'
            f"c2s_ports = {{ {self.port} }}\n"
            'log = { info = "*console" }\n'
            'VirtualHost "www.example.org"\n'
            f'  ssl = {{ certificate = "{self.cert}", key = "{self.key}" }}\n'
        )

    def command(self) -> Sequence[str | Path]:
        """It refuses to run as root."""
        us = [program("setpriv", "util-linux"), f"--reuid={USER}", f"--regid={USER}", "--clear-groups"]
        return [*us, program("prosody", "prosody"), "-F", "--config", self.config]
