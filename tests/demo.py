"""`make demo`: the main job on a real Pebble and a real nginx, where the reader can watch.

Every claim it prints it has checked; the first that does not hold ends it with exit code 1. It takes a few
seconds, ends every process it started and removes every file it made. Run by tests/setup.sh's environment,
it needs the package and nothing else.
"""

import itertools
import json
import os
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import textwrap
import time
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NoReturn

from tests.servers.certificates import ServerRoot
from tests.servers.nginx import Nginx
from tests.servers.pebble import Pebble
from tests.servers.process import ServerFailedError
from tests.servers.programs import installed_pebble

NAME = "www.example.org"
PATIENCE = 55  # seconds for all of it: longer means that something hangs
WIDTH = 80
CHECKOUT = Path(__file__).resolve().parents[1]

_COLOURS = {"step": "1;36", "command": "1", "good": "32", "bad": "1;31"}


class Broken(Exception):
    """Something that the demo claims did not hold."""


class Demo:
    """The servers, the config and the commands of one demo."""

    def __init__(self, directory: Path, servers: ExitStack) -> None:
        """Start an authority and a web server that still serves a self-signed certificate."""
        self.directory = directory
        state = directory / "state"
        self.live = state / "certificates" / "www" / "live"
        self.config = directory / "config.toml"
        self.hook = directory / "reload-cache"
        self.pebble = servers.enter_context(Pebble(directory / "pebble"))
        self.roots = self.pebble.write_roots(directory / "roots.pem")
        old = ServerRoot().issue(directory / "old", NAME)
        sites = {NAME: (old.cert, old.key)}
        nginx = Nginx(directory / "nginx", sites, http_port=self.pebble.http_port)
        self.nginx = servers.enter_context(nginx)
        # What an operator does who moves over: name the new paths in nginx's config, and not reload yet.
        nginx.sites = {NAME: (self.live / "fullchain.pem", self.live / "privkey.pem")}
        nginx.write_config()
        self.write_hook("echo the cache is told")
        self.config.write_text(
            textwrap.dedent(f"""\
            [agent]
            state = "{state}"
            preflight = "off"  # the demo's names are known to Pebble only

            [authority.pebble]
            directory   = "{self.pebble.directory}"
            ca_bundle   = "{self.pebble.ca_bundle}"
            roots       = "{self.roots}"
            contact     = ["ops@example.org"]
            agree_terms = true
            profile     = "long"

            [certificate.www]
            names     = ["{NAME}"]
            authority = "pebble"
            challenge = {{ type = "http-01", webroot = "{nginx.webroot}", preflight = "off" }}
            hooks     = ["nginx", "cache"]
            endpoints = [{{ host = "127.0.0.1", port = {nginx.port} }}]

            [hook.nginx]
            [hook.nginx.env]
            NGINX        = "{nginx.binary}"
            NGINX_PREFIX = "{nginx.prefix}/"
            NGINX_CONF   = "{nginx.config}"
            NGINX_PID    = "{nginx.pid_file}"

            [hook.cache]
            run = "{self.hook}"
            """)
        )

    def write_hook(self, line: str) -> None:
        """Write the second hook, a script such as anybody has beside the web server."""
        self.hook.write_text(f"#!/bin/sh\n{line}\n")
        self.hook.chmod(0o755)

    def renewer(self, *arguments: str, exits: int) -> str:
        """Run a command, show its real output, and insist on how it exits."""
        show_command("renewer", *arguments)
        done = self._run(*arguments)
        show_output(done.stdout + done.stderr)
        if done.returncode != exits:
            raise Broken(f"`renewer {' '.join(arguments)}` exited {done.returncode}, not {exits}")
        return done.stdout

    def status(self, *, exits: int) -> str:
        """Show `renewer status` (as the table that it draws, if this is a terminal); returns the state."""
        if sys.stdout.isatty():
            show_command("renewer", "status")
            subprocess.run([*self._words(), "status"], stdin=subprocess.DEVNULL, timeout=30, check=False)
            code = self._run("status").returncode
            if code != exits:
                raise Broken(f"`renewer status` exited {code}, not {exits}")
        else:
            self.renewer("status", exits=exits)
        document = json.loads(self._run("status", "--json").stdout)
        return str(document["certificates"][0]["state"])

    def _words(self) -> list[str]:
        return [*_renewer(), "--config", str(self.config)]

    def _run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*self._words(), *arguments],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )

    def served(self) -> str:
        """The serial that nginx shows right now, by a handshake that uses none of renewer's code."""
        openssl = shutil.which("openssl")
        if openssl is None:
            return self._served_by_python()
        argv = [openssl, "s_client", "-connect", f"127.0.0.1:{self.nginx.port}", "-servername", NAME]
        argv += ["-CAfile", str(self.roots), "-verify_return_error", "-verify_hostname", NAME]
        show_command(*("openssl", *argv[1:4], "…", "|", "openssl x509 -noout -serial"))
        shaken = subprocess.run(
            argv, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=10, check=False
        )
        if shaken.returncode != 0:
            raise Broken(f"openssl s_client does not accept what nginx serves:\n{shaken.stderr.strip()}")
        told = subprocess.run(
            [openssl, "x509", "-noout", "-serial"],
            input=shaken.stdout,
            capture_output=True,
            text=True,
            timeout=10,
            check=True,
        ).stdout
        show_output(told + "verified: the chain leads to the authority's root, the name fits\n")
        serial = told.partition("serial=")[2].split()[0]
        return f"{int(serial, 16):x}"

    def _served_by_python(self) -> str:
        from cryptography import x509

        show_command("(a handshake by Python's ssl module; there is no openssl here)")
        context = ssl.create_default_context(cafile=str(self.roots))
        try:
            with (
                socket.create_connection(("127.0.0.1", self.nginx.port), timeout=30) as plain,
                context.wrap_socket(plain, server_hostname=NAME) as secured,
            ):
                der = secured.getpeercert(binary_form=True) or b""
        except ssl.SSLError as error:
            raise Broken(f"Python's ssl module does not accept what nginx serves: {error}") from error
        leaf = x509.load_der_x509_certificate(der)
        show_output(f"serial={leaf.serial_number:X}\nverified: chain and name fit\n")
        return f"{leaf.serial_number:x}"

    def issued(self) -> tuple[str, ...]:
        """The serials that the authority says it has issued."""
        return self.pebble.certificates_issued()

    def make_due(self) -> None:
        """Let the authority move the renewal window of the live certificate to the present (RFC 9773)."""
        now = datetime.now(UTC)
        live = (self.live / "fullchain.pem").read_text()
        self.pebble.set_renewal_info(live, now - timedelta(hours=2), now - timedelta(hours=1))


