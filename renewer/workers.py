"""Main's side of the processes that talk to strangers: started when first needed, ended with this one.

One nursery (`network/nursery.py`), executed with an environment of its own; one worker a duty. They become
the user of `[agent] network_user`, else `renewer` if there is such a user, else numbers that nobody has. A
worker that failed is replaced once.
"""

import atexit
import contextlib
import os
import pwd
import socket
import sys
import threading
from collections import Counter

from renewer import network, proc
from renewer.decoding import UndecodableError
from renewer.errors import RenewerError, RetryLater, shortage
from renewer.model.value import Value
from renewer.network import confine
from renewer.network.channel import Channel, ClosedError
from renewer.network.door import Opener
from renewer.network.duties import DUTIES
from renewer.network.line import WorkerLine
from renewer.network.nursery import Bear, Born, End, Expect, Ready, Welcome
from renewer.network.protocol import GENERAL, DoorMessage, Failed, frame, message

USUAL = "renewer"
NAMELESS = 1_900_000_000
"""The first number of workers whose user has no name: beyond those of people, containers and systemd."""
_WITHIN = (
    60_578  # the same in a user namespace, whose numbers mostly end at 65535; systemd uses none of these
)
_RANGE = 18  # processes of ours with numbers of their own there
_EACH = 32  # numbers for the workers of one process of ours
_PROCESSES = 4_194_304  # as many as there are at most (pid_max)
_STARTS = 2
_PATIENCE = 60.0  # seconds for a nursery to start, on a machine that has much to do
_GRACE = 2.0
_PASSED_ON = (
    *("LANG", "LC_ALL", "LC_CTYPE", "TZ", "LD_LIBRARY_PATH"),
    *("SSL_CERT_FILE", "SSL_CERT_DIR", "OPENSSL_CONF", "RES_OPTIONS", "LOCALDOMAIN", "HOSTALIASES"),
)
# The program: what was on this process's way to modules, and then the nursery alone.
PROGRAM = (
    "import sys; sys.path[:] = sys.argv[2:]; from renewer.network.nursery import main; main(sys.argv[1:2])"
)


class Workers:
    """Those of this process. Safe for threads."""

    def __init__(self) -> None:
        self.confined: dict[str, confine.Confined] = {}
        self._guard = threading.Lock()
        self._nursery: _Nursery | None = None
        self._shared: dict[str, WorkerLine] = {}
        self._lines: list[WorkerLine] = []
        self._starts: Counter[str] = Counter()
        self._born = 0

    def open(self, duty: str, of: str, shared: bool) -> WorkerLine:  # noqa: FBT001  as a door.Opener
        """The way to a new worker, or to the one that all share. Raises RetryLater if there can be none."""
        name = f"{duty} {of}"
        with self._guard:
            line = self._shared.get(name)
            if line is not None and not line.closed:
                return line
            self._lines = [one for one in self._lines if not one.closed]
            does = DUTIES[duty].does
            if self._starts[name] >= _STARTS:
                text = f"the process that {does} failed twice: no third is started in this run"
                raise RetryLater(text, hint="the next run starts one", kind="worker")
            line = self._start(duty, of, does)
            self._lines.append(line)
            if shared:
                self._shared[name] = line
            return line

    def expect(self, duties: tuple[str, ...]) -> None:
        """Have the nursery import what these need; where that fails, who opens one is told."""
        with self._guard, contextlib.suppress(RenewerError):
            self._living(DUTIES[duties[0]].does).expect(duties)

    def failed(self, name: str) -> None:
        """One of these had to be ended."""
        self._starts[name] += 1

    def close(self) -> None:
        """End them all, and the nursery."""
        with self._guard:
            for line in self._lines:
                line.close()
            self._lines, self._shared = [], {}
            if self._nursery is not None:
                self._nursery.close()
                self._nursery = None

    def _start(self, duty: str, of: str, does: str) -> WorkerLine:
        name = f"{duty} {of}"
        here, there = socket.socketpair()
        channel, nursery, pid = Channel(here), None, 0
        try:
            with there:
                uid, gid, own = self._identity()
                wish = Bear(duty=duty, of=of, uid=uid, gid=gid, own=own)
                nursery = self._living(does)
                pid = nursery.bear(wish, there.fileno(), does)
            self.confined[duty] = self._ready(channel, does)
            channel.send(frame(GENERAL, Welcome(proxies=_proxies() if DUTIES[duty].proxies else ())))
        except (ClosedError, UndecodableError, RenewerError) as error:
            channel.free()
            self.failed(name)
            if nursery is not None and pid:
                nursery.end(pid)
            if isinstance(error, RenewerError):
                raise
            raise _never_began(does, str(error)) from None
        return WorkerLine(does, channel, lambda failed: self._end(nursery, pid, name, failed=failed))

    def _end(self, nursery: "_Nursery", pid: int, name: str, *, failed: bool) -> None:
        if failed:
            self.failed(name)
        nursery.end(pid)

    def _living(self, does: str) -> "_Nursery":
        if self._nursery is None or self._nursery.ended:
            if self._nursery is not None:
                self._nursery.close()
            try:
                self._nursery = _Nursery()
            except OSError as error:
                if (want := shortage(error)) is not None:
                    raise want from None
                raise _never_began(does, error.strerror or str(error)) from None
        return self._nursery

    def _ready(self, channel: Channel, does: str) -> confine.Confined:
        octets = channel.receive(_PATIENCE)
        if octets is None:
            raise _never_began(does, "it ended before it gave up its rights")
        _, said = message(octets, Ready | Failed)
        if isinstance(said, Failed):
            raise said.error()
        confined: confine.Confined = said.confined
        return confined

    def _identity(self) -> tuple[int | None, int | None, bool]:
        """User, group, and whether that user runs nothing else; None if this process cannot choose."""
        if os.geteuid() != 0:
            return None, None, False
        for name in filter(None, (network.user, USUAL)):
            if (found := _named(name)) is not None:
                return found.pw_uid, found.pw_gid, False
        number = NAMELESS + (os.getpid() % _PROCESSES) * _EACH + self._born % _EACH
        if not _is_mapped(number):
            number = _WITHIN + (os.getpid() % _RANGE) * _EACH + self._born % _EACH
        self._born += 1
        return number, number, True


