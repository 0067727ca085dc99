"""A real sshd on a high port, without its service: host key, authorised key, known hosts of its own."""

import getpass
import os
import shutil
import subprocess
from pathlib import Path
from typing import Self

from tests.servers.ports import free_port, release
from tests.servers.process import Process, ServerFailedError

_SSHD = "/usr/sbin/sshd"


class Sshd:
    """Lets the user who runs the tests in by one key, and runs what is asked."""

    def __init__(self, directory: Path, extra: str = "") -> None:
        """Make the keys; `known_hosts` knows the host, `identity` may enter; `extra` ends sshd's config."""
        self.directory = directory
        self.extra = extra
        directory.mkdir(mode=0o700)
        self.port = free_port()
        self.host_key = self._key("host_key")
        self.identity = self._key("identity")
        shutil.copy(f"{self.identity}.pub", directory / "authorized")
        self.known_hosts = self.know(self.host_key)
        self._process: Process | None = None

    def _key(self, name: str) -> Path:
        path = self.directory / name
        argv = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(path)]
        subprocess.run(argv, check=True, timeout=20, stdin=subprocess.DEVNULL)
        return path

    def know(self, key: Path) -> Path:
        """A file of known hosts, with a space in its name, that takes `key` for this host's."""
        path = self.directory / f"known to {key.name}"
        words = Path(f"{key}.pub").read_text().split()[:2]
        path.write_text(f"[127.0.0.1]:{self.port} {' '.join(words)}\n")
        return path

    def stranger(self) -> Path:
        """A file of known hosts in which this host has another key."""
        return self.know(self._key("another"))

    def start(self) -> Self:
        """Listen."""
        if os.geteuid() == 0:  # where it parts its rights; the package's service makes it otherwise
            os.makedirs("/run/sshd", mode=0o755, exist_ok=True)
        config = self.directory / "sshd_config"
        config.write_text(
            f"Port {self.port}\nListenAddress 127.0.0.1\nHostKey {self.host_key}\nPidFile none\n"
            f"AuthorizedKeysFile {self.directory}/authorized\nStrictModes no\nUsePAM no\n"
            "PasswordAuthentication no\nKbdInteractiveAuthentication no\nPermitRootLogin prohibit-password\n"
            f"{self.extra}"
        )
        if not Path(_SSHD).exists():
            raise ServerFailedError(f"{_SSHD} is missing (Debian's package openssh-server)")
        argv = [_SSHD, "-D", "-e", "-f", str(config)]
        self._process = Process(argv, log=self.directory / "log")
        self._process.wait_for_port(self.port)
        return self

    def stop(self) -> None:
        """No longer listen."""
        if self._process is not None:
            self._process.stop()
            self._process = None

    @property
    def env(self) -> dict[str, str]:
        """What makes the hook address this host."""
        return {
            "SSH_HOST": f"{getpass.getuser()}@127.0.0.1",
            "SSH_PORT": str(self.port),
            "SSH_IDENTITY": str(self.identity),
            "SSH_KNOWN_HOSTS": str(self.known_hosts),
        }

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()
        release(self.port)
