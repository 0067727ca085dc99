"""Events for the log daemons of this host: journald and syslog, by datagrams that no log may wait for."""

import errno
import os
import socket
from collections.abc import Iterator, Mapping

from renewer import clock, words
from renewer.model.decision import EventName

_ERROR, _WARNING, _NOTICE, _INFO = 3, 4, 5, 6  # RFC 5424 §6.2.1
_PERSON = 3
_HEAD = ("at", "host", "run", "certificate", "event")
_FIRST = ("text", "error")  # what says most


class Peer:
    """A datagram socket of the host's; `path` is where it is. Sending raises OSError, and never waits."""

    def __init__(self, path: str) -> None:
        self.path = path
        self._socket: socket.socket | None = None

    def close(self) -> None:
        """Let go of the socket."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def send(self, datagram: bytes) -> None:
        """Send it. A daemon that was started anew has a new socket at the same path: tried once more."""
        if self._socket is not None:
            try:
                self._socket.send(datagram)
            except (ConnectionError, FileNotFoundError):
                self.close()
            except BlockingIOError:
                raise _busy() from None
            else:
                return
        self._socket = self._connected()
        try:
            self._socket.send(datagram)
        except BlockingIOError:
            raise _busy() from None

    def _connected(self) -> socket.socket:
        made = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        try:
            made.setblocking(False)
            made.connect(self.path)
        except OSError:
            made.close()
            raise
        return made


def _busy() -> OSError:
    return OSError(errno.EAGAIN, "it is too busy, and a run does not wait for it")


def priority(event: Mapping[str, object]) -> int:
    """The syslog severity: 3 for what failed, down to 6 for what just happens."""
    match event.get("event"):
        case EventName.FAILED:
            return _ERROR
        case EventName.RUN_FINISHED if event.get("exit") == _PERSON:
            return _ERROR
        case EventName.ROLLED_BACK:
            return _WARNING
        case EventName.NOTICE | EventName.RENEWED | EventName.RECOVERED:
            return _NOTICE
    return _INFO


def details(event: Mapping[str, object]) -> dict[str, object]:
    """What an event says beyond the keys that all have; what says most comes first."""
    rest = {key: value for key, value in event.items() if key not in _HEAD}
    return {key: rest[key] for key in (*(key for key in _FIRST if key in rest), *rest)}


def message(event: Mapping[str, object]) -> str:
    """One line for people: "www: issued authority=letsencrypt took_ms=812"."""
    name = f"{event['certificate']}: " if event.get("certificate") else ""
    told = [f"{name}{event.get('event')}"]
    for key, value in details(event).items():
        text = " ".join(str(value).split())
        told.append(text if key in _FIRST else f'{key}="{text}"' if " " in text else f"{key}={text}")
    return " ".join(told)


JOURNALD = "/run/systemd/journal/socket"
_MOST_FIELDS = 60_000  # bytes of a datagram: well below what a socket takes
_LONGEST = 8_000  # bytes of a field


class Journald:
    """Sends events to the journal; raises OSError if it does not take one."""

    def __init__(self, path: str = JOURNALD) -> None:
        self._peer = Peer(path)

    def __call__(self, event: Mapping[str, object]) -> None:
        """Send one event."""
        datagram = b""
        for field in _fields(event):
            if len(datagram) + len(field) <= _MOST_FIELDS:
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


SYSLOG = "/dev/log"
_DAEMON = 3  # the facility
_MOST = 2_000  # bytes of a line: more than RFC 3164 promises, less than any daemon refuses
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


class Syslog:
    """Sends events to the daemon; raises OSError if it does not take one."""

    def __init__(self, path: str = SYSLOG) -> None:
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