def story(demo: Demo) -> None:
    """What the reader watches."""
    step("A configuration, an authority (Pebble), a web server (nginx)")
    show_command("cat config.toml")
    show_output(demo.config.read_text().replace(str(demo.directory), "…"))
    step("What would happen? Nothing is asked and nothing changed by this")
    planned = demo.renewer("plan", exits=1)  # the certificate is absent: not well yet
    expect("www: issue" in planned, "the plan is to issue")
    expect(demo.issued() == (), "the authority has issued nothing")

    step("The whole way: order, prove, install, reload nginx, look at the port")
    demo.renewer("run", exits=0)
    first = demo.served()
    expect(demo.issued() == (first,), f"nginx serves the certificate just issued, {first}")

    step("How do things stand, and what was done?")
    expect(demo.status(exits=0) == "verified", "renewer has seen it at the port, too")
    log = demo.renewer("log", exits=0)
    expect("renewed, and seen at its ports" in log, "and the log tells it")
    again = demo.renewer("run", exits=0)
    expect("nothing to do" in again and len(demo.issued()) == 1, "a second run has nothing to do")

    step("The authority wants it renewed now (its ARI window moves to the past)")
    narrate("The authority said to ask again in 6 hours; --ask asks at once.")
    demo.make_due()
    demo.renewer("run", "--ask", exits=0)
    second = demo.served()
    expect(second != first and demo.issued() == (first, second), f"renewed, and served: {second}")

    step("Due again, but now a deploy hook fails")
    narrate("Beside nginx a cache is told of each certificate. It is down today.")
    narrate("A run orders no second renewal within two days; a person may, by name.")
    demo.write_hook("echo 'the cache does not answer' >&2; exit 1")
    demo.make_due()
    failed = demo.renewer("run", "www", "--ask", exits=1)
    expect("the cache does not answer" in failed, "the run says so, and exits 1")
    issued = demo.issued()
    expect(len(issued) == 3, "the new certificate is issued, and kept")
    expect(demo.served() == second, f"the old one is live and served again: {second}")
    expect(demo.status(exits=1) == "failed", "and status remembers the failure")

    step("The hook is mended: the next run finishes the job, and orders nothing")
    demo.write_hook("echo the cache is told")
    demo.renewer("run", exits=0)
    expect(demo.served() == issued[-1], f"the certificate of before is served now: {issued[-1]}")
    expect(demo.issued() == issued, "and the authority was not asked for another")
    expect(demo.status(exits=0) == "verified", "all is well again")