class _Nursery:
    """The nursery's process, and the socket to it. Raises OSError if it cannot be started."""

    def __init__(self) -> None:
        confine.closed_to_others()
        here, there = socket.socketpair()
        self._channel = Channel(here)
        path = [one for one in sys.path if one and os.path.isabs(one)]
        env = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
        options = ["-B"] if sys.dont_write_bytecode else []
        options += ["-X", f"pycache_prefix={sys.pycache_prefix}"] if sys.pycache_prefix else []
        try:
            with there:
                self._process = proc.Beside(
                    [sys.executable, "-I", "-S", *options, "-c", PROGRAM, str(there.fileno()), *path],
                    env={**env, "MALLOC_ARENA_MAX": "4"},  # each reserves 64 MiB of a bounded address space
                    descriptor=there.fileno(),
                )
        except OSError:
            self._channel.free()
            raise
        self._guard = threading.Lock()

    @property
    def ended(self) -> bool:
        return self._process.ended

    def bear(self, wish: Bear, descriptor: int, does: str) -> int:
        """The new worker's number. Raises RenewerError."""
        with self._guard:
            try:
                self._channel.send(frame(GENERAL, wish), (descriptor,))
                octets = self._channel.receive(_PATIENCE)
                _, said = message(octets or b"", Born | Failed)
            except (ClosedError, UndecodableError) as error:
                self._process.end(0)
                raise _never_began(does, str(error)) from None
        if isinstance(said, Failed):
            raise said.error()
        pid: int = said.pid
        return pid

    def expect(self, duties: tuple[str, ...]) -> None:
        """Have it import what these need, between what else it has to do."""
        with contextlib.suppress(ClosedError):
            self._tell(Expect(duties=duties))

    def end(self, pid: int) -> None:
        """End a worker for certain; if the nursery cannot, its own end does it (PR_SET_PDEATHSIG)."""
        with contextlib.suppress(ClosedError):
            self._tell(End(pid=pid))

    def close(self) -> None:
        """It ends its workers, and then itself."""
        self._channel.close()
        self._process.end(_GRACE)
        self._channel.free()

    def _tell(self, said: DoorMessage) -> None:
        self._channel.send(frame(GENERAL, said))


def _named(name: str) -> pwd.struct_passwd | None:
    """The user of that name; None if there is none, or if it has rights as root has."""
    with contextlib.suppress(KeyError):
        found = pwd.getpwnam(name)
        if found.pw_uid:
            return found
    return None


def _is_mapped(number: int) -> bool:
    """Whether this user namespace has such a user and group (user_namespaces(7))."""
    try:
        for kind in ("uid_map", "gid_map"):
            with open(f"/proc/self/{kind}", encoding="ascii") as file:
                ranges = [tuple(map(int, line.split())) for line in file]
            if not any(first <= number < first + count for first, _, count in ranges):
                return False
    except (OSError, ValueError):
        pass  # without /proc it is tried
    return True


