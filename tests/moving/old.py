"""State of other clients, made by the real ones against Pebble."""

import os
import shutil
import subprocess
from pathlib import Path
from typing import Self

from tests.agent import Agent
from tests.servers.pebble import Pebble
from tests.servers.ports import free_port

_LIMIT = 120  # seconds for one call of a client


def call(*argv: str | Path, env: dict[str, str] | None = None, code: int | None = 0) -> str:
    """Run a client to its end; what it said."""
    ended = subprocess.run(
        [str(one) for one in argv],
        capture_output=True,
        text=True,
        timeout=_LIMIT,
        check=False,
        stdin=subprocess.DEVNULL,
        env={**os.environ, **(env or {})},
    )
    said = ended.stdout + ended.stderr
    assert code is None or ended.returncode == code, said
    return said


class Certbot:
    """Debian's certbot with a configuration directory of its own."""

    def __init__(self, directory: Path, pebble: Pebble) -> None:
        self.directory = directory
        self.config = directory / "letsencrypt"
        self.webroot = directory / "webroot"
        self.webroot.mkdir(parents=True)
        self.port = free_port()
        self._pebble = pebble

    def run(self, *arguments: str | Path, code: int | None = 0) -> str:
        """One call."""
        where = ("--config-dir", self.config, "--work-dir", self.directory / "work")
        logs = ("--logs-dir", self.directory / "logs", "--non-interactive")
        env = {"REQUESTS_CA_BUNDLE": str(self._pebble.ca_bundle)}
        return call("certbot", *arguments, *where, *logs, env=env, code=code)

    def certonly(self, name: str, *arguments: str | Path) -> None:
        """Obtain a certificate, by webroot unless told otherwise."""
        how = arguments or ("--webroot", "-w", self.webroot)
        server = ("--server", self._pebble.directory, "--agree-tos", "-m", "ops@example.org")
        domain = name.lower().replace("_", "-")
        self.run("certonly", "--cert-name", name, "-d", domain, *how, *server)


class Newcomer(Agent):
    """An agent whose config reads conf.d."""

    @classmethod
    def at(cls, directory: Path, pebble: Pebble) -> Self:
        """One that knows how to reach Pebble, and looks at no port."""
        (directory / "conf.d").mkdir(parents=True)
        authority = {
            "directory": pebble.directory,
            "ca_bundle": str(pebble.ca_bundle),
            "agree_terms": True,
            "profile": "default",
            "roots": "any",
        }
        return cls(directory, {"authority.pebble": authority, "defaults": {"endpoints": []}})

    def write(self) -> Path:
        """Write the config as the tables stand now; its path."""
        config = Agent.write(self)
        config.write_text(f'include = ["conf.d/*.toml"]\n{config.read_text()}')
        return config

    @property
    def files_of_config(self) -> list[str]:
        """The names of the files below conf.d."""
        return sorted(path.name for path in (self.directory / "conf.d").iterdir())


def copied(source: Path, target: Path) -> Path:
    """A copy of a client's state, links as links."""
    shutil.copytree(source, target, symlinks=True)
    return target