# --- the screen ---------------------------------------------------------------------------------------------


def step(text: str) -> None:
    """A new chapter."""
    print(f"\n{_paint('step', f'== {text}')}")


def narrate(text: str) -> None:
    """A sentence between commands."""
    print(text)


def show_command(*words: str) -> None:
    """A command line, as the reader would type it."""
    print(_paint("command", f"\n$ {' '.join(words)}"))


def show_output(text: str) -> None:
    """What a command printed, folded where a line is longer than the screen."""
    for line in _in_columns(text.splitlines()):
        indent = " " * (len(line) - len(line.lstrip()) + 4)
        folded = textwrap.wrap(
            line,
            WIDTH - 2,
            subsequent_indent=indent,
            drop_whitespace=True,
            replace_whitespace=False,
            break_on_hyphens=False,
        )
        print("\n".join(f"  {part}" for part in folded or [""]).rstrip())
    sys.stdout.flush()


def _in_columns(lines: list[str]) -> list[str]:
    """Tables come with tabs through a pipe; people get columns."""
    rows = [line.split("\t") for line in lines if "\t" in line]
    widths = [max(map(len, column)) for column in itertools.zip_longest(*rows, fillvalue="")]

    def drawn(line: str) -> str:
        cells = [cell.ljust(width) for cell, width in zip(line.split("\t"), widths, strict=False)]
        return "  ".join(cells).rstrip()

    return [drawn(line) if "\t" in line else line for line in lines]


def expect(holds: bool, claim: str) -> None:  # noqa: FBT001  reads as a sentence where it is called
    """A claim: told if it holds, the end of the demo if not."""
    if not holds:
        raise Broken(f"this does not hold: {claim}")
    print(_paint("good", f"  ok: {claim}"), flush=True)


def _paint(role: str, text: str) -> str:
    if not sys.stdout.isatty() or "NO_COLOR" in os.environ:
        return text
    return f"\033[{_COLOURS[role]}m{text}\033[0m"


# --- beginning and end --------------------------------------------------------------------------------------


def need_recent_pebble() -> None:
    """Renewal information came to Pebble late; without it there is little to see."""
    program = installed_pebble()
    if not program.recent:
        raise Broken(f"Pebble {program.version} is too old to show a renewal; run tests/setup.sh as root")


def _renewer() -> list[str]:
    """The command of this environment."""
    script = Path(sys.executable).with_name("renewer")
    return [str(script)] if script.exists() else [sys.executable, "-m", "renewer"]


def _stop(number: int, _: object) -> NoReturn:
    if number == signal.SIGALRM:
        raise Broken(f"it took longer than {PATIENCE} s")
    raise KeyboardInterrupt


def main() -> int:
    """Tell the story between a clean beginning and a clean end; 0 if every claim held."""
    for number in (signal.SIGALRM, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _stop)
    signal.alarm(PATIENCE)
    begun = time.monotonic()
    try:
        need_recent_pebble()
        with tempfile.TemporaryDirectory(prefix="renewer-demo-") as directory, ExitStack() as servers:
            demo = Demo(Path(directory), servers)
            pids = [pid for pid in (demo.pebble.pid, demo.nginx.pid) if pid]
            story(demo)
        if os.path.exists(directory) or any(os.path.exists(f"/proc/{pid}") for pid in pids):
            expect(holds=False, claim="every process has ended, every file is gone")
    except (Broken, ServerFailedError) as error:
        print(_paint("bad", f"\nDEMO FAILED: {error}"), file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\ninterrupted", file=sys.stderr)
        return 130
    took = time.monotonic() - begun
    print(_paint("good", f"\nAll of it held. {took:.0f} s; every process has ended, every file is gone."))
    return 0


if __name__ == "__main__":
    sys.exit(main())
