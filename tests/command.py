"""The real command in a process of its own, forked from one that has imported already what it imports.

It has its own descriptors, environment, working directory and process group, and ends as Python ends. Only
what an interpreter takes to begin is left out: half a second, some thousand times in the suite. What the
environment says to an interpreter that begins (`PYTHON…`, `LC_…`, `LD_…`) is not heard by one that is forked:
such a call begins one, as `python -m renewer` does, and so does one on a host of its own. Who measures
what the command imports, or how it begins, starts it himself.
"""

import atexit
import contextlib
import gc
import importlib
import io
import json
import os
import pkgutil
import selectors
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, NoReturn, cast

CHECKOUT = Path(__file__).resolve().parents[1]
LIMIT = 90.0  # seconds for one command: far more than any takes, so that a hang is told and not waited for

_HEARD_AT_THE_BEGINNING = ("PYTHON", "LC_", "LANG", "LD_", "MALLOC_", "FAKETIME")
_ROOM = 200_000  # octets of a task
_LEFT_OUT = (
    "renewer.__main__",
    "renewer.network.providers.lexicon",
)  # runs; takes a second, where it is used
_LIBRARIES = (
    *(
        "acme.client",
        "OpenSSL.SSL",
        "requests",
        "dns.resolver",
        "dns.dnssec",
        "dns.update",
        "dns.tsigkeyring",
    ),
    *(
        "jinja2",
        "rich.console",
        "rich.table",
        "rich.live",
        "rich.progress",
        "rich.prompt",
        "smtplib",
        "email.message",
    ),
    *("cryptography.hazmat.primitives.serialization.pkcs12", "cryptography.x509.verification", "sqlite3"),
    *("concurrent.futures.thread", "http.client", "asyncio"),
)


@dataclass(frozen=True, slots=True)
class Ended:
    """How a command ended (negative for a signal), and what it said."""

    code: int
    out: str
    err: str

    @property
    def document(self) -> Any:
        """What `--json` printed: the whole of stdout is one document."""
        return json.loads(self.out)

    @property
    def said(self) -> str:
        """All of it."""
        return self.out + self.err


def renewer(
    *arguments: str | Path,
    env: Mapping[str, str] | None = None,
    without: Collection[str] = (),
    together: bool = False,
    cwd: Path = CHECKOUT,
    limit: float = LIMIT,
    around: Sequence[str] = (),
) -> Ended:
    """Run the command to its end, with nothing to read. `env` is added to ours, `without` left out of it.

    With `together` stderr goes where stdout goes. `around` is "module:name" of a context manager in which the
    command runs, and its arguments. A trace that a user would see is a failure of the test.
    """
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        began = start(
            *arguments,
            out=out,
            err=out if together else err,
            env=env,
            without=without,
            cwd=cwd,
            around=around,
        )
        try:
            code = began.wait(limit)
        finally:
            began.kill()
        ended = Ended(code, _read(out), _read(err))
    assert "Traceback (most recent call last)" not in ended.said, ended.said
    return ended


def start(
    *arguments: str | Path,
    stdin: IO[Any] | int | None = None,
    out: IO[Any] | int | None = None,
    err: IO[Any] | int | None = None,
    env: Mapping[str, str] | None = None,
    without: Collection[str] = (),
    cwd: Path = CHECKOUT,
    around: Sequence[str] = (),
) -> "Started":
    """Start the command with these descriptors; None is /dev/null."""
    words = [str(one) for one in arguments]
    left_out = {"RENEWER_CONFIG", *without}
    ours = {name: value for name, value in os.environ.items() if name not in left_out}
    environment = ours | dict(env or {})
    with open(os.devnull, "r+b", buffering=0) as nothing:
        descriptors = [_fileno(nothing if one is None else one) for one in (stdin, out, err)]
        if around or (_beginning(environment) == _beginning(os.environ) and _host() == _HOST):
            return _forker().start(_Task(words, environment, str(cwd), list(around)), descriptors)
        return _begun(words, environment, cwd, descriptors)


