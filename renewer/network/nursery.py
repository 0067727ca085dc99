"""The process that workers are forked from. It has seen no key and no configuration, and talks to main alone.

It is executed, not forked, by main when the first worker is needed: a fork of main would have in its memory
all that main has. It imports what a worker needs, and forks; the fork gives up its rights (`confine`), tells
main how far it got, and only then is asked anything. What main says to a worker it never sees.
"""

import contextlib
import gc
import os
import selectors
import signal
import socket
import ssl
import sys
from collections import deque
from collections.abc import Sequence
from importlib import import_module

from renewer.decoding import UndecodableError
from renewer.errors import OurFault, RenewerError
from renewer.network import confine, duties, worker
from renewer.network.channel import Channel, ClosedError
from renewer.network.protocol import GENERAL, DoorMessage, Failed, frame, message

_IGNORED = ("SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT", "SIGPIPE", "SIGUSR1", "SIGUSR2", "SIGALRM", "SIGTSTP")
_TRUST = ("/usr/share", "/usr/local/share/ca-certificates")
_TRUST_OF_ETC = (  # beside these lie private keys
    *("ssl/certs", "ssl/cert.pem", "ssl/ca-bundle.pem", "ssl/openssl.cnf", "ca-certificates"),
    *("pki/ca-trust", "pki/tls/certs", "pki/tls/cert.pem", "pki/tls/openssl.cnf"),
)
_LIBRARIES = ("/usr/lib", "/usr/lib64", "/lib", "/lib64", "/usr/local/lib", "/nix/store", "/gnu/store")
_RESOLVER = ("/run/systemd/resolve", "/run/resolvconf", "/run/NetworkManager", "/run/nscd", "/run/connman")
_OF_ETC = (
    *("resolv.conf", "hosts", "host.conf", "nsswitch.conf", "gai.conf", "services", "protocols"),
    *("localtime", "openssl.cnf", "ld.so.cache"),
)
_GENERATIONS = 1000  # what a worker may have left behind becomes our child when its parent ends


class Bear(DoorMessage):
    """A worker of this kind, at the socket that comes with it; it becomes `uid` and `gid`, if they are said.

    `of` says with whom it works, `own` whether that user runs nothing else.
    """

    duty: str
    of: str = ""
    uid: int | None = None
    gid: int | None = None
    own: bool = False


class Born(DoorMessage):
    """It lives."""

    pid: int


class End(DoorMessage):
    """End the worker with this number; it need not live."""

    pid: int


class Expect(DoorMessage):
    """Workers of these kinds will be wanted: import what they need while nothing else is to be done."""

    duties: tuple[str, ...]


class Ready(DoorMessage):
    """A worker's first word: how far it is separated from main. What comes next is main's to say."""

    confined: confine.Confined


class Welcome(DoorMessage):
    """What main tells a worker before anything else: this host's proxies, where its duty needs them."""

    proxies: tuple[tuple[str, str], ...] = ()


class Nursery:
    """Forks workers for who is at the other end of the channel, and ends them all when that one is gone."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self._workers: set[int] = set()
        self._expected: deque[str] = deque()
        self._woken, self._wakes = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)

    def work(self) -> None:
        """Until main is gone."""
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(self._wakes, warn_on_full_buffer=False)
        try:
            with selectors.DefaultSelector() as selector:
                selector.register(self._channel, selectors.EVENT_READ)
                selector.register(self._woken, selectors.EVENT_READ)
                while self._turn({key.fd for key, _ in selector.select(0 if self._expected else None)}):
                    self._import_one()
        finally:
            self._end_all()

    def _import_one(self) -> None:
        """Where it cannot be had, the worker that needs it says so."""
        if self._expected:
            with contextlib.suppress(Exception):
                import_module(self._expected.popleft())

    def _turn(self, ready: set[int]) -> bool:
        """Whether main is still there."""
        if self._woken in ready:
            with contextlib.suppress(BlockingIOError):
                os.read(self._woken, 4096)
            self._reap()
        if self._channel.fileno() not in ready:
            return True
        try:
            octets, descriptors = self._channel.receive_all()
            if octets is None:
                return False
            _, said = message(octets, Bear | End | Expect)
            match said:
                case End(pid=pid):
                    self._end(pid)
                case Expect(duties=expected):
                    self._expected += [one for duty in expected for one in duties.modules_of(duty)]
                case _:
                    self._channel.send(frame(GENERAL, self._bear(said, descriptors)))
        except (ClosedError, UndecodableError):
            return False
        return True

    def _bear(self, wish: Bear, descriptors: tuple[int, ...]) -> DoorMessage:
        try:
            duties.prepare(wish.duty)
            gc.freeze()  # what is there is shared: a worker's collections leave it alone
            pid = os.fork()
            if not pid:
                live(wish, descriptors[0])
        except Exception as error:  # noqa: BLE001  whatever it is, main tells it
            return Failed.of(error if isinstance(error, RenewerError) else OurFault.of(error))
        finally:
            for one in descriptors:
                os.close(one)
        self._workers.add(pid)
        return Born(pid=pid)

    def _end(self, pid: int) -> None:
        _kill(self._workers & {pid})

    def _reap(self) -> None:
        with contextlib.suppress(ChildProcessError):
            while (ended := os.waitpid(-1, os.WNOHANG)[0]) != 0:
                self._workers.discard(ended)
        _kill(_children() - self._workers)

    def _end_all(self) -> None:
        for _ in range(_GENERATIONS):
            left = self._workers | _children()
            if not left:
                return
            _kill(left)
            for pid in left:
                with contextlib.suppress(ChildProcessError):
                    os.waitpid(pid, 0)
            self._workers.clear()


def _kill(pids: set[int]) -> None:
    """Our own children, not reaped yet: their numbers are theirs."""
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def live(wish: Bear, line: int) -> None:
    """The forked worker's whole life; it never returns."""
    try:
        _live(wish, line)
    except BaseException:  # noqa: BLE001  nobody is there to be told, or the channel was told
        os._exit(1)
    os._exit(0)


