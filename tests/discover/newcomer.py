"""A host of somebody who begins: an nginx as Debian brings it, an authority, and nothing of ours."""

import os
import subprocess
import sys
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tests.servers.certificates import Pair, ServerRoot
from tests.servers.own_host import own_host
from tests.servers.pebble import Pebble
from tests.servers.process import Process

NAME = "www.example.org"
CONFIG = Path("/etc/renewer/config.toml")
_CHECKOUT = Path(__file__).resolve().parents[2]
_LIMIT = 120  # seconds for one command


class Newcomer:
    """Files at their usual places, which go with the test; ports 80 and 443 are its own."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._stack = ExitStack()
        self._others = ServerRoot()
        self.authority: Pebble

    def __enter__(self) -> Self:
        with self._stack as stack:
            scratch = self._directory / "scratch"
            scratch.mkdir()
            stack.enter_context(own_host(scratch))
            with Path("/etc/hosts").open("a") as hosts:
                hosts.write(f"127.0.0.1 {NAME} example.org other.example.org\n")
            Path("/var/www/html").mkdir(parents=True, exist_ok=True)
            place = self._directory / "authority"
            place.mkdir()
            profiles = {"default": timedelta(days=90)}
            self.authority = stack.enter_context(
                Pebble(place, profiles=profiles, http_port=80, nonce_reject=0)
            )
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.__exit__(kind, error, trace)

    def start(self, *argv: str, port: int = 80) -> None:
        """Start a web server in the foreground."""
        server = Process(argv, log=self._directory / f"{argv[0]}.log")
        self._stack.callback(server.stop)
        server.wait_for_port(port)

    def nginx(self, site: str | None = None) -> None:
        """Start nginx, with Debian's configuration; `site` takes the place of its default one."""
        if site is not None:
            enabled = Path("/etc/nginx/sites-enabled/default")
            enabled.unlink()
            enabled.write_text(site)
        self.start("nginx", "-g", "daemon off;")

    def issue(self, name: str, **more: Any) -> Pair:
        """A certificate that somebody else had issued."""
        return self._others.issue(self._directory / "others", name, stem=name, **more)

    @property
    def options(self) -> tuple[str, ...]:
        """What `init` must be told of the authority, which no other host has."""
        url = self.authority.directory
        return "--directory", url, "--staging", url, "--ca-bundle", str(self.authority.ca_bundle)

    def run(self, *arguments: str, code: int = 0) -> str:
        """Run our command, with the configuration at its usual place and without a terminal; what it said."""
        ended, said = self.ended(*arguments)
        assert ended == code, said
        return said

    def ended(self, *arguments: str) -> tuple[int, str]:
        """The same: how it ended, and what it said."""
        ended = subprocess.run(
            [sys.executable, "-m", "renewer", *arguments],
            capture_output=True,
            text=True,
            check=False,
            timeout=_LIMIT,
            cwd=_CHECKOUT,
            stdin=subprocess.DEVNULL,
            env={**os.environ, "COLUMNS": "200"},
        )
        said = ended.stdout + ended.stderr
        assert "Traceback" not in said, said
        return ended.returncode, said
