"""Writes what happens: to the renewal log, and wherever else the config says."""

import contextlib
import threading
from collections.abc import Callable
from datetime import datetime
from typing import Protocol

import msgspec

from renewer import clock, words
from renewer.errors import RenewerError, shortage
from renewer.logs.file import LogFile, Rotation
from renewer.model.decision import EventName
from renewer.model.desired import Agent

Event = dict[str, object]
Listener = Callable[[Event], None]
"""Is shown each event as it is written: the screen of a person who watches."""


class Sender(Protocol):
    """Somebody else who is told each event; its text is who. Raises OSError, and never waits."""

    def __call__(self, event: Event) -> None:
        """Take one event."""

    def close(self) -> None:
        """Let go of what was opened."""


_MAX_TEXT = 4000  # characters of a single detail: a hook's output must not swell the log
_NO_ROTATION = Rotation()


class Journal:
    """Writes the events of one run. A log that cannot be written never stops the run: `fault` says why.

    `senders` take each event too; the first thing that goes wrong with each of them is in `faults`.
    """

    def __init__(  # noqa: PLR0913  where and how it is written
        self,
        path: str,
        *,
        host: str,
        run: str,
        listener: Listener | None = None,
        rotation: Rotation = _NO_ROTATION,
        group: str | None = None,
        senders: tuple[Sender, ...] = (),
        state: str = "",
    ) -> None:
        self.path = path
        self.host = host
        self.run = run
        self._state = state  # where traces of defects are kept
        self.fault: str | None = None
        self._listener = listener
        self._senders = senders
        self._refused: dict[Sender, str] = {}
        self._guard = threading.Lock()
        self._file = LogFile(path, rotation, group)

    @classmethod
    def of(cls, agent: Agent, *, run: str, listener: Listener | None = None) -> "Journal":
        """The journal as the config wants it."""
        return cls(
            agent.log_path,
            host=agent.host,
            run=run,
            listener=listener,
            rotation=Rotation(size=agent.log_size, keep=agent.log_keep),
            group=agent.group,
            senders=_senders(agent),
            state=agent.state,
        )

    @property
    def faults(self) -> tuple[str, ...]:
        """Everything that does not take what is told, as sentences."""
        return (*((self.fault,) if self.fault else ()), *self._refused.values())

    def tell(self, event: EventName, certificate: str = "", **details: object) -> None:
        """Write one event; details are words and numbers, never secrets."""
        line: Event = {
            "at": _rfc3339(clock.now()),
            "host": self.host,
            "run": self.run,
            "certificate": certificate,
            "event": event.value,
        }
        line |= {name: _bounded(value) for name, value in details.items() if value not in (None, "")}
        with self._guard:
            try:
                written = msgspec.json.encode(line)
            except UnicodeEncodeError:  # a file's name or a program's words that are no Unicode
                line = {name: _plain(value) for name, value in line.items()}
                written = msgspec.json.encode(line)
            self._write(written + b"\n")
            for sender in self._senders:
                self._send(sender, line)
            self._show(line)

    def show(self, event: EventName, certificate: str = "", **details: object) -> None:
        """Tell only whoever watches: what is of no interest once the run is over."""
        if self._listener:
            self._listener({"event": event.value, "certificate": certificate, **details})

    def trace(self, certificate: str, error: Exception) -> None:
        """Write where a defect of this program is, for who mends it."""
        if want := shortage(error):
            self.tell(EventName.NOTICE, certificate, text=want.text, hint=want.hint)
            return
        import traceback

        from renewer.logs import defects

        if self._state:
            with contextlib.suppress(OSError, RenewerError):
                defects.keep(self._state, error, f"{self.run} {certificate}")
        where = "".join(traceback.format_exception(error))[-_MAX_TEXT:]
        self.tell(EventName.NOTICE, certificate, text=f"defect: {type(error).__name__}", trace=where)

    def close(self) -> None:
        """Bring what was written to the disk."""
        with self._guard:
            try:
                self._file.close()
            except OSError as error:
                self._failed(error)
            for sender in self._senders:
                sender.close()

    def _write(self, line: bytes) -> None:
        try:
            self._file.write(line)
        except OSError as error:
            self._failed(error)
        if self._file.fault is not None and self.fault is None:
            self.fault = f"the renewal log {self.path} cannot be rotated: {self._file.fault.strerror}"

    def _send(self, sender: Sender, line: Event) -> None:
        try:
            sender(line)
        except OSError as error:
            self._refused.setdefault(sender, f"{sender} takes nothing: {error.strerror}")

    def _show(self, line: Event) -> None:
        """A screen that went away (a closed terminal, the end of a pipe) must not end the run either."""
        try:
            if self._listener:
                self._listener(line)
        except (OSError, ValueError):
            self._listener = None

    def _failed(self, error: OSError) -> None:
        self.fault = f"the renewal log {self.path} cannot be written: {error.strerror}"


def _senders(agent: Agent) -> tuple[Sender, ...]:
    """What else the config names; imported only then."""
    found: list[Sender] = []
    if agent.journald:
        from renewer.logs.daemons import Journald

        found.append(Journald())
    if agent.syslog:
        from renewer.logs.daemons import Syslog

        found.append(Syslog())
    return tuple(found)


def _rfc3339(when: datetime) -> str:
    return when.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _plain(value: object) -> object:
    if isinstance(value, str):
        return words.whole(value)
    return value if value is None or isinstance(value, bool | int | float) else _plain(str(value))


def _bounded(value: object) -> object:
    if isinstance(value, str) and len(value) > _MAX_TEXT:
        return value[:_MAX_TEXT] + "…"
    return _rfc3339(value) if isinstance(value, datetime) else value
