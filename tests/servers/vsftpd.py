"""vsftpd: FTP with AUTH TLS. Needs root, as vsftpd does."""

import os
import signal
from collections.abc import Sequence
from pathlib import Path

from .foreground import Foreground, program
from .handshake import wait_until


class Vsftpd(Foreground):
    """One vsftpd that serves an empty directory to anonymous users."""

    def __init__(self, directory: Path, cert: Path, key: Path) -> None:
        """Prepare it."""
        super().__init__(directory, cert, key)
        self.config = directory / "vsftpd.conf"
        self.env = {"VSFTPD": program("vsftpd", "vsftpd"), "VSFTPD_CONF": str(self.config)}

    def configure(self) -> None:
        """Write the config."""
        empty = self.directory / "empty"
        empty.mkdir(exist_ok=True, mode=0o555)
        self.config.write_text(
            "listen=YES\n"
            "listen_address=127.0.0.1\n"
            f"listen_port={self.port}\n"
            "background=NO\n"
            "anonymous_enable=YES\n"
            f"anon_root={empty}\n"
            f"secure_chroot_dir={empty}\n"
            "ssl_enable=YES\n"
            f"rsa_cert_file={self.cert}\n"
            f"rsa_private_key_file={self.key}\n"
        )

    def command(self) -> Sequence[str | Path]:
        """The listener."""
        return [program("vsftpd", "vsftpd"), self.config]

    def listeners(self) -> list[int]:
        """The process ids of whatever runs with this config, sessions included: a hook may start it."""
        found = []
        for entry in Path("/proc").glob("[0-9]*/cmdline"):
            try:
                words = entry.read_bytes().split(b"\0")
            except OSError:
                continue  # it has just ended
            if str(self.config).encode() in words and words[0].endswith(b"vsftpd"):
                found.append(int(entry.parent.name))
        return found

    def listener(self) -> int:
        """The process id of the one that listens, once the sessions of who tried the port have ended."""
        wait_until(lambda: len(self.listeners()) == 1, what="vsftpd without sessions")
        return self.listeners()[0]

    def stop(self) -> None:
        """End it, also the one that the hook started in its place."""
        super().stop()
        for pid in self.listeners():
            os.kill(pid, signal.SIGKILL)
        wait_until(lambda: not self.listeners(), what="the end of vsftpd")
