"""Fixtures for every test: real servers, started when first asked for and stopped whatever happens.

`pebble` is shared by the tests of one worker; what a test counts there, it counts from a `pebble.mark()` of
its own. `pebble_factory` makes special ones, `nginx_factory` makes web servers, `bendable` makes authorities
whose every answer can be bent; all stop what they made when the test ends.
"""

import compileall
import errno
import ipaddress
import os
import re
import shutil
import socket
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from tests import marks
from tests.attacks import table as attacks_table
from tests.faults import stuck_table, table
from tests.hooks import table as servers_table
from tests.network import table as hostile_table
from tests.servers.bendable import Bendable, BendableFactory
from tests.servers.nginx import Nginx, NginxFactory
from tests.servers.pebble import Pebble, PebbleFactory
from tests.servers.process import ServerFailedError
from tests.servers.programs import WANTED, installed_pebble

# CI must prove everything: there a test that did not run counts as one that failed.
IN_CI = bool(os.environ.get("CI"))

_skipped: list[str] = []

if sys.dont_write_bytecode:
    # Compiled tests are kept all the same, where pytest keeps its things: compiling anew takes 14 seconds
    sys.pycache_prefix = str(Path(__file__).resolve().parents[1] / ".pytest_cache" / "bytecode")
    sys.dont_write_bytecode = False

_IN_MEMORY = Path("/dev/shm")  # noqa: S108
_ROOM = 4 << 30  # octets: a whole run writes less than one


def pytest_configure(config: pytest.Config) -> None:
    """Keep what tests write in memory, where there is room: half of their time is waiting for the disk.

    Where they lie is pytest's (`tmp_path`); whoever names a place with `--basetemp` or in the environment has
    it. What must survive a power cut is proved by what is asked of the disk (tests/store/mutations.py).
    """
    if config.option.basetemp or "PYTEST_DEBUG_TEMPROOT" in os.environ or not _is_roomy(_IN_MEMORY):
        return
    os.environ["PYTEST_DEBUG_TEMPROOT"] = str(_IN_MEMORY)  # the workers' too


def _is_roomy(place: Path) -> bool:
    """Whether programs may lie there and run, and there is room for the files of all."""
    try:
        about = os.statvfs(place)
    except OSError:
        return False
    said = re.search(r"^MemAvailable: *(\d+) kB$", Path("/proc/meminfo").read_text(), re.MULTILINE)
    room = min(int(said[1]) * 1024 if said else 0, about.f_bavail * about.f_frsize)
    return not about.f_flag & os.ST_NOEXEC and os.access(place, os.W_OK) and room > _ROOM


