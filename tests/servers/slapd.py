"""slapd: LDAP with StartTLS, with an empty database in memory. Its config is a plain slapd.conf."""

from collections.abc import Sequence
from pathlib import Path

from .foreground import Foreground, program


class Slapd(Foreground):
    """One slapd."""

    def configure(self) -> None:
        """Write the config."""
        (self.directory / "slapd.conf").write_text(
            f"pidfile {self.directory}/slapd.pid\n"
            f"TLSCertificateFile {self.cert}\n"
            f"TLSCertificateKeyFile {self.key}\n"
            "database config\n"
        )

    def command(self) -> Sequence[str | Path]:
        """In the foreground, on one plain port."""
        slapd = program("slapd", "slapd")
        return [slapd, "-d", "0", "-f", self.directory / "slapd.conf", "-h", f"ldap://127.0.0.1:{self.port}/"]
