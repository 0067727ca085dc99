"""`python -m tests.benchmarks.hooks`: a deploy hook goes wrong once, and then the timer comes again.

renewer and certbot renew a certificate at the same kind of Pebble, for the same nginx, with the same hook:
a script in a directory of certbot's deploy hooks. At the renewal it goes wrong: it fails, or the client is
killed (kill -9) while it runs. Called again, it would reload nginx. Ends with 1 if renewer does not get it
right.
"""

import os
import signal
import subprocess
import sys
import tempfile
from abc import ABC, abstractmethod
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from renewer import __version__
from tests.benchmarks.contenders import CHECKOUT, PEERS, Bed, Certbot, Renewer
from tests.benchmarks.measure import BenchmarkFailedError, clean_environment
from tests.servers.handshake import served_serial, wait_until
from tests.servers.nginx import Nginx
from tests.servers.pebble import Pebble
from tests.servers.programs import installed_pebble

NAME = "www.example.org"
TIMERS = 3  # runs of the timer after the one in which the hook went wrong
_LIMIT = 120  # seconds for one run of a client
COLUMNS = ("client", "its hook", "that run", "it says", f"called by the next {TIMERS} runs", "served then")

FAILS = "fails once"
KILLED = "client killed in it"
_HOOK = """#!/bin/sh
here={here}
echo called >> $here/calls
if [ ! -e $here/went-wrong ]; then
    touch $here/went-wrong
    {wrong}
    exit 1
fi
kill -HUP $(cat {pid_file})
"""
_WRONG = {
    FAILS: "echo 'error: the database is down' >&2",
    KILLED: "echo $$ > $here/running; n=0; while [ $n -lt 1200 ]; do n=$((n+1)); sleep 0.05; done",
}


@dataclass(frozen=True, slots=True)
class Ended:
    """How a client's run ended; the code is negative for a signal."""

    code: int
    said: str


@dataclass(frozen=True, slots=True)
class Row:
    """One client with one fault."""

    client: str
    fault: str
    first: Ended
    claim: str
    called_again: int
    new_served: bool

    def cells(self) -> tuple[str, ...]:
        """As the table has it."""
        ended = "killed" if self.first.code < 0 else f"exit {self.first.code}"
        again = {0: "never", 1: "once"}.get(self.called_again, f"{self.called_again} times")
        served = "the new one" if self.new_served else "THE OLD ONE"
        return self.client, self.fault, ended, self.claim, again, served


class Client(ABC):
    """A client with one certificate and one directory of deploy hooks."""

    name: str
    marked: str  # what the line holds by which it tells how it went

    def __init__(self, bed: Bed, fault: str) -> None:
        self.bed = bed
        self.fault = fault
        self.here = bed.directory / "hook"
        self.here.mkdir()
        self.went_wrong = self.here / "went-wrong"
        self.went_wrong.touch()  # until the first certificate is served, all is well
        self.running = self.here / "running"
        self.scripts = self.prepare()
        self.scripts.mkdir(parents=True)
        script = self.scripts / "10-reload-nginx"
        pid_file = bed.nginx.pid_file
        script.write_text(_HOOK.format(here=self.here, wrong=_WRONG[fault], pid_file=pid_file))
        script.chmod(0o755)

    @abstractmethod
    def prepare(self) -> Path:
        """Make the client; returns its directory of deploy hooks."""

    @abstractmethod
    def issue(self) -> tuple[Path, Path]:
        """Get the first certificate; returns where chain and key lie."""

    @abstractmethod
    def argv(self, *, renewing: bool) -> list[str]:
        """What the timer calls; `renewing` if the certificate is to be renewed now."""

    @property
    def calls(self) -> int:
        """How often the hook was called."""
        path = self.here / "calls"
        return len(path.read_text().splitlines()) if path.exists() else 0

    def run(self, *, renewing: bool = False) -> Ended:
        """One run of the timer; as soon as a hook says that it is running, the client is killed."""
        with tempfile.TemporaryFile("w+") as said:
            client = subprocess.Popen(
                self.argv(renewing=renewing),
                stdout=said,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                cwd=CHECKOUT,
                env={**clean_environment(), "REQUESTS_CA_BUNDLE": str(self.bed.pebble.ca_bundle)},
            )
            try:
                wait_until(lambda: client.poll() is not None or self._in_the_hook(), timeout=_LIMIT)
            finally:
                client.kill()
                client.wait()
            if self._in_the_hook():  # it ends with its client, as when the machine loses power
                with suppress(ProcessLookupError):
                    os.kill(int(self.running.read_text()), signal.SIGKILL)
                self.running.unlink()
            said.seek(0)
            return Ended(client.returncode, said.read())

    def _in_the_hook(self) -> bool:
        return self.running.exists() and self.running.stat().st_size > 0

    def claim(self, ended: Ended) -> str:
        """The line by which a run tells how it went; a killed one tells nothing."""
        said = ended.said.replace(str(self.bed.directory), "…")
        lines = [line.strip() for line in said.splitlines() if self.marked in line]
        return lines[0] if lines and ended.code >= 0 else ""


