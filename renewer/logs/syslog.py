"""Events for the host's syslog daemon, a line each, framed as the C library does it (RFC 3164 §4.1).

Not as RFC 5424 says: what listens at /dev/log takes that for text, if it is journald.
"""

import os
from collections.abc import Mapping

from renewer import clock, words
from renewer.logs.datagram import Peer, message, priority

SOCKET = "/dev/log"
_DAEMON = 3  # the facility
_MOST = 2_000  # bytes of a line: more than RFC 3164 promises, less than any daemon refuses
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


class Syslog:
    """Sends events to the daemon; raises OSError if it does not take one."""

    def __init__(self, path: str = SOCKET) -> None:
        self._peer = Peer(path)

    def __call__(self, event: Mapping[str, object]) -> None:
        """Send one event; the run's id stands in each line, as in the renewal log."""
        now = clock.now().astimezone()  # RFC 3164 §4.1.2: the local time, without its zone
        stamp = f"{_MONTHS[now.month - 1]} {now.day:2d} {now:%H:%M:%S}"
        text = f"{message(event)} run={event.get('run')}"
        text = words.clean(" ".join(text.splitlines()), " ")
        line = f"<{_DAEMON * 8 + priority(event)}>{stamp} renewer[{os.getpid()}]: {text}"
        self._peer.send(line.encode("utf-8", "replace")[:_MOST])

    def close(self) -> None:
        """Let go of the socket."""
        self._peer.close()

    def __str__(self) -> str:
        return f"syslog ({self._peer.path})"