def _live(wish: Bear, line: int) -> None:
    parent = os.getppid()
    line = _alone(line)
    channel = Channel(socket.socket(fileno=line))
    confine.named(f"renewer {wish.duty}")
    duties.prepare_own(wish.duty, wish.of)
    try:
        confined = confine.confine(wish.uid, wish.gid, own=wish.own, readable=readable)
        confine.ends_with(parent)
    except (confine.ConfineError, OSError, ValueError) as error:
        text = f"a process that {duties.DUTIES[wish.duty].does} could not give up its rights: {error}"
        failed = Failed(sort="RetryLater", text=text, kind="worker")
        channel.send(frame(GENERAL, failed))
        return
    channel.send(frame(GENERAL, Ready(confined=confined)))
    octets = channel.receive()
    if octets is None:
        return
    _, welcome = message(octets, Welcome)
    os.environ.update(welcome.proxies)
    begin(channel, wish.duty)


def begin(channel: Channel, duty: str) -> None:
    """Work, without rights. Tests put hostile code in its place."""
    worker.serve(channel, duties.duty_of(duty))


def _alone(line: int) -> int:
    """Only the line is open, and /dev/null where programs look for a terminal."""
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    os.setsid()
    os.umask(0o077)
    os.dup2(line, 3)
    os.set_inheritable(3, False)
    os.closerange(4, os.sysconf("SC_OPEN_MAX"))
    return 3


def readable(other: bool) -> list[str]:  # noqa: FBT001  as `confine` calls it
    """What a worker may still read: the resolver's files, the system's roots, libraries and our own modules.

    As another user (`other`) it reads of /etc what everybody may. Who stays the same user gets what it needs
    of it by name, for keys may lie beside that.
    """
    paths = ssl.get_default_verify_paths()
    trust = [paths.openssl_cafile, paths.openssl_capath, paths.cafile, paths.capath]
    etc = ["/etc"] if other else [f"/etc/{name}" for name in (*_OF_ETC, *_TRUST_OF_ETC)]
    ours = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    modules = [one for one in sys.path if one != os.path.dirname(ours)]
    resolver = os.path.dirname(os.path.realpath("/etc/resolv.conf"))
    given = [*etc, *_TRUST, *_LIBRARIES, *_RESOLVER, ours, *modules, *filter(None, trust)]
    if resolver not in ("/etc", "/"):
        given.append(resolver)
    return given


def _children() -> set[int]:
    with (
        contextlib.suppress(OSError, ValueError),
        open("/proc/thread-self/children", encoding="ascii") as file,
    ):
        return set(map(int, file.read().split()))
    return set()


def main(arguments: Sequence[str]) -> None:
    """What the nursery's program does: the descriptor of the socket to main is its argument."""
    for name in _IGNORED:
        signal.signal(getattr(signal, name), signal.SIG_IGN)
    confine.named("renewer nursery")
    confine.closed_to_others()
    confine.adopts()
    channel = Channel(socket.socket(fileno=int(arguments[0])))
    Nursery(channel).work()
    os._exit(0)  # nothing is left to be done, and main waits