class OfRenewer(Client):
    """Ours, with such a directory named in the config."""

    name = "renewer"
    marked = "the database"

    def prepare(self) -> Path:
        """One state and config."""
        self.client = Renewer(self.bed, "renewer")
        return self.client.directory / "renewal-hooks/deploy"

    def issue(self) -> tuple[Path, Path]:
        """Without a hook first: nginx names the files only when they are there."""
        self.client.configure(["www"])
        self.client.run()
        self.client.configure(["www"], endpoints=[f'{{ host = "127.0.0.1", port = {self.bed.nginx.port} }}'])
        text = self.client.config.read_text().replace("\nendpoints", '\nhooks = ["scripts"]\nendpoints')
        hook = f'[hook.scripts]\nrun = "{self.scripts}"\nconvention = "certbot"\n'
        self.client.config.write_text(text + hook)
        live = self.client.state / "certificates/www/live"
        return live / "fullchain.pem", live / "privkey.pem"

    def argv(self, *, renewing: bool) -> list[str]:
        """`renewer run`."""
        more = ["--force"] if renewing else []
        return [*self.client.words, "--config", str(self.client.config), "run", *more]


class OfCertbot(Client):
    """Certbot, with the script in its own directory of deploy hooks."""

    name = "certbot"
    marked = "renewals"

    def prepare(self) -> Path:
        """One configuration directory."""
        self.client = Certbot(self.bed, "certbot")
        return self.client.config / "renewal-hooks/deploy"

    def issue(self) -> tuple[Path, Path]:
        """By webroot."""
        self.client.certonly("www")
        live = self.client.config / "live/www"
        return live / "fullchain.pem", live / "privkey.pem"

    def argv(self, *, renewing: bool) -> list[str]:
        """`certbot renew`."""
        more = ["--force-renewal"] if renewing else []
        words = ["renew", *self.client.common, "--no-random-sleep-on-renew", *more]
        return [str(self.client.program), *words]


def play(kind: type[Client], fault: str) -> Row:
    """One client, one fault, on servers of its own."""
    with tempfile.TemporaryDirectory(prefix="renewer-hooks-") as directory, ExitStack() as servers:
        path = Path(directory)
        pebble = Pebble(path / "pebble", profiles={"default": timedelta(days=90)}, nonce_reject=0)
        servers.enter_context(pebble)
        nginx = servers.enter_context(Nginx(path / "nginx", http_port=pebble.http_port))
        client = kind(Bed(path, pebble, nginx), fault)
        nginx.sites = {NAME: client.issue()}
        nginx.write_config()
        nginx.reload()
        (first,) = pebble.certificates_issued(0)
        wait_until(lambda: served_serial(nginx.port, NAME) == first, what="the first certificate at the port")
        if (ended := client.run()).code != 0:  # ours deploys what was issued before it had a hook
            raise BenchmarkFailedError(f"{client.name}, nothing due, exits {ended.code}: {ended.said}")
        client.went_wrong.unlink()
        return _renewed(client, pebble, nginx)


def _renewed(client: Client, pebble: Pebble, nginx: Nginx) -> Row:
    mark = pebble.mark()
    first = client.run(renewing=True)
    if not client.went_wrong.exists():
        raise BenchmarkFailedError(f"{client.name} did not call its hook: {first.said}")
    (new,) = pebble.certificates_issued(mark)
    before = client.calls
    for _ in range(TIMERS):
        client.run()
    with suppress(TimeoutError):
        wait_until(lambda: served_serial(nginx.port, NAME) == new, timeout=2)
    return Row(
        client=client.name,
        fault=client.fault,
        first=first,
        claim=client.claim(first),
        called_again=client.calls - before,
        new_served=served_serial(nginx.port, NAME) == new,
    )


def main() -> int:
    """Both clients, both faults; prints the table."""
    rows = [play(kind, fault) for fault in (FAILS, KILLED) for kind in (OfRenewer, OfCertbot)]
    for cells in (COLUMNS, ("---",) * len(COLUMNS), *(row.cells() for row in rows)):
        print(f"| {' | '.join(cells)} |")
    certbot = PEERS / "certbot/bin/certbot"
    peer = subprocess.run([certbot, "--version"], capture_output=True, text=True, check=True).stdout.strip()
    print(f"\nrenewer {__version__}, {peer}, Pebble {installed_pebble().version}")
    ours = [row for row in rows if row.client == OfRenewer.name]
    return 0 if all(row.new_served and row.called_again for row in ours) else 1


if __name__ == "__main__":
    sys.exit(main())