class Started:
    """A command on its way, in a process group of its own."""

    def __init__(self, pid: int, ending: "socket.socket | subprocess.Popen[bytes]") -> None:
        self.pid = pid
        self.code: int | None = None
        self._ending = ending

    def wait(self, limit: float = LIMIT) -> int:
        """Its exit code; negative for a signal. Raises TimeoutError."""
        if self.code is None and isinstance(self._ending, socket.socket):
            self._ending.settimeout(limit)
            said = self._ending.recv(4)
            assert len(said) == 4, "the process that forks has ended"
            self.code = os.waitstatus_to_exitcode(struct.unpack("=i", said)[0])
            self._ending.close()
        elif self.code is None and not isinstance(self._ending, socket.socket):
            try:
                self.code = self._ending.wait(limit)
            except subprocess.TimeoutExpired as late:
                raise TimeoutError(str(late)) from late
        assert self.code is not None
        return self.code

    def send_signal(self, number: int) -> None:
        """Send it a signal, unless it is known to have ended."""
        if self.code is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        """End it and all of its group, if it has not ended by itself; in any case it is over then."""
        if self.code is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.pid, signal.SIGKILL)
            self.wait()


def _fileno(file: IO[Any] | int) -> int:
    return file if isinstance(file, int) else file.fileno()


def _read(file: IO[bytes]) -> str:
    file.seek(0)
    return file.read().decode()


def _beginning(environment: Mapping[str, str]) -> dict[str, str]:
    """What of an environment an interpreter heeds when it begins, and not later."""
    return {name: value for name, value in environment.items() if name.startswith(_HEARD_AT_THE_BEGINNING)}


def _host() -> list[str]:
    """The host that this thread is on, as it sees it: its network, its mounts and its name."""
    return [os.readlink(f"/proc/thread-self/ns/{kind}") for kind in ("net", "mnt", "uts")]


_HOST = _host()  # that of the process that forks, too


def _begun(words: list[str], environment: dict[str, str], cwd: Path, descriptors: list[int]) -> Started:
    """By an interpreter that begins."""
    stdin, stdout, stderr = descriptors
    process = subprocess.Popen(
        [sys.executable, "-m", "renewer", *words],
        stdin=stdin,
        stdout=stdout,
        stderr=stderr,
        cwd=cwd,
        env={"PYTHONPATH": str(CHECKOUT), **environment},
        process_group=0,
    )
    return Started(process.pid, process)


# --- the process that forks, seen from the test -------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Task:
    arguments: list[str]
    environment: dict[str, str]
    cwd: str
    around: list[str]


class _Forker:
    """The process that forks: one for all tests of this one, and it ends with it."""

    def __init__(self) -> None:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            os.set_inheritable(theirs.fileno(), True)
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.command", str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                cwd=CHECKOUT,
                env={**os.environ, "PYTHONPATH": str(CHECKOUT)},
                start_new_session=True,
            )
        self._control = ours
        self._guard = threading.Lock()

    def start(self, task: _Task, descriptors: list[int]) -> Started:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        wire = json.dumps([task.arguments, task.environment, task.cwd, task.around]).encode()
        assert len(wire) < _ROOM
        with theirs, self._guard:
            socket.send_fds(self._control, [wire], [theirs.fileno(), *descriptors])
        (pid,) = struct.unpack("=i", ours.recv(4))
        return Started(pid, ours)

    def stop(self) -> None:
        self._control.close()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


_forkers: dict[int, _Forker] = {}
_making = threading.Lock()


def _forker() -> _Forker:
    with _making:
        mine = os.getpid()
        if mine not in _forkers:
            _forkers[mine] = _Forker()
            atexit.register(_forkers[mine].stop)
        return _forkers[mine]


# --- the process that forks, seen from inside ---------------------------------------------------------------


