"""Unbound: DNS over TLS, kept running by a shell that starts it again whenever it ends."""

from collections.abc import Sequence
from pathlib import Path

from .foreground import Foreground, program

_KEEPER = """\
#!/bin/sh
trap 'kill "$child"; wait; exit' TERM
while :; do
    '{unbound}' -d -c '{config}' &
    child=$!
    wait
done
"""
_RESTART = """\
#!/bin/sh
# Ends the one that runs, if any; the keeper starts the next, which writes its pid when its ports are open.
old=$(cat '{pid_file}')
kill "$old" 2>/dev/null
until new=$(cat '{pid_file}' 2>/dev/null) && [ -n "$new" ] && [ "$new" != "$old" ] && [ -d "/proc/$new" ]; do
    sleep 0.02
done
"""


class Unbound(Foreground):
    """One resolver that knows a single name."""

    def __init__(self, directory: Path, cert: Path, key: Path) -> None:
        """Prepare it."""
        super().__init__(directory, cert, key)
        self.config = directory / "unbound.conf"
        self.pid_file = directory / "unbound.pid"
        self.written_last = self.pid_file  # its ports are open before it has read its key
        self.restart = directory / "restart"
        self.env = {"UNBOUND_CONF": str(self.config), "UNBOUND_RESTART": str(self.restart)}

    def configure(self) -> None:
        """Write the config and the two scripts."""
        self.config.write_text(
            "server:\n"
            f'  chroot: ""\n  directory: "{self.directory}"\n  username: ""\n  pidfile: "{self.pid_file}"\n'
            f"  interface: 127.0.0.1@{self.port}\n  tls-port: {self.port}\n"
            f'  tls-service-pem: "{self.cert}"\n  tls-service-key: "{self.key}"\n'
            '  do-daemonize: no\n  use-syslog: no\n  logfile: ""\n  module-config: "iterator"\n'
            '  local-zone: "example." static\n'
            "remote-control:\n"
            f"  control-enable: yes\n  control-use-cert: no\n  control-interface: {self.directory}/control\n"
        )
        words = {"unbound": program("unbound", "unbound"), "config": self.config, "pid_file": self.pid_file}
        for path, text in ((self.directory / "keeper", _KEEPER), (self.restart, _RESTART)):
            path.write_text(text.format(**words))
            path.chmod(0o755)

    def command(self) -> Sequence[str | Path]:
        """The keeper."""
        return [self.directory / "keeper"]
