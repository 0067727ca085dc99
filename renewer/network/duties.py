"""The kinds of workers: what each does, which of our modules does it, and what that imports beforehand.

A worker has no rights any more when it is asked the first thing: what it needs is imported, and the system's
roots are read, before they are given up.
"""

from collections.abc import Iterator
from importlib import import_module
from typing import Any, Protocol, TypeVar

from renewer.model.value import Value
from renewer.network.protocol import DoorMessage

A = TypeVar("A", bound=DoorMessage)


class Asker(Protocol):
    """What a worker sees of main while it answers."""

    @property
    def descriptors(self) -> tuple[int, ...]:
        """The open files that came with the request; they are the worker's now."""

    def note(self, text: str) -> None:
        """Tell the operator about something odd that does not stop the work."""

    def cancelled(self) -> bool:
        """Whether main wants no more of it: what is in flight is finished, nothing new begun."""

    def until(self) -> float:
        """The moment on `clock.monotonic` from which main waits no longer; it may come nearer."""

    def ask(self, request: DoorMessage, kind: type[A]) -> A:
        """Ask main for what only main can do: sign."""


class Duty(Protocol):
    """What one kind of worker does."""

    @property
    def asks(self) -> Any:
        """The messages that it takes: a class, or a union of some."""

    def answer(self, request: Any, main: Asker) -> Iterator[DoorMessage]:
        """Answer one request by as many messages as it takes. Raises RenewerError."""


class DutyEntry(Value):
    """One kind: what it does as a clause for people, its module and class, and other modules that it needs.

    `proxies` is whether it may know this host's proxies, whose addresses may hold a password, `own` whether
    its module has a function `prepare`, by which one worker imports what only its kind (`of`) needs.
    """

    does: str
    module: str
    name: str
    needs: tuple[str, ...] = ()
    proxies: bool = False
    own: bool = False


_ALL = (  # what the library imports when it is first needed, beside what our modules do
    *("encodings.idna", "encodings.ascii", "encodings.latin_1", "encodings.unicode_escape", "stringprep"),
    *("concurrent.futures.thread", "ipaddress", "hashlib", "traceback", "linecache", "tokenize", "ctypes"),
)
_TLS = ("OpenSSL.SSL", "renewer.certs", "renewer.network.tls", "cryptography.x509.verification")
DUTIES = {
    "looks": DutyEntry(
        does="looks at ports",
        module="renewer.network.verify.looks",
        name="Looks",
        needs=(*_TLS, "idna", "renewer.network.verify.polite", "renewer.network.verify.farewell"),
    ),
    "listen": DutyEntry(
        does="answers challenges at a port",
        module="renewer.network.challenges.duty",
        name="Listener",
        needs=("renewer.network.challenges.tlsalpn01.server",),
    ),
    "names": DutyEntry(does="asks name servers", module="renewer.network.dns.duty", name="NameAsker"),
    "provider": DutyEntry(
        does="changes DNS records",
        module="renewer.network.providers.duty",
        name="Publisher",
        needs=("renewer.network.tls", "idna"),
        own=True,
    ),
    "channel": DutyEntry(
        does="delivers what people are told",
        module="renewer.network.channels.duty",
        name="Deliverer",
        needs=("renewer.network.channels.mail", "renewer.network.tls", "idna"),
        proxies=True,
    ),
    "service": DutyEntry(
        does="tells a service by apprise",
        module="renewer.network.channels.services",
        name="Teller",
        own=True,
    ),
    "acme": DutyEntry(
        does="speaks to an authority",
        module="renewer.network.acme.duty",
        name="Speaker",
        needs=("renewer.network.tls", "renewer.network.acme.lost", "idna", "urllib.request", "email.parser"),
        proxies=True,
    ),
}


def duty_of(name: str) -> Duty:
    """A new one of this kind."""
    entry = DUTIES[name]
    made: Duty = getattr(import_module(entry.module), entry.name)()
    return made


def modules_of(name: str) -> tuple[str, ...]:
    """All that this kind needs, in the order in which it is imported."""
    entry = DUTIES[name]
    return (entry.module, *entry.needs, *_ALL)


def prepare(name: str) -> None:
    """Import all that this kind needs."""
    for module in modules_of(name):
        import_module(module)


def prepare_own(name: str, of: str) -> None:
    """Import what only who does it with `of` needs; what is not there is told when it is asked for."""
    if DUTIES[name].own:
        import_module(DUTIES[name].module).prepare(of)
