"""Answering TLS-ALPN-01 by our own listener: on port 443, or on any port that a TLS server passes it to.

The listener shows one certificate for a name. So when two certificates of ours are proved at the same time
and share a name, the second one waits until the first has been: both hold all their names or none, so that
nobody waits for somebody who waits.
"""

import math
import threading
from collections.abc import Callable, Sequence
from ipaddress import ip_address

from renewer import clock
from renewer.errors import GiveUp, RenewerError, RetryLater
from renewer.model.desired import KeyType
from renewer.model.facts import Debris
from renewer.model.names import Identifier, IdentifierType
from renewer.model.solver import Presented, Task
from renewer.model.value import Warn
from renewer.provisioning import sockets
from renewer.provisioning.sockets import Serve, Serving

BUSY_LIMIT = 120.0  # seconds to wait for a name that another certificate is being proved with
_SLICE = 0.25  # seconds after which a wait looks whether the run was told to stop
_HINTS = {
    "port-taken": "let the TLS server there pass this protocol on to another port, and listen on that: "
    "renewer challenge snippet",
    "listen": 'write an IP address and a port of this host, as "0.0.0.0:443" or "[::]:443"; ports below 1024 '
    "need root, CAP_NET_BIND_SERVICE or a socket handed over by systemd",
}


class _Door:
    """One listener, for all solvers of its address."""

    def __init__(self) -> None:
        self.server: Serving | None = None
        self.users = 0
        self.held: set[str] = set()
        self.news = threading.Condition()


_doors: dict[str, _Door] = {}
_guard = threading.Lock()


class TlsAlpn01Solver:
    """Listens on `listen` from the first `present_all` until `close`; `until` ends all waiting."""

    type = "tls-alpn-01"

    def __init__(self, listen: str, *, serve: Serve, until: Callable[[], float] = lambda: math.inf) -> None:
        self._listen = listen
        self._serve = serve
        self._until = until
        self._lock = threading.Lock()
        self._failure: RenewerError | None = None
        self._using = False
        with _guard:
            self._door = _doors.setdefault(listen, _Door())
        self._holding: dict[Task, str] = {}

    def ready(self, names: Sequence[Identifier]) -> None:  # noqa: ARG002  it is the same for all
        """Whether the address is one."""
        sockets.split(self._listen)

    def held_by(self, certificate: str) -> Debris | None:  # noqa: ARG002  the contract's signature
        """Nothing: a listener ends with its process."""
        return None

    def open(self) -> None:
        """Listen."""
        self._started()

    def prepare(self, tasks: Sequence[Task]) -> None:
        """Nothing is to be looked up."""

    def debris_of(self, task: Task) -> Debris | None:  # noqa: ARG002  the contract's signature
        """Nothing: a listener ends with its process."""
        return None

    def present(self, task: Task) -> Presented:
        """As `present_all`, for one."""
        return self.present_all([task])[0]

    def present_all(self, tasks: Sequence[Task]) -> list[Presented]:
        """Make the certificates and show them; starts to listen if nobody does yet.

        Raises RetryLater if it cannot listen now or a name stays busy, GiveUp if it never can.
        """
        from renewer import x509  # heavy; and only who is asked needs it

        server = self._started()
        names = {task: server_name(task.identifier) for task in tasks}
        key = x509.new_key(KeyType.ECDSA_P256)
        pairs = {
            name: key + x509.acme_tls(task.identifier, task.key_authorization, key, clock.now())
            for task, name in names.items()
        }
        self._hold(names)
        for name, pair in pairs.items():
            server.show(name, pair)
        return [Presented(task=task, where=f"{self._listen} for {name}") for task, name in names.items()]

    def wait(self, presented: Sequence[Presented], warn: Warn) -> None:
        """It is there at once; whether the way to it is open, the authority finds out."""

    def clean_up(self, task: Task) -> Debris | None:
        """Forget the certificate; whoever waits for the name may have it."""
        with self._door.news:
            name = self._holding.pop(task, None)
            if name is not None:
                if self._door.server is not None:
                    self._door.server.hide(name)
                self._door.held.discard(name)
                self._door.news.notify_all()
        return None

    def clean_up_all(self, tasks: Sequence[Task]) -> list[Debris]:
        """As `clean_up`, for all tasks of a certificate."""
        for task in tasks:
            self.clean_up(task)
        return []

    def sweep(self, debris: Debris) -> bool:  # noqa: ARG002  the contract's signature
        """Nothing outlives the process."""
        return True

    def close(self) -> None:
        """Stop listening if nobody else uses the address."""
        with self._lock, self._door.news:
            if self._using:
                self._using = False
                self._door.users -= 1
                if not self._door.users and self._door.server is not None:
                    self._door.server.stop()
                    self._door.server = None

    def _started(self) -> Serving:
        """The listener; if it cannot be, everybody is told, and the port is asked for once."""
        with self._lock:
            if self._failure is not None:
                raise _again(self._failure)
            try:
                with self._door.news:
                    if self._door.server is None:
                        self._door.server = self._serve(sockets.open_for(self._listen))
                    if not self._using:
                        self._using = True
                        self._door.users += 1
                    return self._door.server
            except RenewerError as error:
                self._failure = _again(error)
                raise self._failure from None

    def _hold(self, names: dict[Task, str]) -> None:
        """Take all names at once, when nobody holds any of them."""
        end = clock.monotonic() + BUSY_LIMIT
        wanted = set(names.values())
        with self._door.news:
            while busy := wanted & self._door.held:
                left = min(end, self._until()) - clock.monotonic()
                if left <= 0:
                    raise RetryLater(
                        f"another certificate is being proved with {', '.join(sorted(busy)[:3])} on "
                        f"{self._listen}, and has not come to an end",
                        kind="busy",
                    )
                self._door.news.wait(min(left, _SLICE))
            self._door.held |= wanted
            self._holding.update(names)


def server_name(identifier: Identifier) -> str:
    """What the authority asks for by SNI: the name, or an address's reverse-mapped name (RFC 8738 §6)."""
    if identifier.type is IdentifierType.IP:
        return ip_address(identifier.value).reverse_pointer
    return identifier.base


def _again(error: RenewerError) -> RenewerError:
    """The same error anew, with advice for this challenge: one instance is not for several threads."""
    kind = GiveUp if isinstance(error, GiveUp) else RetryLater
    return kind(error.text, hint=_HINTS.get(error.kind, error.hint), kind=error.kind)
