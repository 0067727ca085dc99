"""PostgreSQL: TLS after its SSLRequest, under the user of its package. Needs root to become that user."""

import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from .foreground import Foreground, program
from .process import ServerFailedError

USER = "postgres"
_PROGRAMS = "/usr/lib/postgresql"
_SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "ssl": "on",
    # What lies here is thrown away.
    "fsync": "off",
    "shared_buffers": "1MB",
    "max_connections": "5",
}


class Postgresql(Foreground):
    """One cluster with a database of its own; its key must be `USER`'s with 0600."""

    def __init__(self, directory: Path, cert: Path, key: Path) -> None:
        """Prepare it."""
        super().__init__(directory, cert, key)
        self.data = directory / "data"
        self.config = directory / "postgresql.conf"
        self.settings = dict(_SETTINGS)
        self.env = {"POSTGRESQL_DATA": str(self.data)}

    def configure(self) -> None:
        """Make the cluster, if it is the first start; the config lies apart from it, as Debian has it."""
        settings = self.settings | {
            "port": str(self.port),
            "unix_socket_directories": f"{self.directory}/run",
            "ssl_cert_file": str(self.cert),
            "ssl_key_file": str(self.key),
        }
        self.config.write_text("".join(f"{name} = '{value}'\n" for name, value in settings.items()))
        if self.data.exists():
            return
        (self.directory / "run").mkdir()
        for path in (self.data, self.directory / "run"):
            path.mkdir(exist_ok=True, mode=0o700)
            path.chmod(0o700)
            shutil.chown(path, USER)
        made = subprocess.run(
            [*_us(), _program("initdb"), "-A", "trust", "--no-sync", "-D", self.data],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
            cwd=self.directory,
        )
        if made.returncode:
            raise ServerFailedError(f"initdb: {made.stdout}{made.stderr}")

    def command(self) -> Sequence[str | Path]:
        """It refuses to run as root."""
        return [*_us(), _program("postgres"), "-D", self.data, "-c", f"config_file={self.config}"]


def _us() -> list[str]:
    return [program("setpriv", "util-linux"), f"--reuid={USER}", f"--regid={USER}", "--init-groups"]


def _program(name: str) -> Path:
    """Debian keeps those of each release apart; any will do."""
    found = sorted(Path(_PROGRAMS).glob(f"*/bin/{name}"))
    if not found:
        raise ServerFailedError("postgresql is not installed; run: tests/setup.sh test")
    return found[-1]
