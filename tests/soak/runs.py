"""Runs of the command: each a process of its own that is waited for, killed where the schedule says so.

With the real clock it is `python -m renewer`. With an injected one it is forked from a process that has
imported everything (`python -m tests.soak.runs` reads a task a line and answers with a line), and its clock,
its pauses and OpenSSL's present are the world's.
"""

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any, NoReturn, Self

CHECKOUT = Path(__file__).resolve().parents[2]
LIMIT = 180.0  # seconds: its deadline is a minute, what is in flight may end, and the machine may be busy
HASTE = 10  # with an injected clock pauses are so many times shorter
_SHORT = 0.005  # but for those that are short already


@dataclass(frozen=True, slots=True)
class Task:
    """One call of the command: its arguments, its clock as an ISO time, when it is killed (seconds)."""

    arguments: Sequence[str]
    now: str = ""
    kill: float | None = None


@dataclass(frozen=True, slots=True)
class Ran:
    """How it ended: exit code (negative for a signal), what it said; `hung` if it had to be ended."""

    arguments: Sequence[str]
    code: int
    out: str
    err: str
    took: float
    hung: bool = False

    @property
    def killed(self) -> bool:
        """Whether it was killed before it ended."""
        return self.code == -signal.SIGKILL

    @property
    def document(self) -> Any:
        """What `--json` printed; None if that is no document."""
        with contextlib.suppress(ValueError):
            return json.loads(self.out)
        return None


class RealRuns:
    """Processes as a timer starts them."""

    def together(self, tasks: Sequence[Task]) -> list[Ran]:
        """Start all of them at once, and wait for all."""
        started = [_Started.process(task) for task in tasks]
        return _ended(started)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass


class ForkedRuns:
    """The other side of this module's process."""

    def __init__(self) -> None:
        """Start it."""
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.soak.runs"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=CHECKOUT,
            text=True,
            start_new_session=True,
        )

    def together(self, tasks: Sequence[Task]) -> list[Ran]:
        """Fork all of them at once, and wait for all."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps([asdict(task) for task in tasks]) + "\n")
        self._process.stdin.flush()
        return [Ran(**one) for one in json.loads(self._process.stdout.readline())]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        try:
            self._process.wait(LIMIT)
        finally:
            self._process.kill()
            self._process.wait()
            self._process.stdout.close()


class _Started:
    """A process on its way, its output in files that have no names."""

    def __init__(self, task: Task) -> None:
        self.task = task
        self.out: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115  closed when it has ended
        self.err: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115
        self.began = time.monotonic()
        self.pid = 0

    @classmethod
    def process(cls, task: Task) -> "_Started":
        """As the timer does."""
        one = cls(task)
        popen = subprocess.Popen(
            [sys.executable, "-m", "renewer", *task.arguments],
            stdin=subprocess.DEVNULL,
            stdout=one.out,
            stderr=one.err,
            cwd=CHECKOUT,
            start_new_session=True,
        )
        popen.returncode = 0  # reaped here, not by it
        one.pid = popen.pid
        return one

    @classmethod
    def fork(cls, task: Task) -> "_Started":
        """With the injected clock."""
        one = cls(task)
        one.pid = os.fork()
        if one.pid == 0:
            _child(task, one.out.fileno(), one.err.fileno())
        return one

    def left(self) -> float:
        """Seconds until it is to be killed."""
        limit = LIMIT if self.task.kill is None else self.task.kill
        return max(self.began + limit - time.monotonic(), 0.0)

    def ended(self, status: int, *, hung: bool) -> Ran:
        """Read what it said."""
        said = []
        for file in (self.out, self.err):
            file.seek(0)
            said.append(file.read().decode(errors="replace"))
            file.close()
        took = time.monotonic() - self.began
        return Ran(
            list(self.task.arguments), os.waitstatus_to_exitcode(status), said[0], said[1], took, hung=hung
        )


def _ended(started: Sequence[_Started]) -> list[Ran]:
    """Wait for each, side by side, and kill those whose time has come."""
    waiting = {os.pidfd_open(one.pid): one for one in started}
    ran: dict[int, Ran] = {}
    killed: set[int] = set()
    while waiting:
        patience = min(one.left() if one.pid not in killed else LIMIT for one in waiting.values())
        ready, _, _ = select.select(list(waiting), [], [], patience)
        for fd in ready:
            one = waiting.pop(fd)
            os.close(fd)
            _, status = os.waitpid(one.pid, 0)
            ran[one.pid] = one.ended(status, hung=one.pid in killed and one.task.kill is None)
        for one in waiting.values():
            if one.pid not in killed and one.left() <= 0:
                killed.add(one.pid)
                os.kill(one.pid, signal.SIGKILL)
    return [ran[one.pid] for one in started]


def _child(task: Task, out: int, err: int) -> NoReturn:
    """In the forked process: the real command by the world's clock."""
    from renewer.cli import app

    code = 70
    try:
        os.setsid()
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.dup2(out, 1)
        os.dup2(err, 2)
        _by_the_clock_of(task)
        sys.argv = ["renewer", *task.arguments]
        code = app._run(list(task.arguments))
        sys.stdout.flush()
        sys.stderr.flush()
    finally:
        os._exit(code)


def _by_the_clock_of(task: Task) -> None:
    from datetime import UTC, datetime
    from functools import cache

    from renewer import clock
    from renewer.context import Context
    from renewer.network import tls
    from tests.soak.times import at

    ahead = datetime.fromisoformat(task.now) - datetime.now(UTC)
    sleep, verifying = clock.sleep, tls.verifying
    clock.now = lambda: datetime.now(UTC) + ahead
    clock.sleep = lambda seconds: sleep(max(seconds / HASTE, min(seconds, _SHORT)))
    tls.verifying = cache(lambda *given, **named: at(verifying(*given, **named), clock.now()))
    Context.request_timeout = 3.0
    Context.order_limit = 6.0


def main() -> None:
    """Fork for each task that comes in, until there are no more."""
    import importlib

    for name in ("cli.app", "cli.run", "cli.status", "run", "reconcile", "report", "accounts.session"):
        importlib.import_module(f"renewer.{name}")
    for name in ("verify.handshake", "acme.duty", "tls"):
        importlib.import_module(f"renewer.network.{name}")
    for name in ("config.load", "store.lock", "provisioning.webroot"):
        importlib.import_module(f"renewer.{name}")
    importlib.import_module("tests.soak.times")
    for line in sys.stdin:
        ran = _ended([_Started.fork(Task(**one)) for one in json.loads(line)])
        sys.stdout.write(json.dumps([asdict(one) for one in ran]) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
