"""Events for the systemd journal, each detail a field that `journalctl RENEWER_CERTIFICATE=www` can find.

By its native protocol: datagrams of fields to a socket (systemd.io/JOURNAL_NATIVE_PROTOCOL).
"""

from collections.abc import Iterator, Mapping

from renewer.logs.datagram import Peer, details, message, priority

SOCKET = "/run/systemd/journal/socket"
_MOST = 60_000  # bytes of a datagram: well below what a socket takes
_LONGEST = 8_000  # bytes of a field


class Journald:
    """Sends events to the journal; raises OSError if it does not take one."""

    def __init__(self, path: str = SOCKET) -> None:
        self._peer = Peer(path)

    def __call__(self, event: Mapping[str, object]) -> None:
        """Send one event."""
        datagram = b""
        for field in _fields(event):
            if len(datagram) + len(field) <= _MOST:
                datagram += field
        self._peer.send(datagram)

    def close(self) -> None:
        """Let go of the socket."""
        self._peer.close()

    def __str__(self) -> str:
        return f"the systemd journal ({self._peer.path})"


def _fields(event: Mapping[str, object]) -> Iterator[bytes]:
    yield _field("MESSAGE", message(event))
    yield _field("PRIORITY", str(priority(event)))
    yield _field("SYSLOG_IDENTIFIER", "renewer")
    for key in ("certificate", "event", "run", "host"):
        if event.get(key):
            yield _field(f"RENEWER_{key.upper()}", str(event[key]))
    for key, value in details(event).items():
        yield _field(f"RENEWER_{key.upper()}", str(value))


def _field(name: str, value: str) -> bytes:
    """`NAME=value`; a value of several lines goes with its length instead."""
    data = value.encode("utf-8", "replace")[:_LONGEST]
    if b"\n" not in data:
        return name.encode() + b"=" + data + b"\n"
    return name.encode() + b"\n" + len(data).to_bytes(8, "little") + data + b"\n"
