"""dovecot: IMAP, POP3 and ManageSieve with STARTTLS, and IMAP with TLS from the first byte. Needs root."""

from collections.abc import Sequence
from pathlib import Path

from .foreground import Foreground, program

_SERVICE = """\
service {name}-login {{
  inet_listener {name} {{
    port = {port}
  }}
  {secured}
}}
"""
_SECURED = "inet_listener {name} {{\n    port = {port}\n    ssl = yes\n  }}"


class Dovecot(Foreground):
    """One dovecot with no users; its ports in this order: imap, imaps, pop3, sieve."""

    patience = 1  # a SIGTERM that comes while it starts or reloads is lost

    def __init__(self, directory: Path, cert: Path, key: Path) -> None:
        """Prepare it."""
        super().__init__(directory, cert, key, ports=4)
        self.config = directory / "dovecot.conf"
        self.imap, self.imaps, self.pop3, self.sieve = self.ports
        self.pid_file = directory / "run" / "master.pid"
        self.written_last = self.pid_file
        self.extra = ""
        self.env = {
            "DOVECOT_CONF": str(self.config),
            "DOVEADM": program("doveadm", "dovecot-core"),
            "DOVECONF": program("doveconf", "dovecot-core"),
        }

    def configure(self) -> None:
        """Write the config; `extra` stands at its end."""
        services = {
            "imap": (self.imap, _SECURED.format(name="imaps", port=self.imaps)),
            "pop3": (self.pop3, _SECURED.format(name="pop3s", port=0)),
            "managesieve": (self.sieve, ""),
        }
        text = "".join(
            _SERVICE.format(name=name, port=port, secured=secured)
            for name, (port, secured) in services.items()
        ).replace("inet_listener managesieve", "inet_listener sieve")
        self.config.write_text(
            f"base_dir = {self.directory}/run\n"
            f"state_dir = {self.directory}/state\n"
            f"log_path = {self.directory}/mail.log\n"
            "protocols = imap pop3 sieve\n"
            "listen = 127.0.0.1\n"
            "ssl = required\n"
            f"ssl_cert = <{self.cert}\n"
            f"ssl_key = <{self.key}\n"
            "passdb {\n  driver = static\n  args = password=no\n}\n"
            "userdb {\n  driver = static\n  args = uid=nobody gid=nogroup home=/nonexistent\n}\n"
            + text
            + self.extra
        )

    def command(self) -> Sequence[str | Path]:
        """The master process."""
        return [program("dovecot", "dovecot-core"), "-F", "-c", self.config]
