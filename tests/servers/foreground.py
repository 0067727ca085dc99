"""The servers that a hook is for and that differ in their config only: one process in the foreground each."""

import os
import shutil
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Self

from .handshake import wait_until
from .ports import free_port, release
from .process import Process, ServerFailedError


def program(name: str, package: str) -> str:
    """Where a server's program lies."""
    found = shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")
    if found is None:
        raise ServerFailedError(f"{package} is not installed; run: tests/setup.sh test")
    return found


class Foreground(ABC):
    """A server whose config is written anew at each start; `env` is what makes its hook address it.

    `port` is the one that is looked at first; `ports` are all; `written_last` is a file that a hook needs,
    if it comes after the ports; `patience` is for a polite end.
    """

    env: Mapping[str, str] = {}
    patience: float = 5  # seconds

    def __init__(self, directory: Path, cert: Path, key: Path, *, ports: int = 1) -> None:
        """Prepare one that reads this chain and key; `start` starts it."""
        self.directory = directory
        self.cert = cert
        self.key = key
        self.ports = tuple(free_port() for _ in range(ports))
        self.port = self.ports[0]
        self.log = directory / "server.log"
        self.written_last: Path | None = None
        self._process: Process | None = None

    @abstractmethod
    def configure(self) -> None:
        """Write what it needs below `directory`, which is there."""

    @abstractmethod
    def command(self) -> Sequence[str | Path]:
        """What to run."""

    def start(self) -> Self:
        """Write the config, start it, and return when its ports accept connections and a hook can find it."""
        self.directory.mkdir(parents=True, exist_ok=True)
        if self.written_last:
            self.written_last.unlink(missing_ok=True)
        self.configure()
        self._process = Process(self.command(), log=self.log, cwd=self.directory)
        for port in self.ports:
            self._process.wait_for_port(port)
        if self.written_last:
            wait_until(lambda: bool(_content(self.written_last)), what=f"{self.written_last}")
        return self

    def stop(self) -> None:
        """End it; the ports stay its own, for it may be started again."""
        if self._process is not None:
            self._process.stop(timeout=self.patience)
            self._process = None

    def close(self) -> None:
        """End it for good."""
        self.stop()
        release(*self.ports)

    @property
    def pid(self) -> int:
        """The main process's id."""
        if self._process is None:
            raise ServerFailedError("it is not running")
        return self._process.pid

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.close()


def _content(path: Path | None) -> str:
    return path.read_text().strip() if path and path.exists() else ""
