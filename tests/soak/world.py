"""The world of a soak: two authorities, a web server, a DNS server, a small disk, the agent among them."""

import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any, Self
from urllib.request import urlopen

import dns.flags
import dns.message
import dns.rdatatype
import dns.rrset

from tests import toml
from tests.servers.bendable import Bendable, Window, last_third
from tests.servers.certificates import ServerRoot
from tests.servers.nginx import Nginx
from tests.servers.ports import free_port, release
from tests.servers.scripted_dns import ScriptedDns
from tests.soak.runs import ForkedRuns, Ran, RealRuns, Task
from tests.soak.times import InjectedClock, WorldClock

DOMAIN = "soak.test"
_FIRST = timedelta(minutes=61)
DISK = 8  # MiB of the file system that holds the state directory


@dataclass(frozen=True, slots=True)
class Pace:
    """How fast a world lives. `lives` are the lifetimes of the profiles `short`, `middle` and `long`.

    `wake` passes between two runs; `settled` (for the profile `short`) is how long after the last fault
    all must be well again, by the numbers of the policy; `runs` as many runs at least.
    """

    lives: tuple[timedelta, timedelta, timedelta]
    wake: timedelta
    look: timedelta
    settled: timedelta
    runs: int = 6


REAL = Pace(
    lives=(timedelta(seconds=240), timedelta(seconds=300), timedelta(seconds=600)),
    wake=timedelta(seconds=3),
    look=timedelta(minutes=1),
    settled=timedelta(seconds=200),
    runs=10,
)
MONTHS = Pace(
    lives=(timedelta(days=6), timedelta(days=10), timedelta(days=24)),
    wake=timedelta(hours=8),
    look=timedelta(hours=1),
    settled=timedelta(days=4.5),
)


@dataclass(slots=True)
class Wish:
    """What the configuration says of a certificate at the moment."""

    names: list[str]
    authorities: list[str]
    hooks: list[str]
    profile: str
    key: str = "ecdsa-p256"
    solver: str = "web"
    copied: bool = False

    @property
    def first(self) -> str:
        """The name that the web server knows it by."""
        return self.names[0]


def wishes() -> dict[str, Wish]:
    """The certificates as they are in the beginning."""
    return {
        "www": Wish([f"www.{DOMAIN}"], ["a", "b"], ["nginx"], "short"),
        "api": Wish([f"api.{DOMAIN}"], ["b", "a"], ["nginx", "tally"], "long"),
        "shop": Wish([f"shop.{DOMAIN}"], ["a"], ["nginx"], "short", copied=True),
        "dns": Wish([f"dns.{DOMAIN}", f"*.dns.{DOMAIN}"], ["b"], ["nginx"], "middle", solver="dns"),
    }