# On a busy machine everything is slow: that is no fault of a property.
settings.register_profile("usual", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("check", settings.get_profile("usual"), max_examples=marks.EXAMPLES)
settings.load_profile("usual")


# --- servers ----------------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def pebble(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pebble]:
    """The worker's shared Pebble, with the profiles default, shortlived, seconds and long."""
    _need_recent_pebble()
    with Pebble(tmp_path_factory.mktemp("pebble")) as server:
        yield server


@pytest.fixture
def pebble_factory(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PebbleFactory]:
    """Makes started Pebbles with settings of their own: `pebble_factory(nonce_reject=50)`."""
    _need_recent_pebble()
    with ExitStack() as servers:

        def make(**settings: Any) -> Pebble:
            return servers.enter_context(Pebble(tmp_path_factory.mktemp("pebble"), **settings))

        yield make


@pytest.fixture
def bendable(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BendableFactory]:
    """Makes started authorities that can be bent: `bendable(clock=host.clock.now)`."""
    with ExitStack() as servers:

        def make(**settings: Any) -> Bendable:
            return servers.enter_context(Bendable(tmp_path_factory.mktemp("bendable"), **settings))

        yield make


@pytest.fixture
def place() -> Iterator[Path]:
    """A directory for a server: its path is short, for sockets have little room for theirs.

    Others than root may enter it, unlike pytest's own: servers give up their rights before they read.
    """
    directory = Path(tempfile.mkdtemp(prefix="rnw-"))
    directory.chmod(0o755)
    yield directory
    shutil.rmtree(directory)


@pytest.fixture
def nginx_factory(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NginxFactory]:
    """Makes started nginxes: `nginx_factory({"a.example.org": (fullchain, key)}, http_port=…)`."""
    with ExitStack() as servers:

        def make(sites: dict[str, tuple[Path, Path]] | None = None, **settings: Any) -> Nginx:
            return servers.enter_context(Nginx(tmp_path_factory.mktemp("nginx"), sites, **settings))

        yield make


def _need_recent_pebble() -> None:
    program = installed_pebble()
    if not program.recent:
        wanted = ".".join(map(str, WANTED))
        pytest.skip(f"Pebble {program.version} has no renewal information or profiles; {wanted} has")


# --- what the session says and insists on -----------------------------------------------------------------


def pytest_report_header() -> list[str]:
    """Name the authority that the tests ran against."""
    try:
        program = installed_pebble()
    except ServerFailedError as error:
        return [f"pebble: none ({error})"]
    too_old = "" if program.recent else " -- TOO OLD, MANY TESTS WILL BE SKIPPED"
    return [f"pebble: {program.version} ({program.pebble}){too_old}"]


def pytest_sessionstart(session: pytest.Session) -> None:
    """Compile the package for the processes that tests start, also where Python is told not to keep that.

    In CI, refuse to begin without the authority that everything is to be proved against.
    """
    if not hasattr(session.config, "workerinput") and session.config.getoption("markexpr") != marks.CHECK:
        compileall.compile_dir(Path(__file__).resolve().parents[1] / "renewer", quiet=2)
    if not IN_CI:
        return
    try:
        program = installed_pebble()
    except ServerFailedError as error:
        raise pytest.UsageError(str(error)) from error
    if not program.recent:
        wanted = ".".join(map(str, WANTED))
        raise pytest.UsageError(f"CI needs Pebble {wanted} or later, this is {program.version}")


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """For `make check`, do not even read what it would not run: that takes longer than many of its tests."""
    return True if marks.passed_over(collection_path, config.getoption("markexpr")) else None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what needs a machine with servers, and what takes long: `make check` runs the rest."""
    marks.mark(items)


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Remember the tests that did not run (an expected failure did), and the cells of the tables."""
    table.note(report)
    stuck_table.note(report)
    servers_table.note(report)
    attacks_table.note(report)
    hostile_table.note(report)
    if report.skipped and not hasattr(report, "wasxfail"):
        _skipped.append(report.nodeid)


def pytest_collectreport(report: pytest.CollectReport) -> None:
    """Remember the files that were not even read."""
    if report.skipped:
        _skipped.append(report.nodeid)


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """In CI, fail the session for a skipped test."""
    if IN_CI and _skipped and exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Show the tables, and say why a session without a failed test failed."""
    table.show(terminalreporter)
    stuck_table.show(terminalreporter)
    servers_table.show(terminalreporter)
    attacks_table.show(terminalreporter)
    hostile_table.show(terminalreporter)
    if IN_CI and _skipped:
        terminalreporter.section("skipped in CI", sep="!", red=True)
        terminalreporter.line("With CI set every test must run; these did not, so this session fails:")
        for name in sorted(set(_skipped)):
            terminalreporter.line(f"  {name}")


# --- the loopback and nothing else ------------------------------------------------------------------------


def _stay_on_loopback(event: str, arguments: tuple[Any, ...]) -> None:
    """Make this process see a machine without a network: a test that asks the world proves nothing twice."""
    if event in {"socket.connect", "socket.sendto"}:
        connection, address = arguments
        if connection.family not in {socket.AF_INET, socket.AF_INET6}:
            return
        host = str(address[0]).partition("%")[0]
        if host != "localhost" and not _is_local(host):
            raise OSError(errno.ENETUNREACH, f"tests stay on the loopback, not {host}")
    elif event == "socket.getaddrinfo":
        host = arguments[0].decode() if isinstance(arguments[0], bytes) else arguments[0]
        if host and host not in {"localhost", socket.gethostname()} and not _is_address(host):
            raise socket.gaierror(socket.EAI_NONAME, f"tests stay on the loopback and look up no {host}")


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return False
    return True


def _is_local(host: str) -> bool:
    return _is_address(host) and (
        ipaddress.ip_address(host).is_loopback or ipaddress.ip_address(host).is_unspecified
    )


sys.addaudithook(_stay_on_loopback)
