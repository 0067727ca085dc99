"""Runs the command many times over, each in a forked process of its own, and lets it fail or die on the way.

`python -m tests.e2e.runner` reads a task a line (JSON) and answers with a line. All that the command imports
is imported once, so that a run costs what it does and not what Python takes to begin.
"""

import errno
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any, NoReturn, Self

from tests.e2e.mutations import BeforeEach, watched
from tests.store.looking import live_pair, widest

TORN = 99  # exit code of a run during which the pair at live did not match
_LIMIT = 60  # seconds for a run


@dataclass(frozen=True, slots=True)
class Task:
    """A run: the command's arguments, where its mutations are, and what is to happen at which of them.

    `fault`: `kill` ends the process there, `fail` lets that one fail, `fail-on` also all of its kind that
    come after it. `after` kills it from outside after so many seconds.
    """

    arguments: list[str]
    places: list[str]
    state: str
    fault: str = ""
    at: int = 0
    after: float | None = None


@dataclass(frozen=True, slots=True)
class Ran:
    """How a run ended: its exit code, negative for a signal; whether its fault struck; what it said.

    `said` is what it wrote to stdout, then what to stderr.
    """

    code: int
    struck: bool
    out: str
    err: str

    @property
    def said(self) -> str:
        """All that it wrote."""
        return self.out + self.err

    @property
    def killed(self) -> bool:
        """Whether it was killed."""
        return self.code == -signal.SIGKILL


class Runner:
    """The other side: starts the process, hands it tasks."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.e2e.runner"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=Path(__file__).resolve().parents[2],
            text=True,
            start_new_session=True,
        )

    def run(self, task: Task) -> Ran:
        """Carry out a task."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(asdict(task)) + "\n")
        self._process.stdin.flush()
        return Ran(**json.loads(self._process.stdout.readline()))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        try:
            self._process.wait(_LIMIT)
        finally:
            self._process.kill()
            self._process.wait()
            self._process.stdout.close()


def main() -> None:
    """Fork for each task that comes in, until there are no more."""
    _import_all()
    for line in sys.stdin:
        ran = _carry_out(Task(**json.loads(line)))
        sys.stdout.write(json.dumps(asdict(ran)) + "\n")
        sys.stdout.flush()


def _carry_out(task: Task) -> Ran:
    with (
        tempfile.TemporaryFile("w+") as out,
        tempfile.TemporaryFile("w+") as err,
        tempfile.TemporaryFile("w+") as mark,
    ):
        child = os.fork()
        if child == 0:
            _run(task, out.fileno(), err.fileno(), mark.fileno())
        killer = threading.Timer(task.after or _LIMIT, partial(os.kill, child, signal.SIGKILL))
        killer.start()
        _, status = os.waitpid(child, 0)
        killer.cancel()
        killer.join()  # a process with threads must not fork
        out.seek(0)
        err.seek(0)
        struck = os.fstat(mark.fileno()).st_size > 0
        return Ran(os.waitstatus_to_exitcode(status), struck, out.read(), err.read())


def _run(task: Task, out: int, err: int, mark: int) -> NoReturn:
    """In the child: the real command, watched."""
    from renewer.cli import app

    os.dup2(out, 1)
    os.dup2(err, 2)
    code = 70
    try:
        with watched(task.places, _before_each(task, mark), syncs=task.fault != "kill"):
            code = app._run(task.arguments)
        sys.stdout.flush()
        sys.stderr.flush()
    finally:
        os._exit(code)


def _before_each(task: Task, mark: int) -> BeforeEach:
    seen: set[tuple[str, int]] = set()
    kinds: set[str] = set()

    def look() -> None:
        """The pair at live fits; read again when the link was made anew."""
        for live in Path(task.state).glob("certificates/*/live"):
            link = (os.readlink(live), live.lstat().st_ino)
            if link not in seen:
                live_pair(Path(task.state), live.parent.name)
                seen.add(link)

    def before(number: int, kind: str) -> None:
        try:
            look()
            if number == task.at:  # over all cases, that is every mutation
                seen.clear()
                look()
                assert not widest(Path(task.state)) & 0o027
        except BaseException as error:  # noqa: BLE001  whatever it is, the test is to see it
            os.write(2, f"before mutation {number} ({kind}): {type(error).__name__}: {error}\n".encode())
            os._exit(TORN)
        if number == task.at:
            kinds.add(kind)
            os.write(mark, kind.encode())
            if task.fault == "kill":
                os.kill(os.getpid(), signal.SIGKILL)
        if (number == task.at or task.fault == "fail-on") and kind in kinds:
            _FAULTS[kind]()

    return before


def _disk() -> NoReturn:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def _ledger() -> NoReturn:
    from renewer.errors import StateError

    raise StateError("the ledger cannot be used: database or disk is full", hint="make room", kind="ledger")


def _request() -> NoReturn:
    from renewer.network.acme.lost import Unreached

    raise Unreached("the authority cannot be reached: a test's fault", kind="network")


def _answer() -> NoReturn:
    from renewer.network.acme.lost import Lost

    raise Lost("the connection broke: a test's fault", kind="network")


def _hook() -> NoReturn:
    from renewer.errors import RenewerError

    raise RenewerError("the hook cannot be started: a test's fault", kind="program")


_FAULTS: dict[str, Callable[[], NoReturn]] = {
    "disk": _disk,
    "ledger": _ledger,
    "request": _request,
    "answer": _answer,
    "hook": _hook,
    "end": _hook,
}


def _import_all() -> None:
    """What a run that acts imports, and waits for that prove nothing here made short."""
    import importlib

    for name in (
        "cli.app",
        "cli.run",
        "cli.deploy",
        "cli.takeover",
        "moving.importing",
        "moving.takeover",
        "run",
        "reconcile",
        "report",
        "config.load",
        "store.lock",
        "accounts.session",
        "provisioning.webroot",
    ):
        importlib.import_module(f"renewer.{name}")
    for name in ("verify.handshake", "acme.duty", "acme.ari", "tls"):
        importlib.import_module(f"renewer.network.{name}")
    verify: Any = importlib.import_module("renewer.network.verify")
    verify.settle_all = partial(verify.settle_all, over=0.04)  # nginx has one worker here
    transport: Any = importlib.import_module("renewer.network.acme.transport")
    transport._PAUSES = (0.0, 0.0)


if __name__ == "__main__":
    main()
