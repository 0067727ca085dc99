"""OpenSMTPD: SMTP with STARTTLS, of a later Debian than this one: Debian 12's cannot sign with OpenSSL 3.

It needs libraries, users and paths that this machine does not have, so it runs in a root of its own,
where the test's directory is mounted at its own path, in a mount namespace that ends with it. Needs root.
"""

import contextlib
import os
import shutil
import signal
from collections.abc import Sequence
from pathlib import Path

from .foreground import Foreground, program
from .handshake import wait_until
from .process import ServerFailedError

_LAID_OUT = Path(__file__).resolve().parents[2] / ".venv/servers/opensmtpd"
_USERS = (("root", 0), ("nobody", 65534), ("opensmtpd", 64001), ("opensmtpq", 64002))
_WRAPPER = """\
#!/bin/sh
exec {unshare} --mount --propagation private sh -c '
    mount --bind {place} {root}{place} && mount --bind /dev {root}/dev &&
        exec {chroot} {root} /usr/sbin/smtpd "$@"
' smtpd "$@"
"""


class Opensmtpd(Foreground):
    """One smtpd that takes mail for nobody and offers STARTTLS.

    `place` is what it sees of this machine's files: the directory above its own.
    """

    def __init__(self, directory: Path, cert: Path, key: Path) -> None:
        """Prepare it."""
        super().__init__(directory, cert, key)
        if not (_LAID_OUT / "VERSION").exists():
            raise ServerFailedError("OpenSMTPD is not there; run: tests/setup.sh test")
        self.config = directory / "smtpd.conf"
        self.root = directory / "root"
        self.binary = directory / "smtpd"
        self.pid_file = self.root / "run" / "smtpd.pid"
        self.written_last = self.pid_file
        self.env = {
            "OPENSMTPD": str(self.binary),
            "OPENSMTPD_CONF": str(self.config),
            "OPENSMTPD_PID": str(self.pid_file),
        }

    def configure(self) -> None:
        """Write the config, and lay out the root at the first start."""
        if not self.root.exists():
            self._lay_out()
        self.config.write_text(
            f'pki mail cert "{self.cert}"\n'
            f'pki mail key "{self.key}"\n'
            f"listen on 127.0.0.1 port {self.port} tls pki mail\n"
            'action "relay" relay\n'
            'match from local for any action "relay"\n'
        )

    def command(self) -> Sequence[str | Path]:
        """In the foreground."""
        return [self.binary, "-d", "-f", self.config]

    def stop(self) -> None:
        """End it, also the one that the hook started in its place."""
        super().stop()
        for pid in self.processes():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        wait_until(lambda: not self.processes(), what="the end of smtpd")

    def processes(self) -> list[int]:
        """The process ids of whatever runs in its root."""
        found = []
        for entry in Path("/proc").glob("[0-9]*/root"):
            with contextlib.suppress(OSError):  # it has just ended
                if entry.readlink().is_relative_to(self.root):
                    found.append(int(entry.parent.name))
        return found

    def _lay_out(self) -> None:
        shutil.copytree(_LAID_OUT, self.root, symlinks=True)
        place = self.directory.parent
        for inside in ("dev", "run", "var/spool", "etc/ssl/certs", "var/lib/opensmtpd/empty", f".{place}"):
            (self.root / inside).mkdir(parents=True, exist_ok=True)
        for link, to in (("lib", "usr/lib"), ("lib64", "usr/lib64"), ("var/run", "../run")):
            (self.root / link).symlink_to(to)
        (self.root / "etc/passwd").write_text(
            "".join(f"{name}:x:{number}:{number}::/:/bin/false\n" for name, number in _USERS)
        )
        (self.root / "etc/group").write_text("".join(f"{name}:x:{number}:\n" for name, number in _USERS))
        (self.root / "etc/ssl/certs/ca-certificates.crt").write_bytes(self.cert.read_bytes())
        self.binary.write_text(
            _WRAPPER.format(
                unshare=program("unshare", "util-linux"),
                chroot=program("chroot", "coreutils"),
                place=place,
                root=self.root,
            )
        )
        self.binary.chmod(0o755)