@dataclass(slots=True)
class World:
    """All of it; a context manager. The switches are for the faults."""

    directory: Path
    clock: WorldClock
    pace: Pace
    wishes: dict[str, Wish] = field(default_factory=wishes)
    skew: timedelta = timedelta(0)
    """How far the agent's clock is ahead of the world's."""
    web_broken: bool = False
    """The web server's plain port leads elsewhere, as the authorities see it."""
    dns_says: str = ""
    """Instead of answering rightly: silence, servfail, nothing."""
    tables: dict[str, dict[str, Any]] = field(default_factory=dict)
    """What else stands in the configuration."""
    config_text: str | None = None
    """The configuration's text, where it is broken."""
    authorities: dict[str, Bendable] = field(init=False)
    nginx: Nginx = field(init=False)
    runs: RealRuns | ForkedRuns = field(init=False)
    mounted: bool = False
    windows: Mapping[str, Window | None] = field(default_factory=lambda: {"a": last_third, "b": None})
    """What renewal windows the authorities suggest when all is well: one does, one does not."""
    _dns: ScriptedDns = field(init=False)
    _dns_port: int = field(init=False)
    _closing: ExitStack = field(default_factory=ExitStack)

    # --- where things are -------------------------------------------------------------------------------

    @property
    def disk(self) -> Path:
        """The small file system."""
        return self.directory / "disk"

    @property
    def state(self) -> Path:
        """The state directory."""
        return self.disk / "state"

    @property
    def copies(self) -> Path:
        """Where the copies of `shop` lie."""
        return self.directory / "copies"

    @property
    def records(self) -> Path:
        """Where the script publishes TXT records: a file a name."""
        return self.directory / "records"

    @property
    def ballast(self) -> Path:
        """What fills the disk when it is full."""
        return self.disk / "ballast"

    @property
    def config(self) -> Path:
        """The configuration."""
        return self.directory / "config.toml"

    def live(self, certificate: str) -> Path:
        """The link."""
        return self.state / "certificates" / certificate / "live"

    def served_from(self, certificate: str) -> tuple[Path, Path]:
        """The files that the web server reads: chain and key."""
        if self.wishes[certificate].copied:
            return self.copies / f"{certificate}.pem", self.copies / f"{certificate}.key"
        return self.live(certificate) / "fullchain.pem", self.live(certificate) / "privkey.pem"

    # --- a life -----------------------------------------------------------------------------------------

    def __enter__(self) -> Self:
        try:
            return self._begin()
        except BaseException:
            self._closing.close()
            raise

    def __exit__(self, *_: object) -> None:
        self._closing.close()

    def _begin(self) -> Self:
        for place in (self.disk, self.copies, self.records):
            place.mkdir(parents=True)
        self._mount()
        injected = isinstance(self.clock, InjectedClock)
        self.runs = ForkedRuns() if injected else RealRuns()
        self._closing.enter_context(self.runs)
        self.authorities = {
            name: self._closing.enter_context(Bendable(self.directory / name, clock=self.clock.now))
            for name in ("a", "b")
        }
        for name, authority in self.authorities.items():
            self._settle(name, authority)
        self._dns_port = free_port()
        self._closing.callback(release, self._dns_port)
        self._dns = self._closing.enter_context(ScriptedDns(self._answer, port=self._dns_port))
        sites = {wish.first: self.served_from(name) for name, wish in self.wishes.items()}
        self.nginx = Nginx(self.directory / "nginx", sites)
        self.nginx.webroot.mkdir(parents=True)
        self._closing.callback(self.nginx.stop)
        self._scripts()
        for name, wish in self.wishes.items():
            if wish.copied:
                # It ends before ours: a copy that somebody replaced by a later one would be left alone
                pair = ServerRoot().issue(self.copies, wish.first, stem=name, valid_for=_FIRST)
                assert (pair.cert, pair.key) == self.served_from(name)
        self.write_config()
        # The first run makes placeholders, then the web server can begin: as the documentation says.
        first = self.run_once("run", "--steps", "install")
        assert first.code in (0, 1), first
        self.nginx.start()
        return self

    def _settle(self, name: str, authority: Bendable) -> None:
        authority.profiles = dict(zip(("short", "middle", "long"), self.pace.lives, strict=True))
        authority.signer.shape.backdated = self.pace.lives[0] / 240
        authority.order_life = self.pace.lives[0]
        authority.window = self.windows[name]
        authority.window_again = self.pace.lives[0] / 24
        authority.validate = self._validate
        authority.roots()

    def _mount(self) -> None:
        """A small file system for the state; where it cannot be mounted, a plain directory."""
        if os.geteuid() != 0 or not Path("/usr/bin/mount").exists():
            return
        options = f"size={DISK}m,mode=0700"
        mounting = ["/usr/bin/mount", "-t", "tmpfs", "-o", options, "renewer-soak", str(self.disk)]
        self.mounted = subprocess.run(mounting, capture_output=True, check=False).returncode == 0
        if self.mounted:
            unmount = ["/usr/bin/umount", "-l", str(self.disk)]
            self._closing.callback(subprocess.run, unmount, capture_output=True, check=False)

    def _scripts(self) -> None:
        _script(
            self.directory / "publish.sh",
            f"[ ! -e {self.directory}/publish-fails ] || {{ echo 'the provider is away' >&2; exit 1; }}",
            f'file={self.records}/"${{2%.}}"',
            'case $1 in present) echo "$3" >>"$file" ;; *)',
            '  grep -vxF -e "$3" "$file" >"$file.new" 2>/dev/null',
            '  if [ -s "$file.new" ]; then mv "$file.new" "$file"; else rm -f "$file" "$file.new"; fi ;;',
            "esac",
        )
        _script(
            self.directory / "tally.sh",
            f"[ ! -e {self.directory}/tally-hangs ] || exec sleep 600",
            f"[ ! -e {self.directory}/tally-fails ] || exit 1",
        )

    # --- the configuration ------------------------------------------------------------------------------

    def write_config(self) -> None:
        """As everything stands now."""
        text = self.config_text if self.config_text is not None else self._text()
        draft = self.config.with_suffix(".draft")
        draft.write_text(text)
        draft.chmod(0o600)
        draft.rename(self.config)

    def _text(self) -> str:
        seconds = max(int(self.pace.wake.total_seconds()), 60)
        tables: dict[str, dict[str, Any]] = {
            "agent": {
                "state": self.state,
                "host": "web-1",
                "preflight": "off",
                "wake": f"{seconds}s",
                "deadline": "60s",
                "look_every": f"{int(self.pace.look.total_seconds())}s",
                "workers": 4,
                "log_size": "256K",
                "log_keep": 2,
            },
            "challenge.web": {"type": "http-01", "webroot": self.nginx.webroot, "preflight": "off"},
            "challenge.dns": {
                "type": "dns-01",
                "provider": "script",
                "options": {"run": self.directory / "publish.sh", "convention": "lego", "timeout": "10s"},
                "propagation": {
                    "check": "resolvers",
                    "resolvers": [f"127.0.0.1:{self._dns_port}"],
                    "timeout": "4s",
                },
            },
            "hook.nginx": {"run": "nginx", "env": self._nginx_env(), "timeout": "20s"},
            "hook.tally": {"run": self.directory / "tally.sh", "timeout": "2s"},
        }
        for name, authority in self.authorities.items():
            tables[f"authority.{name}"] = {
                "directory": authority.directory,
                "contact": ["ops@example.org"],
                "agree_terms": True,
                "ca_bundle": authority.ca_bundle,
                "roots": authority.workdir / "bendable-root-0.pem",
            }
        for name, wish in self.wishes.items():
            tables[f"certificate.{name}"] = self._certificate(name, wish)
        for title, keys in self.tables.items():
            tables[title] = {**tables.get(title, {}), **keys}
        return toml.tables(tables)

    def _certificate(self, name: str, wish: Wish) -> dict[str, Any]:
        table: dict[str, Any] = {
            "names": wish.names,
            "authorities": wish.authorities,
            "challenge": wish.solver,
            "key": wish.key,
            "profile": wish.profile,
            "hooks": wish.hooks,
            "endpoints": [{"host": "127.0.0.1", "port": self.nginx.port, "server_name": wish.first}],
        }
        if wish.copied:
            chain, key = self.served_from(name)
            table["copies"] = [{"fullchain": chain, "key": key, "mode": "0600"}]
        return table

    def _nginx_env(self) -> dict[str, Any]:
        return {
            "NGINX": self.nginx.binary,
            "NGINX_PREFIX": f"{self.nginx.prefix}/",
            "NGINX_CONF": self.nginx.config,
            "NGINX_PID": self.nginx.pid_file,
        }

    # --- the agent --------------------------------------------------------------------------------------

    def run_once(self, *arguments: str) -> Ran:
        """One call of the command, to its end."""
        (ran,) = self.run_together([(arguments, None)])
        return ran

    def run_together(self, calls: Sequence[tuple[Sequence[str], float | None]]) -> list[Ran]:
        """Several at once: arguments, and after how many seconds it is killed."""
        now = (self.clock.now() + self.skew).isoformat()
        return self.runs.together(
            [Task(["--config", str(self.config), *arguments], now, kill) for arguments, kill in calls]
        )

    # --- what authorities and resolvers see -------------------------------------------------------------

    def _validate(self, name: str, kind: str, token: str, authorization: str) -> str | None:
        if kind == "http-01":
            if self.web_broken:
                return "connection refused"
            url = f"http://127.0.0.1:{self.nginx.http_port}/.well-known/acme-challenge/{token}"
            try:
                with urlopen(url, timeout=5) as reply:
                    found = reply.read().decode().strip()
            except OSError as error:
                return f"{name} cannot be asked: {error}"
            return None if found == authorization else "it answers something else"
        digest = hashlib.sha256(authorization.encode()).digest()
        import base64

        wanted = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
        return None if wanted in self._published(f"_acme-challenge.{name}") else "no such TXT record"

    def _published(self, name: str) -> list[str]:
        path = self.records / name.lower()
        return path.read_text().split() if path.exists() and not self.dns_says else []

    def _answer(self, query: dns.message.Message) -> dns.message.Message | None:
        if self.dns_says == "silence":
            return None
        answer = dns.message.make_response(query)
        answer.flags |= dns.flags.RA
        if self.dns_says == "servfail":
            answer.set_rcode(dns.rcode.SERVFAIL)
            return answer
        one = query.question[0]
        if one.rdtype == dns.rdatatype.TXT:
            texts = self._published(one.name.to_text(omit_final_dot=True))
            if texts:
                quoted = [f'"{text}"' for text in texts]
                answer.answer.append(dns.rrset.from_text(one.name, 1, "IN", "TXT", *quoted))
        return answer

    # --- hands of people --------------------------------------------------------------------------------

    def save(self, where: Path) -> None:
        """A backup of state and copies, made while no run is at work."""
        shutil.rmtree(where, ignore_errors=True)
        shutil.copytree(self.state, where / "state", symlinks=True)
        shutil.copytree(self.copies, where / "copies", symlinks=True)

    def restore(self, where: Path, what: str) -> None:
        """Put a backup back, whole or in part; the web server loads what it finds."""
        if what == "the ledger":
            for one in self.state.glob("ledger.db*"):
                one.unlink()
            for one in (where / "state").glob("ledger.db*"):
                shutil.copy2(one, self.state)
            return
        part = "state/certificates" if what == "the certificates" else "state"
        for place, name in ((self.disk / part, part), (self.copies, "copies")):
            shutil.rmtree(place, ignore_errors=True)
            shutil.copytree(where / name, place, symlinks=True)
        if self.nginx.alive and self.nginx.test().returncode == 0:
            self.nginx.reload()

    def tidy(self) -> None:
        """Take away what killed runs left for authorities to see; it harms nobody."""
        for place in (self.nginx.webroot, self.records):
            for path in place.rglob("*"):
                if path.is_file():
                    path.unlink()

    def keep(self) -> Path:
        """Copy what would vanish with the small file system; where it is then."""
        kept = self.directory / "state"
        shutil.copytree(self.state, kept, symlinks=True, dirs_exist_ok=True)
        return kept


def _script(path: Path, *lines: str) -> None:
    path.write_text("\n".join(("#!/bin/sh", *lines, "")))
    path.chmod(0o755)


def apart() -> None:
    """Into a mount namespace of our own, if we may: what is mounted there vanishes with us."""
    import ctypes

    new_namespace = 0x00020000  # CLONE_NEWNS
    if sys.platform == "linux" and os.geteuid() == 0 and not ctypes.CDLL(None).unshare(new_namespace):
        subprocess.run(["/usr/bin/mount", "--make-rprivate", "/"], capture_output=True, check=False)