def unknown_user(name: str) -> str | None:
    """Why strangers cannot be spoken to as that user; None if they can."""
    try:
        found = pwd.getpwnam(name)
    except KeyError:
        return f"there is no user {name} on this host"
    return None if found.pw_uid else f"{name} has the rights of root: nothing would be separated"


class Separation(Value):
    """What stands between those who speak to strangers and this process, as a sentence.

    `lacks` is why it is less than there could be, and `hint` what to do about it; "" if nothing is missing.
    """

    text: str
    lacks: str = ""
    hint: str = ""


def separation() -> Separation | None:
    """That of the workers of this process; None if there were none."""
    confined = next((one for workers in _ours for one in workers.confined.values()), None)
    return None if confined is None else described(confined)


def separation_tried() -> Separation:
    """The same; where there was no worker one is started."""
    if (found := separation()) is not None:
        return found
    try:
        ours().open("looks", "", True)
    except RenewerError as error:
        return Separation(text="by nobody", lacks=error.text, hint=error.hint)
    return separation() or Separation(text="by nobody")


def described(confined: confine.Confined) -> Separation:
    """What it means, and where it comes from in this process."""
    landlock = f"Landlock {confined.landlock}" if confined.landlock else "no Landlock"
    if confined.uid is None:
        text, lacks, hint = _same_user()
        if confined.landlock:
            return Separation(text=f"{text}, held by {landlock}", lacks=lacks, hint=hint)
        return Separation(text=f"{text}, {landlock}: not separated", lacks=f"{lacks}; {_OLD}", hint=hint)
    try:
        name = f"as user {pwd.getpwuid(confined.uid).pw_name}"
    except KeyError:
        name = f"as user {confined.uid}, whom nobody else is"
    lacks, hint = ("", "") if confined.landlock else (_OLD, _OLD_HINT)
    if (wanted := network.user) and (why := unknown_user(wanted)):
        lacks, hint = "; ".join(filter(None, (lacks, f"network_user: {why}"))), "correct [agent] network_user"
    return Separation(
        text=f"{name}, held by {landlock}" if confined.landlock else f"{name}, {landlock}",
        lacks=lacks,
        hint=hint,
    )


_OLD = "this kernel has no Landlock, or hides it: files that everybody may read can be read"
_OLD_HINT = "a kernel of 5.13 or later with `landlock` in /sys/kernel/security/lsm has it"


def _same_user() -> tuple[str, str, str]:
    """Why no other user could be had."""
    if os.geteuid() != 0:
        text = f"as this program's own user ({os.geteuid()})"
        return (
            text,
            "only root can choose another user",
            "run it as root, or leave it so: Landlock holds without",
        )
    if not _may_change_user():
        lacks = "this container or unit has no CAP_SETUID"
        return (
            "as root without rights",
            lacks,
            "give it the capabilities SETUID and SETGID (docker: --cap-add)",
        )
    lacks = "this user namespace has no other user's number"
    return (
        "as root of a user namespace, without rights",
        lacks,
        "map more numbers into it (/etc/subuid, /etc/subgid)",
    )


def _may_change_user() -> bool:
    """CAP_SETUID and CAP_SETGID, as /proc says (capabilities(7))."""
    with (
        contextlib.suppress(OSError, ValueError, IndexError),
        open("/proc/self/status", encoding="ascii") as file,
    ):
        held = next(int(line.split()[1], 16) for line in file if line.startswith("CapEff:"))
        return held & _SETS == _SETS
    return True


_SETS = 1 << 6 | 1 << 7


def _proxies() -> tuple[tuple[str, str], ...]:
    """This host's, as the environment has them."""
    return tuple((name, url) for name, url in os.environ.items() if name.lower().endswith("_proxy"))


def _never_began(does: str, why: str) -> RetryLater:
    text = f"the process that {does} could not be started: {why}"
    return RetryLater(text, hint="the next run tries again", kind="worker")


_ours: list[Workers] = []


def ours() -> Workers:
    """Those of this process."""
    with _starting:
        if not _ours:
            _ours.append(Workers())
            atexit.register(end)
        return _ours[0]


def apart() -> Opener:
    """The opener of what must never be in this process: libraries of others, which print, wait and hang."""
    return network.opener or ours().open


def end() -> None:
    """End all that was started."""
    while _ours:
        _ours.pop().close()


_starting = threading.Lock()
