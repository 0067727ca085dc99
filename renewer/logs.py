"""The renewal log: JSON Lines, an event a line, written as it happens, safe on disk when the run ends."""

import os
import threading
from collections.abc import Callable
from datetime import datetime

import msgspec

from renewer import clock
from renewer.model.outcome import EventName

Listener = Callable[[dict[str, object]], None]
"""Is shown each event as it is written: the screen of a person who watches."""

MODE = 0o640
_MAX_TEXT = 4000  # characters of a single detail: a hook's output must not swell the log


class Journal:
    """Writes the events of one run. A log that cannot be written never stops the run: `fault` says why.

    Every line is one write to a file opened for appending, and the path is opened anew when logrotate has
    moved it away, so no line is ever lost or torn.
    """

    def __init__(self, path: str, *, host: str, run: str, listener: Listener | None = None) -> None:
        self.path = path
        self.host = host
        self.run = run
        self.fault: str | None = None
        self._listener = listener
        self._guard = threading.Lock()
        self._file: int | None = None

    def tell(self, event: EventName, certificate: str = "", **details: object) -> None:
        """Write one event; details are words and numbers, never secrets."""
        line: dict[str, object] = {
            "at": _rfc3339(clock.now()),
            "host": self.host,
            "run": self.run,
            "certificate": certificate,
            "event": event.value,
        }
        line |= {name: _bounded(value) for name, value in details.items() if value not in (None, "")}
        with self._guard:
            self._write(msgspec.json.encode(line) + b"\n")
            self._show(line)

    def show(self, event: EventName, certificate: str = "", **details: object) -> None:
        """Tell only whoever watches: what is of no interest once the run is over."""
        if self._listener:
            self._listener({"event": event.value, "certificate": certificate, **details})

    def _show(self, line: dict[str, object]) -> None:
        """A screen that went away (a closed terminal, the end of a pipe) must not end the run either."""
        try:
            if self._listener:
                self._listener(line)
        except (OSError, ValueError):
            self._listener = None

    def trace(self, certificate: str, error: Exception) -> None:
        """Write where a defect of this program is, for who mends it."""
        import traceback

        where = "".join(traceback.format_exception(error))[-_MAX_TEXT:]
        self.tell(EventName.NOTICE, certificate, text=f"defect: {type(error).__name__}", trace=where)

    def close(self) -> None:
        """Bring what was written to the disk."""
        with self._guard:
            if self._file is not None:
                try:
                    os.fsync(self._file)
                except OSError as error:
                    self._failed(error)
                os.close(self._file)
                self._file = None

    def _write(self, line: bytes) -> None:
        try:
            file = self._current()
            written = os.write(file, line)
            if written < len(
                line
            ):  # a full disk took a part: end the torn line, so that the next one is whole
                os.write(file, b"\n")
        except OSError as error:
            self._failed(error)

    def _current(self) -> int:
        """The file that stands at the path now: opened anew if logrotate took the one we had."""
        if self._file is not None:
            try:
                there, ours = os.stat(self.path), os.fstat(self._file)
                if (there.st_ino, there.st_dev) == (ours.st_ino, ours.st_dev):
                    return self._file
            except FileNotFoundError:
                pass
            os.close(self._file)
            self._file = None
        os.makedirs(os.path.dirname(self.path) or ".", mode=0o750, exist_ok=True)
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
        self._file = os.open(self.path, flags, MODE)
        return self._file

    def _failed(self, error: OSError) -> None:
        self.fault = f"the renewal log {self.path} cannot be written: {error.strerror}"


def _rfc3339(when: datetime) -> str:
    return when.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _bounded(value: object) -> object:
    if isinstance(value, str) and len(value) > _MAX_TEXT:
        return value[:_MAX_TEXT] + "…"
    return _rfc3339(value) if isinstance(value, datetime) else value
