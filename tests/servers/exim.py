"""exim: SMTP with STARTTLS, from the files that tests/setup.sh lays out. Needs root to become its user."""

import shutil
from collections.abc import Sequence
from pathlib import Path

from .foreground import Foreground
from .process import ServerFailedError

USER = "Debian-exim"
_BINARY = Path(__file__).resolve().parents[2] / ".venv/servers/exim4-daemon-light/usr/sbin/exim4"


class Exim(Foreground):
    """One exim that takes mail for nobody and offers STARTTLS. Its key must be readable for `USER`."""

    patience = 1  # a SIGTERM that comes while it starts or reloads is lost

    def __init__(self, directory: Path, cert: Path, key: Path) -> None:
        """Prepare it."""
        super().__init__(directory, cert, key)
        if not _BINARY.exists():
            raise ServerFailedError("exim is not there; run: tests/setup.sh test")
        self.config = directory / "exim.conf"
        self.pid_file = directory / "spool" / "exim.pid"
        self.written_last = self.pid_file
        # At HUP it executes itself anew as its user, who may not enter every checkout's directories
        self.binary = directory / _BINARY.name
        directory.mkdir(parents=True, exist_ok=True)
        shutil.copy2(_BINARY, self.binary)
        self.env = {"EXIM": str(self.binary), "EXIM_CONF": str(self.config)}

    def configure(self) -> None:
        """Write the config, which must be root's, and give exim's user a spool."""
        spool = self.directory / "spool"
        spool.mkdir(exist_ok=True)
        shutil.chown(spool, USER)
        self.config.write_text(
            f"exim_path = {self.binary}\n"
            "keep_environment =\n"
            "primary_hostname = www.example.org\n"
            f"spool_directory = {spool}\n"
            f"log_file_path = {spool}/log-%s\n"
            f"pid_file_path = {self.pid_file}\n"
            f"daemon_smtp_ports = {self.port}\n"
            "local_interfaces = 127.0.0.1\n"
            "tls_advertise_hosts = *\n"
            f"tls_certificate = {self.cert}\n"
            f"tls_privatekey = {self.key}\n"
            "host_lookup =\n"
            "begin acl\n"
        )

    def command(self) -> Sequence[str | Path]:
        """The daemon in the foreground."""
        return [self.binary, "-C", self.config, "-bdf"]
