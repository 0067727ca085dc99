"""MariaDB: TLS after its greeting, under the user of its package. Needs root to become that user."""

import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from .foreground import Foreground, program
from .process import ServerFailedError

USER = "mysql"
_SMALL = (
    "--innodb-log-file-size=4M",
    "--innodb-buffer-pool-size=8M",
    "--innodb-flush-log-at-trx-commit=0",
    "--innodb-doublewrite=0",
)


class Mariadb(Foreground):
    """One server whose root needs no password at its socket; its key must be readable for `USER`."""

    def __init__(self, directory: Path, cert: Path, key: Path) -> None:
        """Prepare it."""
        super().__init__(directory, cert, key)
        self.data = directory / "data"
        self.socket = directory / "run" / "s"
        self.env = {"MARIADB_SOCKET": str(self.socket)}

    def configure(self) -> None:
        """Make the system tables, unless this is not the first start."""
        if self.data.exists():
            return
        for path in (self.data, self.socket.parent):
            path.mkdir()
            shutil.chown(path, USER)
        made = subprocess.run(
            [
                program("mariadb-install-db", "mariadb-server"),
                *("--no-defaults", f"--user={USER}", f"--datadir={self.data}", "--skip-test-db"),
                *("--auth-root-authentication-method=normal", *_SMALL),
            ],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        if made.returncode:
            raise ServerFailedError(f"mariadb-install-db: {made.stdout}{made.stderr}")

    def command(self) -> Sequence[str | Path]:
        """It becomes `USER` by itself."""
        return [
            program("mariadbd", "mariadb-server"),
            *("--no-defaults", f"--user={USER}", f"--datadir={self.data}", f"--socket={self.socket}"),
            *("--bind-address=127.0.0.1", f"--port={self.port}", f"--pid-file={self.socket.parent}/pid"),
            *(f"--ssl-cert={self.cert}", f"--ssl-key={self.key}"),
            *("--performance-schema=off", "--innodb-fast-shutdown=2", *_SMALL),
        ]
