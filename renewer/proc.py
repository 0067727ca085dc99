"""The only door to other programs: an argv, never a shell; exactly the environment given; a time limit.

A program runs in a session and process group of its own. It has ended when its own process has ended: a
child that it left in the background and that still holds the output is listened to for a second more and
then left alone, because a reload may rightly start a daemon (its later output goes nowhere). Only at the
time limit is everybody in the group ended: asked by TERM, made to by KILL.
"""

import contextlib
import errno
import os
import pwd
import re
import resource
import select
import selectors
import signal
import subprocess  # noqa: TID251  this is the door
from collections.abc import Mapping, Sequence
from typing import IO

import msgspec

from renewer import clock, words
from renewer.errors import RenewerError, shortage

OUTPUT_LIMIT = 64 * 1024  # bytes kept: the first half and the last half, what lies between is counted only
GRACE = 2.0  # seconds between TERM and KILL
LINGER = 1.0  # seconds in which output is still read after the process itself has ended
_POLL = 0.02  # seconds between looks at a process where the kernel has no pidfd
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
# Of what programs say; compiled when first one is asked why, which idle runs never do.
_TELLING = r"(?i)\[(?:emerg|alert|crit|error)\]|\b(?:error|fatal)\b|\bneeds root:"
_SUMMARY = (  # what says that something failed, and not why
    r"(?i)\(exit code \d+\)$|\bthe mail log says why\b|\btest failed$|^job for \S+ failed\b"
    r"|fatal errors? found|error\(s\) found"
    r"|\bits setting \S+ cannot be read$|master\.cf cannot be read$|contains errors$"
)
_WHY = (
    r"(?i)\b(?:failed|failure|denied|refused|cannot|can't|could not|unable|invalid|no such|not found|unknown|"
    r"not permitted|not allowed|mismatch|expired|timed out|unreachable|traceback|exception|oops|"
    r"unrecogni[sz]ed|unsupported|not supported|unexpected|must be|outside the valid range)\b|\bline \d+$"
)
_LINE = 300  # characters of output that fit into a sentence


class ProcResult(msgspec.Struct, frozen=True, kw_only=True):
    """How a program ended.

    `code` is its exit code, 128 + n if signal n ended it, and None if the time limit did. `output` is what
    it wrote to stdout and stderr, in order, bounded and safe to print; if they were to be kept apart, stdout
    alone, and `complaints` is stderr.
    """

    code: int | None
    output: str
    timed_out: bool
    took_ms: int
    complaints: str = ""


def run(  # noqa: PLR0913  all but the argv by name
    argv: Sequence[str],
    *,
    stdin: bytes = b"",
    env: Mapping[str, str],
    timeout: float,
    cwd: str = "/",
    apart: bool = False,
) -> ProcResult:
    """Run a program to its end or to the time limit (seconds), feeding it `stdin`.

    `apart` keeps what it writes to stdout and to stderr apart. Raises RenewerError (kind `program`) if it
    cannot be started.
    """
    began = clock.monotonic()
    process = _start(argv, stdin=stdin, env=env, cwd=cwd, apart=apart)
    watch = _Watch(process)
    timed_out = True
    try:
        watch.begin(stdin)
        timed_out = not watch.until_ended(began + timeout)
        if not timed_out:
            watch.until_silent(clock.monotonic() + LINGER)
    finally:  # also when we are interrupted: nobody would watch over it any more
        if timed_out:
            _end_group(process, watch)
        code = _reap(process)
        watch.close()
    return ProcResult(
        code=None if timed_out else code,
        output=watch.output.text(),
        timed_out=timed_out,
        took_ms=round((clock.monotonic() - began) * 1000),
        complaints=watch.complaints.text(),
    )


class Beside:
    """A program of our own that stays beside this one; nothing that it writes is read."""

    def __init__(self, argv: Sequence[str], *, env: Mapping[str, str], descriptor: int) -> None:
        """Start it; `descriptor` stays open in it. Raises OSError."""
        self._process = subprocess.Popen(
            list(argv),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env=dict(env),
            cwd="/",
            pass_fds=(descriptor,),
            start_new_session=True,
        )

    @property
    def ended(self) -> bool:
        """Whether it runs no more."""
        return self._process.poll() is not None

    def end(self, grace: float) -> None:
        """Wait so many seconds for its end, then make it end."""
        with contextlib.suppress(OSError):  # kernels before 5.3: Popen looks again and again
            pidfd = os.pidfd_open(self._process.pid)
            try:
                ending = select.poll()
                ending.register(pidfd, select.POLLIN)
                if ending.poll(grace * 1000):
                    grace = GRACE
            finally:
                os.close(pidfd)
        try:
            self._process.wait(grace)
        except subprocess.TimeoutExpired:
            self._process.kill()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(GRACE)


