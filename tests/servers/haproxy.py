"""haproxy: a load balancer before other servers, with a config of the test's."""

import os
import shutil
import subprocess
from pathlib import Path
from typing import Self

from .process import Process, ServerFailedError


def program(name: str, package: str) -> str:
    """Where a server's program lies."""
    found = shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")
    if found is None:
        raise ServerFailedError(f"{package} is not installed; run: tests/setup.sh test")
    return found


class Haproxy:
    """One haproxy in the foreground, listening on the ports that its config says."""

    def __init__(self, directory: Path, config: str, *ports: int) -> None:
        """Prepare it; `start` starts it and waits for the ports."""
        self._config = directory / "haproxy.cfg"
        self._log = directory / "haproxy.log"
        self._ports = ports
        self._text = config
        self._process: Process | None = None

    def start(self) -> Self:
        """Write the config, start it and return when all its ports accept connections."""
        self._config.write_text(self._text)
        self._process = Process([program("haproxy", "haproxy"), "-db", "-f", self._config], log=self._log)
        for port in self._ports:
            self._process.wait_for_port(port)
        return self

    def test(self) -> "subprocess.CompletedProcess[str]":
        """Run `haproxy -c`."""
        self._config.write_text(self._text)
        argv = [program("haproxy", "haproxy"), "-c", "-f", str(self._config)]
        return subprocess.run(argv, capture_output=True, text=True, timeout=30, check=False)

    def stop(self) -> None:
        """End it."""
        if self._process is not None:
            self._process.stop()
            self._process = None

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()
