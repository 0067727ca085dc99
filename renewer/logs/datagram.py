"""Datagrams to a log daemon on this host: sent at once or not at all, for no log may hold up a run."""

import errno
import socket
from collections.abc import Mapping

from renewer.model.outcome import EventName

_LOUD: Mapping[object, int] = {
    EventName.FAILED: 3,
    EventName.ROLLED_BACK: 4,
    EventName.NOTICE: 5,
    EventName.RENEWED: 5,
    EventName.RECOVERED: 5,
}
_INFO = 6
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
    if event.get("event") == EventName.RUN_FINISHED and event.get("exit") == _PERSON:
        return _LOUD[EventName.FAILED]
    return _LOUD.get(event.get("event"), _INFO)


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