def demand_memory(octets: int) -> None:
    """Raise MemoryError if fewer addresses than that are left below this process's limit (RLIMIT_AS).

    Libraries in other languages end the whole process where they get none: it is asked before they are used.
    """
    limit = resource.getrlimit(resource.RLIMIT_AS)[0]
    if limit == resource.RLIM_INFINITY:
        return
    try:
        with open("/proc/self/statm", encoding="ascii") as file:
            used = int(file.read().split()[0]) * resource.getpagesize()
    except (OSError, ValueError):
        return
    if limit - used < octets:
        raise MemoryError(
            f"{(limit - used) >> 20} MiB of {limit >> 20} MiB left, {octets >> 20} MiB are needed"
        )


def scrubbed_environment() -> dict[str, str]:
    """What a program of the operator's gets to see: nothing of ours, above all nothing of our Python."""
    try:
        home = pwd.getpwuid(os.geteuid()).pw_dir
    except KeyError:  # a user without an entry, as in containers
        home = "/"
    env = {"PATH": _PATH, "LANG": "C.UTF-8", "HOME": home}
    if "TZ" in os.environ:
        env["TZ"] = os.environ["TZ"]
    return env


def _start(
    argv: Sequence[str], *, stdin: bytes, env: Mapping[str, str], cwd: str, apart: bool
) -> subprocess.Popen[bytes]:
    try:
        return subprocess.Popen(
            list(argv),
            stdin=subprocess.PIPE if stdin else subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE if apart else subprocess.STDOUT,
            env=dict(env),
            cwd=cwd,
            bufsize=0,
            start_new_session=True,
            umask=0o022,  # whoever called us: what a hook makes must not depend on it
        )
    except (OSError, ValueError) as error:
        why, hint = _why_not_started(argv[0], cwd, error)
        raise RenewerError(f"{argv[0]} cannot be started: {why}", hint=hint, kind="program") from error


def _why_not_started(program: str, cwd: str, error: OSError | ValueError) -> tuple[str, str]:
    if not isinstance(error, OSError):
        return str(error), ""
    if not os.path.isdir(cwd):
        return f"its working directory {cwd} does not exist", "make the directory"
    if error.errno == errno.ENOENT and os.path.exists(program):
        return "the interpreter in its first line does not exist", f"mend the #! line of {program}"
    known = {
        errno.ENOENT: ("there is no such program", "correct the path, or install the program"),
        errno.EACCES: ("it may not be executed", f"chmod +x {program}, and let its directories be searched"),
        errno.ENOEXEC: ("it is no program and no script", "begin it with a line like #!/bin/sh"),
    }
    if (want := shortage(error)) and error.errno not in known:
        return want.text, want.hint
    return known.get(error.errno or 0, (os.strerror(error.errno or 0), ""))


class _Output:
    """The first and the last bytes of a flood."""

    def __init__(self) -> None:
        self.head = bytearray()
        self.tail = bytearray()
        self.dropped = 0

    def add(self, data: bytes) -> None:
        half = OUTPUT_LIMIT // 2
        room = half - len(self.head)
        self.head += data[:room]
        self.tail += data[room:]
        if len(self.tail) > half:
            self.dropped += len(self.tail) - half
            del self.tail[:-half]

    def text(self) -> str:
        if not self.dropped:
            return words.output(bytes(self.head + self.tail))
        first, last = words.output(bytes(self.head)), words.output(bytes(self.tail))
        return f"{first}\n[… {self.dropped} bytes left out …]\n{last}"