def _serve(control: socket.socket) -> None:
    """Fork for each task, and tell of each child's end, until nobody is there any more."""
    with selectors.DefaultSelector() as waiting:
        waiting.register(control, selectors.EVENT_READ)
        while True:
            for key, _ in waiting.select():
                if key.data is not None:
                    waiting.unregister(key.fd)
                    _tell_end(key.fd, *key.data)
                    continue
                wire, descriptors, _, _ = socket.recv_fds(control, _ROOM, 4)
                if not wire:
                    return
                pid, reply = _fork(wire, descriptors)
                waiting.register(os.pidfd_open(pid), selectors.EVENT_READ, (pid, reply))


def _fork(wire: bytes, descriptors: list[int]) -> tuple[int, socket.socket]:
    pid = os.fork()
    if pid == 0:
        _child(wire, descriptors)
    reply = socket.socket(fileno=descriptors[0])
    for descriptor in descriptors[1:]:
        os.close(descriptor)
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.setpgid(pid, pid)  # before anybody knows its number
    _send(reply, pid)
    return pid, reply


def _tell_end(pidfd: int, pid: int, reply: socket.socket) -> None:
    os.close(pidfd)
    _, status = os.waitpid(pid, 0)
    _send(reply, status)
    reply.close()


def _send(reply: socket.socket, number: int) -> None:
    with contextlib.suppress(OSError):  # nobody waits any more
        reply.send(struct.pack("=i", number))


def _child(wire: bytes, descriptors: list[int]) -> NoReturn:
    """In the child: all that an interpreter would find when it begins, and the command."""
    code = 120
    try:
        arguments, environment, cwd, around = json.loads(wire)
        os.setpgid(0, 0)
        for number, descriptor in enumerate(descriptors[1:]):
            os.dup2(descriptor, number)
        os.closerange(3, 1024)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        os.environ.clear()
        os.environ.update(environment)
        time.tzset()
        os.chdir(cwd)
        sys.argv = ["renewer", *arguments]
        for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
            stream = _stream(name, mode)
            setattr(sys, name, stream)
            setattr(sys, f"__{name}__", stream)
        code = _until_it_ends(around)
    finally:
        os._exit(code)


def _stream(name: str, mode: str) -> io.TextIOWrapper:
    """A standard stream as Python opens it."""
    number = ("stdin", "stdout", "stderr").index(name)
    old: io.TextIOWrapper = getattr(sys, f"__{name}__")
    raw = open(number, f"{mode}b", closefd=False)  # noqa: SIM115  for as long as the process lives
    return io.TextIOWrapper(
        raw,
        encoding=old.encoding,
        errors=old.errors,
        line_buffering=name == "stderr" or os.isatty(number),
    )


def _until_it_ends(around: Sequence[str]) -> int:
    from renewer.cli import app

    try:
        with _manager(*around) if around else contextlib.nullcontext():
            app.main()
    except SystemExit as ending:
        code = ending.code if isinstance(ending.code, int) else 0 if ending.code is None else 1
    except BaseException:  # noqa: BLE001  as Python ends for what nobody catches
        traceback.print_exc()
        code = 1
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):
            stream.flush()
    return code


def _manager(name: str, *given: str) -> contextlib.AbstractContextManager[object]:
    module, _, function = name.partition(":")
    made: Any = getattr(importlib.import_module(module), function)
    return cast("contextlib.AbstractContextManager[object]", made(*given))


def import_all() -> None:
    """What a command imports when it gets to it, whichever it is."""
    import renewer

    for one in pkgutil.walk_packages(renewer.__path__, "renewer."):
        if one.name not in _LEFT_OUT:
            importlib.import_module(one.name)
    for name in _LIBRARIES:
        importlib.import_module(name)
    gc.collect()
    gc.freeze()  # what is there is shared with every child, and stays so


if __name__ == "__main__":
    import_all()
    _serve(socket.socket(fileno=int(sys.argv[1])))
