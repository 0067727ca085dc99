"""One look at each address of an endpoint."""

import socket
import threading
from datetime import datetime
from enum import StrEnum
from ipaddress import ip_address

from renewer import clock
from renewer.model.desired import Endpoint, KeyFamily
from renewer.model.facts import Leaf
from renewer.model.names import Identifier
from renewer.model.value import Value

SYSTEM, ANY = "system", "any"  # roots: those of this host; none, and no chain is asked for
RESOLVING = 5.0  # seconds for the system's resolver


class Target(Value):
    """What to look at. `roots`: `system`, `any` or a PEM file, as for an authority in the config.

    Across the door `roots` is a key instead of a file (`trust`), `unusable` says why that cannot be used.
    `family` is that of the certificate that is looked for: a server that shows one of another kind is asked
    once more, by a client that takes this kind only. None takes what comes.
    """

    endpoint: Endpoint
    roots: str = SYSTEM
    family: KeyFamily | None = None
    unusable: str = ""


class PortTrouble(StrEnum):
    """What was wrong at a port, as a word that scripts may match."""

    UNRESOLVED = "unresolved"  # the name has no address
    REFUSED = "refused"  # nobody listens
    TIMEOUT = "timeout"  # no answer in time
    NETWORK = "network"  # no way there, or the connection broke
    STARTTLS = "starttls-refused"  # the talk before TLS failed
    NO_TLS = "no-tls"  # no handshake could be completed
    OLD_TLS = "old-tls"  # only with protocols or ciphers that clients of today refuse
    EXPIRED = "expired"
    NOT_YET_VALID = "not-yet-valid"
    SELF_SIGNED = "self-signed"
    UNKNOWN_ROOT = "unknown-root"
    CHAIN_INCOMPLETE = "chain-incomplete"  # an intermediate is not sent, or its root not known
    UNTRUSTED = "untrusted"  # any other fault of the chain
    ROOTS = "roots-unusable"  # the roots to check against cannot be read
    NAME_MISMATCH = "name-mismatch"
    UNREADABLE = "unreadable"  # a certificate of a kind that we cannot read: carried, and not judged
    UNSEEN = "not-looked-at"  # our own process that looks failed: nothing is known of the port


class Sight(Value):
    """What was seen at one address ("192.0.2.1:443", "[2001:db8::1]:443"; "" for a name without any).

    `local` is whether this host serves it: the address is this host's, or the config names it by `host`.
    `connected` is TCP's, `completed` TLS's word; `leaf` is what was shown. `trusted` is whether the chain
    leads to the roots at this moment (None if nobody asked), `name_matches` whether the leaf vouches for
    the endpoint's server name. `error` is the first thing wrong as a sentence, `trouble` as a word.
    `fitted` counts the handshakes in a row, up to the last, that showed what `settle` waited for, of as many
    as `expected` (0: nobody counted); `others` are fingerprints that handshakes beside it showed instead, and
    `roots` those that it was checked against. `family` is the kind of key that was looked for, and `lacks`
    whether the server has none of that kind to show.
    """

    endpoint: Endpoint
    address: str
    at: datetime
    local: bool
    connected: bool = False
    completed: bool = False
    leaf: Leaf | None = None
    trusted: bool | None = None
    name_matches: bool | None = None
    error: str | None = None
    trouble: PortTrouble | None = None
    fitted: int = 0
    expected: int = 0
    others: tuple[str, ...] = ()
    roots: str = "system"
    family: KeyFamily | None = None
    lacks: bool = False
    digest: str | None = None

    @property
    def fingerprint(self) -> str | None:
        """SHA-256 of the leaf, lower-case hex; `digest` of one that cannot be read."""
        return self.leaf.fingerprint if self.leaf else self.digest

    @property
    def serial(self) -> str | None:
        """Serial of the leaf, lower-case hex."""
        return self.leaf.serial if self.leaf else None

    @property
    def not_after(self) -> datetime | None:
        """When the leaf expires."""
        return self.leaf.not_after if self.leaf else None


class TargetAddress(Value):
    """One address of a target, found by resolving it; `error` instead of one if it has none."""

    target: Target
    family: int = 0
    sockaddr: tuple[str | int, ...] = ()
    local: bool = False
    error: str | None = None

    @property
    def patience(self) -> float:
        """How many seconds a look may take there."""
        return self.target.endpoint.patience

    @property
    def address(self) -> str:
        """The address for people."""
        if not self.sockaddr:
            return ""
        host, port = self.sockaddr[:2]
        return f"[{host}]:{port}" if self.family == socket.AF_INET6 else f"{host}:{port}"


def resolve(target: Target, timeout: float) -> list[TargetAddress]:
    """Every address of a target, IPv4 and IPv6, each once; at least one Place, if only to say why not."""
    endpoint = target.endpoint
    host = endpoint.host or endpoint.server_name
    found = _addresses(host, endpoint.port, timeout)
    if isinstance(found, str):
        named_here = endpoint.host is not None
        return [TargetAddress(target=target, local=named_here, error=f"{host} cannot be resolved: {found}")]
    return [
        TargetAddress(
            target=target,
            family=family,
            sockaddr=sockaddr,
            local=endpoint.host is not None or is_ours(family, str(sockaddr[0])),
        )
        for family, sockaddr in dict.fromkeys(found)
    ]


def unresolved(place: TargetAddress) -> Sight:
    """The sight of a name without an address."""
    return Sight(
        endpoint=place.target.endpoint,
        address="",
        at=clock.now(),
        local=place.local,
        error=place.error,
        trouble=PortTrouble.UNRESOLVED,
        roots=place.target.roots,
        family=place.target.family,
    )


def unseen(target: Target, error: str) -> Sight:
    """The sight of what could not be looked at, by no fault of the port."""
    return Sight(
        endpoint=target.endpoint,
        address="",
        at=clock.now(),
        local=False,
        error=error,
        trouble=PortTrouble.UNSEEN,
        roots=target.roots,
        family=target.family,
    )


def name_matches(leaf: Leaf, server_name: str) -> bool:
    """Whether a leaf vouches for a name (RFC 6125 §6.4); for its subjectAltNames only."""
    try:
        wanted = Identifier.parse(server_name)
    except ValueError:
        return False
    return any(name.covers(wanted) for name in leaf.names)


def is_ours(family: int, host: str) -> bool:
    """Whether an address belongs to this host: then, and only then, a socket can be bound to it."""
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.bind((host, 0))
    except OSError:
        return False
    return True


_Found = list[tuple[int, tuple[str | int, ...]]]


def _addresses(host: str, port: int, timeout: float) -> _Found | str:
    """The addresses of a host, or why there are none."""
    answer: list[_Found | str] = []

    def ask() -> None:
        try:
            # As bytes: the name is in A-labels already, and Python's own IDN codec is slow to import.
            found = socket.getaddrinfo(host.encode("ascii"), port, type=socket.SOCK_STREAM)
            pairs: _Found = [(family, sockaddr) for family, _, _, _, sockaddr in found]  # type: ignore[misc]
            answer.append(pairs or "it has no address")
        except (OSError, UnicodeError) as error:
            answer.append(getattr(error, "strerror", None) or str(error))

    try:
        ip_address(host)
    except ValueError:
        # The system's resolver knows no time limit: it is left behind if it takes too long.
        resolver = threading.Thread(target=ask, name=f"resolve {host}", daemon=True)
        resolver.start()
        resolver.join(timeout)
    else:
        ask()
    return answer[0] if answer else f"no answer within {timeout:g} s"