class _Watch:
    """Feeds a process, reads it and notices its end, all without blocking on any one of these."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self.process = process
        self.output = _Output()
        self.complaints = _Output()
        self.selector = selectors.DefaultSelector()
        self.unsent = memoryview(b"")
        self.open: set[IO[bytes]] = set()  # what somebody may still write to
        self.pidfd = -1

    def begin(self, stdin: bytes) -> None:
        self.unsent = memoryview(stdin)
        with contextlib.suppress(OSError):  # kernels before 5.3, and sandboxes that do not know the call
            self.pidfd = os.pidfd_open(self.process.pid)
            self.selector.register(self.pidfd, selectors.EVENT_READ, self._noop)
        for stream, event, act in (
            (self.process.stdout, selectors.EVENT_READ, self._read),
            (self.process.stderr, selectors.EVENT_READ, self._read),
            (self.process.stdin, selectors.EVENT_WRITE, self._write),
        ):
            if stream is not None:
                os.set_blocking(stream.fileno(), False)
                self.selector.register(stream, event, act)
                if event == selectors.EVENT_READ:
                    self.open.add(stream)

    def until_ended(self, deadline: float) -> bool:
        """Whether the process itself ended in time; it is not reaped, so its group's number stays taken."""
        while not _has_ended(self.process.pid):
            left = deadline - clock.monotonic()
            if left <= 0:
                return False
            self._turn(left if self.pidfd >= 0 else min(left, _POLL))
        return True

    def until_silent(self, deadline: float) -> None:
        """Read until everybody has closed the output."""
        if self.pidfd >= 0:
            with contextlib.suppress(KeyError):  # interrupted before it was registered
                self.selector.unregister(self.pidfd)  # readable for ever once the process has ended
            os.close(self.pidfd)
            self.pidfd = -1
        while self.open and (left := deadline - clock.monotonic()) > 0:
            self._turn(left)

    def close(self) -> None:
        if self.pidfd >= 0:
            os.close(self.pidfd)
        self.selector.close()
        for stream in (self.process.stdin, self.process.stdout, self.process.stderr):
            if stream is not None:
                with contextlib.suppress(OSError):
                    stream.close()

    def _turn(self, seconds: float) -> None:
        for key, _ in self.selector.select(seconds):
            key.data(key.fileobj)

    def _noop(self, _pidfd: int) -> None:
        """The end of the process is looked at by the loop."""

    def _read(self, stream: IO[bytes]) -> None:
        with contextlib.suppress(BlockingIOError):
            data = os.read(stream.fileno(), 65536)
            (self.complaints if stream is self.process.stderr else self.output).add(data)
            if not data:
                self.selector.unregister(stream)
                self.open.discard(stream)

    def _write(self, stream: IO[bytes]) -> None:
        try:
            self.unsent = self.unsent[os.write(stream.fileno(), self.unsent[:65536]) :]
        except BlockingIOError:
            return
        except OSError:  # it does not care for its input
            self.unsent = self.unsent[:0]
        if not self.unsent:
            self.selector.unregister(stream)
            stream.close()


def _has_ended(pid: int) -> bool:
    try:
        return os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
    except ChildProcessError:  # somebody reaped it for us
        return True


def _end_group(process: subprocess.Popen[bytes], watch: _Watch) -> None:
    """Ask, wait a little, insist. The leader is still unreaped, so the number cannot be somebody else's."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGTERM)
    deadline = clock.monotonic() + GRACE
    if watch.until_ended(deadline):
        watch.until_silent(deadline)
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    watch.until_silent(clock.monotonic() + _POLL)


def _reap(process: subprocess.Popen[bytes]) -> int | None:
    try:
        code = process.wait(GRACE)
    except subprocess.TimeoutExpired:  # stuck in the kernel (a dead network filesystem): not ours to wait for
        return None
    return code if code >= 0 else 128 - code


def exit_words(code: int | None) -> str:
    """An exit code, with the signal's name where there was one (the shell's 128 + n)."""
    try:
        return f"{code}, {signal.Signals((code or 0) - 128).name}"
    except ValueError:
        return str(code)


def last_telling_line(output: str) -> str:
    """The last line that names an error, as servers do before they sum up; else the last with words.

    A line that ends in a colon goes on in the next. What only sums up gives way to what says why.
    """
    lines = _joined([line.strip() for line in output.splitlines() if line.strip()])
    telling = [line for line in lines if re.search(_TELLING, line)]
    why = [line for line in telling if not re.search(_SUMMARY, line)]
    if telling and not why:
        why = [line for line in lines if re.search(_WHY, line) and not re.search(_SUMMARY, line)]
    return (why or telling or [line for line in lines if re.search(_WHY, line)] or lines or [""])[-1][:_LINE]


def _joined(lines: list[str]) -> list[str]:
    """Each line with the one after it, where it ends in a colon and names an error or a place."""
    found: list[str] = []
    for line in lines:
        if found and found[-1].endswith(":") and re.search(_TELLING, found[-1]):
            found[-1] += f" {line}"
        else:
            found.append(line)
    return found
