"""Redis: TLS from the first byte, and a socket for its own programs, both behind a password."""

from collections.abc import Sequence
from pathlib import Path

from .foreground import Foreground, program

PASSWORD = "open sesame"


class Redis(Foreground):
    """One server that keeps nothing."""

    def __init__(self, directory: Path, cert: Path, key: Path) -> None:
        """Prepare it."""
        super().__init__(directory, cert, key)
        self.socket = directory / "s"
        self.secret = directory / "password"
        self.env = {"REDIS_SOCKET": str(self.socket), "REDIS_AUTH_FILE": str(self.secret)}

    def configure(self) -> None:
        """Write the config and the password."""
        self.secret.write_text(PASSWORD + "\n")
        self.secret.chmod(0o600)
        (self.directory / "redis.conf").write_text(
            f"port 0\ntls-port {self.port}\nbind 127.0.0.1\nunixsocket {self.socket}\n"
            f'tls-cert-file "{self.cert}"\ntls-key-file "{self.key}"\ntls-auth-clients no\n'
            f'tls-ca-cert-file "{self.cert}"\nrequirepass "{PASSWORD}"\n'
            f'dir "{self.directory}"\nsave ""\nappendonly no\n'
        )

    def command(self) -> Sequence[str | Path]:
        """In the foreground."""
        return [program("redis-server", "redis-server"), self.directory / "redis.conf"]
