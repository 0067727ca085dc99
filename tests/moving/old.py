"""State of other clients, made by the real ones against Pebble; acme.sh's as its documentation says."""

import base64
import os
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import pytest

from renewer.issue import dns01
from renewer.network.dns.messages import RecordPlace
from tests.agent import Agent, Table
from tests.e2e.runner import Ran, Runner, Task
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


@contextmanager
def without_zones() -> Iterator[None]:
    """Around a command: records are not looked for in zones, since Pebble's DNS has none."""

    def place(_: object, asked: str) -> RecordPlace:
        return RecordPlace(asked=asked, name=asked, zone="")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(dns01.Dns01Solver, "_place", place)
        patch.setattr(dns01.Dns01Solver, "_look_up", lambda *_: None)
        patch.setattr(dns01.Dns01Solver, "wait", lambda *_: None)
        yield


class Certbot:
    """certbot (Debian 12's is 2.1; the later one is 5.8) with a configuration directory of its own."""

    def __init__(self, directory: Path, pebble: Pebble, program: str | Path = "certbot") -> None:
        self.directory = directory
        self._program = program
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
        return call(self._program, *arguments, *where, *logs, env=env, code=code)

    def certonly(self, name: str, *arguments: str | Path) -> None:
        """Obtain a certificate, by webroot unless told otherwise."""
        how = arguments or ("--webroot", "-w", self.webroot)
        server = ("--server", self._pebble.directory, "--agree-tos", "-m", "ops@example.org")
        domain = name.lower().replace("_", "-")
        self.run("certonly", "--cert-name", name, "-d", domain, *how, *server)


@dataclass(slots=True)
class Newcomer(Agent):
    """An agent whose config reads conf.d; with a runner its commands can be killed at any change."""

    runner: Runner | None = None

    def run(self, *arguments: str, fault: str = "", at: int = 0, places: Sequence[Path] = ()) -> Ran:
        """Run the command, with something that happens at a mutation below the state or these places."""
        assert self.runner is not None
        below = [str(self.state), *map(str, places)]
        words = ["--config", str(self.write()), *arguments]
        return self.runner.run(Task(words, below, str(self.state), fault=fault, at=at))

    @classmethod
    def at(cls, directory: Path, pebble: Pebble, runner: Runner | None = None) -> Self:
        """One that knows how to reach Pebble, and looks at no port."""
        (directory / "conf.d").mkdir(parents=True)
        authority = {
            "directory": pebble.directory,
            "ca_bundle": str(pebble.ca_bundle),
            "agree_terms": True,
            "profile": "default",
            "roots": "any",
        }
        tables: dict[str, Table] = {"authority.pebble": authority, "defaults": {"endpoints": []}}
        return cls(directory, tables, runner=runner)

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


_VENV = Path(__file__).parents[2] / ".venv"
LATER_LEGO = _VENV / "lego/lego"
LATER_CERTBOT = _VENV / "certbot/bin/certbot"


class Lego:
    """lego (Debian 12's is 4.9; the later one is 4.35), with a certificate."""

    def __init__(self, home: Path, pebble: Pebble, program: str | Path = "lego") -> None:
        self.home = home
        self._pebble = pebble
        self._program = program

    def run(self, verb: str, *arguments: str, name: str = "a.example.org", code: int | None = 0) -> str:
        """One call about a name."""
        where = ("--path", self.home, "--server", self._pebble.directory, "--email", "ops@example.org")
        how = ("--accept-tos", "--http", "--http.webroot", self.home, "--domains", name)
        env = {"LEGO_CA_CERTIFICATES": str(self._pebble.ca_bundle)}
        return call(self._program, *where, *how, verb, *arguments, env=env, code=code)

    def renew(self) -> str:
        """Renew it, due or not."""
        return self.run("renew", "--days", "1000", "--no-random-sleep")


class Dehydrated:
    """Debian's dehydrated, with one certificate of two names under an alias."""

    def __init__(self, home: Path) -> None:
        self.home = home

    def set_up(self, pebble: Pebble) -> None:
        """Its configuration, account and certificate."""
        (self.home / "tokens").mkdir()
        (self.home / "config").write_text(
            f'CA="{pebble.directory}"\nBASEDIR={self.home}\nWELLKNOWN="${{BASEDIR}}/tokens"\n'
            f'CONTACT_EMAIL=ops@example.org\nCURL_OPTS="--cacert {pebble.ca_bundle}"\nKEY_ALGO=prime256v1\n'
            "ACCOUNT_KEYSIZE=2048\n"
        )
        (self.home / "domains.txt").write_text("d.example.org www.d.example.org > shop\nother.example.org\n")
        self.run("--register", "--accept-terms")
        self.run("-c", "-d", "d.example.org www.d.example.org > shop")

    def run(self, *arguments: str | Path, code: int | None = 0) -> str:
        """One call."""
        return call("dehydrated", "-f", self.home / "config", *arguments, code=code)


def acme_sh(home: Path, certbot: Certbot, pebble: Pebble, *lines: str) -> Path:
    """What acme.sh would have left, with certbot's certificate and account."""
    here = home / "shop.example.org_ecc"
    here.mkdir(parents=True)
    live = certbot.config / "live/www.example.org"
    (here / "shop.example.org.key").write_bytes((live / "privkey.pem").read_bytes())
    for name, part in (("fullchain", "fullchain"), ("ca", "chain"), ("shop.example.org", "cert")):
        (here / f"{name}.cer").write_bytes((live / f"{part}.pem").read_bytes())
    reload = base64.b64encode(b"touch /tmp/it's-not; true").decode()
    usual = [
        "Le_Domain='shop.example.org'",
        f"Le_API='{pebble.directory}'",
        "Le_Keylength='ec-256'",
        "Le_Webroot='/srv/www'",
        f"Le_ReloadCmd='__ACME_BASE64__START_{reload}__ACME_BASE64__END_'",
        f"Le_RealFullChainPath='{home}/installed.pem'",
        f"Le_RealKeyPath='{home}/installed.key'",
    ]
    (here / "shop.example.org.conf").write_text("\n".join([*usual, *lines]) + "\n")
    (home / "account.conf").write_text("SAVED_CF_Token='s3cret'\nUSER_PATH='/usr/bin'\n")
    return home
