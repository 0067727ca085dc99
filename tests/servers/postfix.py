"""postfix: SMTP with STARTTLS, in directories of the test's own. Needs root, as postfix does."""

import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from .foreground import Foreground, program
from .process import ServerFailedError

_SERVICES = """\
127.0.0.1:{port} inet n - n - - smtpd
postlog unix-dgram n - n - 1 postlogd
cleanup unix n - n - 0 cleanup
rewrite unix - - n - - trivial-rewrite
proxymap unix - - n - - proxymap
tlsmgr unix - - n 1000? 1 tlsmgr
qmgr unix n - n 300 1 qmgr
pickup unix n - n 60 1 pickup
anvil unix - - n - 1 anvil
"""


class Postfix(Foreground):
    """One postfix that takes mail for nobody and offers STARTTLS."""

    def __init__(self, directory: Path, cert: Path, key: Path) -> None:
        """Prepare it."""
        super().__init__(directory, cert, key)
        self.config = directory / "etc"
        self.env = {"POSTFIX": program("postfix", "postfix"), "POSTFIX_CONF": str(self.config)}

    def settings(self) -> str:
        """What main.cf has on certificates."""
        return f"smtpd_tls_chain_files = {self.key} {self.cert}\n"

    def configure(self) -> None:
        """Write main.cf and master.cf."""
        for name in ("etc", "queue", "data"):
            (self.directory / name).mkdir(exist_ok=True)
        shutil.chown(self.directory / "data", "postfix")
        (self.config / "main.cf").write_text(
            "compatibility_level = 3.6\n"
            f"queue_directory = {self.directory}/queue\n"
            f"data_directory = {self.directory}/data\n"
            "inet_interfaces = 127.0.0.1\n"
            "inet_protocols = ipv4\n"
            "myhostname = www.example.org\n"
            "mynetworks_style = host\n"
            "notify_classes =\n"
            "alias_maps =\n"
            "alias_database =\n"
            f"maillog_file = {self.directory}/mail.log\n"
            f"maillog_file_prefixes = {self.directory}\n"
            "smtpd_tls_security_level = may\n" + self.settings()
        )
        (self.config / "master.cf").write_text(_SERVICES.format(port=self.port))

    def command(self) -> Sequence[str | Path]:
        """The master process itself: `postfix start-fg` would outlive a shell that is ended."""
        postfix = program("postfix", "postfix")
        checked = subprocess.run(  # makes the queue's directories
            [postfix, "-c", self.config, "check"], capture_output=True, text=True, check=False, timeout=30
        )
        if checked.returncode:
            raise ServerFailedError(f"postfix check: {checked.stderr}{self._mail_log()}")
        daemons = subprocess.run(
            [program("postconf", "postfix"), "-h", "daemon_directory"],
            capture_output=True,
            text=True,
            check=True,
            timeout=30,
        )
        return [Path(daemons.stdout.strip()) / "master", "-c", self.config, "-d"]

    def _mail_log(self) -> str:
        log = self.directory / "mail.log"
        return log.read_text() if log.exists() else ""
