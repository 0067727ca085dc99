"""One program started for a test: waited for, logged to a file, and ended without anything left behind.

A program goes when the test stops it, when Python exits, and when Python is killed: the kernel then sends it
SIGTERM (setpriv's --pdeathsig; a wrapper, because code run between fork and exec is unsafe in a process with
threads). The signal comes when the *thread* that started the program ends: start them from the main thread.
"""

import atexit
import contextlib
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Self

_POLL = 0.003
_TAIL = 2000

_alive: list["Process"] = []


class ServerFailedError(RuntimeError):
    """A server did not start, did not answer in time, or ended by itself; carries the end of its log."""


class Process:
    """A running program and the process group that it leads."""

    def __init__(
        self,
        argv: Sequence[str | Path],
        *,
        log: Path,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
    ) -> None:
        """Start `argv`; its output goes to the end of `log`, `env` is added to this process's environment."""
        setpriv = shutil.which("setpriv")
        if setpriv is None:
            raise ServerFailedError("setpriv is missing (Debian's package util-linux)")
        self.argv = tuple(str(word) for word in argv)
        self.log = log
        with log.open("ab") as output:
            self._popen = subprocess.Popen(
                [setpriv, "--pdeathsig", "TERM", "--", *self.argv],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=cwd,
                env={**os.environ, **(env or {})},
                # A group of its own: Ctrl-C reaches pytest alone, and stopping reaches all that it started.
                start_new_session=True,
            )
        self._ended = False
        _alive.append(self)

    @property
    def pid(self) -> int:
        """The process id; setpriv becomes the program, so it is the program's own."""
        return self._popen.pid

    @property
    def alive(self) -> bool:
        """Whether the program is still running."""
        return self._popen.poll() is None

    def wait_for_port(self, port: int, *, host: str = "127.0.0.1", timeout: float = 60) -> None:
        """Wait until something accepts connections on `port`; fail at once if the program ends first."""
        deadline = time.monotonic() + timeout
        while True:
            if not self.alive:
                raise ServerFailedError(
                    f"{self._name} ended with {self._popen.returncode}:\n{self.log_tail()}"
                )
            if accepts(port, host=host):
                return
            if time.monotonic() > deadline:
                tail = self.log_tail()
                self.stop()
                raise ServerFailedError(
                    f"{self._name} did not listen on {host}:{port} in {timeout} s:\n{tail}"
                )
            time.sleep(_POLL)

    def wait_for_log(self, *texts: str, timeout: float = 60) -> None:
        """Wait until the log holds one of these texts; fail at once if the program ends first."""
        deadline = time.monotonic() + timeout
        while not any(text.encode() in self.log.read_bytes() for text in texts):
            if not self.alive or time.monotonic() > deadline:
                tail = self.log_tail()
                self.stop()
                raise ServerFailedError(f"{self._name} never said {' or '.join(texts)}:\n{tail}")
            time.sleep(_POLL)

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the program itself (not to its group)."""
        if self.alive:
            self._popen.send_signal(number)

    def wait(self, timeout: float = 60) -> int:
        """Wait for the program to end by itself and return its exit status."""
        return self._popen.wait(timeout)

    def stop(self, *, timeout: float = 5) -> None:
        """End it politely, by force when that takes too long, and then whatever is left of its group."""
        if self.alive:
            self._popen.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._popen.wait(timeout)
        self.kill()

    def kill(self) -> None:
        """End the whole group at once, as a crash would."""
        if self._ended:
            return  # its number may be another's by now
        self._ended = True
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        self._popen.wait()
        _alive.remove(self)

    def log_tail(self) -> str:
        """The end of the log, for messages."""
        try:
            return self.log.read_bytes()[-_TAIL:].decode(errors="replace")
        except OSError as error:
            return f"(no log: {error})"

    @property
    def _name(self) -> str:
        return Path(self.argv[0]).name

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


def accepts(port: int, *, host: str = "127.0.0.1") -> bool:
    """Whether a TCP connection to the port is accepted."""
    try:
        with socket.create_connection((host, port), timeout=1):
            return True
    except OSError:
        return False


@atexit.register
def stop_all() -> None:
    """End every program still running; also a test session that broke off ends clean."""
    for process in tuple(_alive):
        process.kill()
