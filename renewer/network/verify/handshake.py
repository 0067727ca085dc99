"""One handshake with one address. Imports `ssl`, so it is imported only when there is something to see."""

import hashlib
import socket
import ssl
from collections.abc import Callable
from typing import NamedTuple

import msgspec

from renewer import clock
from renewer.errors import GiveUp
from renewer.model.desired import KeyFamily
from renewer.model.facts import Leaf
from renewer.network import tls
from renewer.network.verify import bounded
from renewer.network.verify.sight import ANY, PortTrouble, Sight, TargetAddress, name_matches, unresolved
from renewer.network.verify.starttls import StarttlsError, upgrade
from renewer.network.verify.trust import known

# OpenSSL's X509_V_ERR_… codes (openssl-verification-options(1)) in our words
_INCOMPLETE = (
    PortTrouble.CHAIN_INCOMPLETE,
    "the chain stops short of a trusted root: an intermediate is not sent, or its root is not trusted",
)
_TROUBLES = {  # where OpenSSL says it well, nothing
    9: (PortTrouble.NOT_YET_VALID, ""),
    10: (PortTrouble.EXPIRED, ""),
    18: (PortTrouble.SELF_SIGNED, "the certificate is self-signed"),
    19: (PortTrouble.UNKNOWN_ROOT, "the chain ends at a root that is not trusted"),
    2: _INCOMPLETE,
    20: _INCOMPLETE,
    21: _INCOMPLETE,
}


class Shown(NamedTuple):
    """What one connection brought: how far it came, the leaf in DER, and what went wrong."""

    connected: bool
    der: bytes | None
    trouble: PortTrouble | None = None
    error: str | None = None
    tls_refused: bool = False  # it failed in TLS itself, so that a less demanding handshake may succeed
    trusted: bool | None = None  # what a handshake that went on regardless thinks of the chain


def see(place: TargetAddress, timeout: float, again: int = 0) -> Sight:
    """Everything about one address: a handshake that checks the chain, and if need be one that does not.

    If it completes, as many more as `again` says, for whatever else is served there in turn.
    """
    sight, only = _see(place, timeout), False
    key = sight.leaf.key if sight.leaf else None
    if sight.completed and _is_another_kind(place, key.family if key else None):
        shown = show_kind(place, timeout)
        only = shown.der is not None
        if only:
            sight = _sight(place, shown, shown.trouble, shown.error, trusted=shown.trusted)
        elif shown.tls_refused:
            sight = msgspec.structs.replace(sight, lacks=True)
    if sight.fingerprint is None or not again:
        return sight
    others: dict[str, None] = {}
    for _ in range(again):
        shown = show_kind(place, timeout) if only else show(place, tls.blind(), timeout)
        if shown.der is None:
            break  # one that answered a moment ago, and takes no more from us so soon
        fingerprint = hashlib.sha256(shown.der).hexdigest()
        if fingerprint != sight.fingerprint:
            others[fingerprint] = None
    return msgspec.structs.replace(sight, others=tuple(others))


def _see(place: TargetAddress, timeout: float) -> Sight:
    if place.error is not None:
        return unresolved(place)
    roots = place.target.roots
    if place.target.endpoint.spoken is not None:
        shown = show_politely(place, timeout)
        return _sight(place, shown, shown.trouble, shown.error, trusted=shown.trusted)
    unusable = place.target.unusable
    try:
        context = tls.blind() if unusable or roots == ANY else tls.verifying(known(roots), names=False)
    except GiveUp as error:
        unusable = error.text
    if unusable:
        return _sight(place, show(place, tls.blind(), timeout), PortTrouble.ROOTS, unusable)
    shown = show(place, context, timeout)
    if shown.der is not None or not shown.tls_refused:
        return _sight(place, shown, shown.trouble, shown.error, trusted=None if roots == ANY else True)
    # Python before 3.13 shows no certificate that it does not trust: once more without asking for trust.
    again = show(place, tls.blind(), timeout) if context is not tls.blind() else shown
    trouble = shown.trouble
    if again.der is None and again.tls_refused:  # it may have shown its leaf before it broke off
        wanting = show_politely(place, timeout)
        if wanting.der is not None:
            return _sight(place, wanting, wanting.trouble, wanting.error, trusted=wanting.trusted)
    if again.der is not None and trouble is PortTrouble.NO_TLS:
        trouble = PortTrouble.OLD_TLS
    return _sight(place, again, trouble, shown.error)


def show(place: TargetAddress, context: ssl.SSLContext, timeout: float) -> Shown:
    """One connection: TCP, the talk before TLS if any, the handshake, all within `timeout` seconds.

    Where the protocol wants a goodbye it is said, and the context does not matter.
    """
    if place.target.endpoint.spoken is not None:
        return show_politely(place, timeout)

    def shake(plain: socket.socket, deadline: float) -> Shown:
        wire = bounded.Wire(plain, deadline)
        return Shown(True, bounded.shake(wire, context, place.target.endpoint.server_name))

    return _connected(place, timeout, shake)


def show_what_is_meant(place: TargetAddress, timeout: float) -> Shown:
    """One connection; and another where that showed a certificate with another kind of key than is meant."""
    shown = show(place, tls.blind(), timeout)
    if shown.der is None or place.target.family is None:
        return shown
    from renewer.certs import family_of_der

    if not _is_another_kind(place, family_of_der(shown.der)):
        return shown
    only = show_kind(place, timeout)
    return only if only.der is not None else shown


def show_kind(place: TargetAddress, timeout: float) -> Shown:
    """What the server shows to clients that take one kind of key only.

    Who wants the whole chain signed by that kind, as Java does, is asked with TLS 1.2, whose ciphers name it;
    those of ECDSA go for Ed25519 as well (RFC 8422 §2.1), and that is not what was asked for.
    """
    shown = show_politely(place, timeout, place.target.family)
    if shown.der is None and shown.tls_refused:
        from renewer.certs import family_of_der

        older = show_politely(place, timeout, place.target.family, by_cipher=True)
        if older.der is not None and not _is_another_kind(place, family_of_der(older.der)):
            return older
    return shown


def _is_another_kind(place: TargetAddress, shown: KeyFamily | None) -> bool:
    return place.target.family is not None and shown is not place.target.family


def show_politely(
    place: TargetAddress, timeout: float, family: KeyFamily | None = None, *, by_cipher: bool = False
) -> Shown:
    """One connection whose handshake is completed whatever the certificate, judged, and taken leave of.

    `family` and `by_cipher` as `tls.judging` takes them.
    """
    from renewer.network.verify import polite  # brings pyOpenSSL, for which web servers have no need

    unusable = place.target.unusable
    roots = None if unusable or place.target.roots == ANY else known(place.target.roots)
    try:
        tls.judging(roots)
    except GiveUp as error:
        roots, unusable = None, error.text

    def shake(plain: socket.socket, deadline: float) -> Shown:
        context = tls.judging(roots, family, by_cipher=by_cipher)
        judged = polite.handshake(plain, place.target.endpoint, context, deadline)
        trusted = None if roots is None else judged.verdict == 0
        if unusable:
            return Shown(True, judged.der, PortTrouble.ROOTS, unusable, trusted=False)
        shown = Shown(True, judged.der, trusted=trusted)
        if judged.verdict:
            trouble, meaning = _TROUBLES.get(judged.verdict, (PortTrouble.UNTRUSTED, ""))
            error = f"{place.address}: {meaning or polite.meaning(judged.verdict)}"
            return shown._replace(trouble=trouble, error=error)
        if judged.old:
            return shown._replace(
                trouble=PortTrouble.OLD_TLS,
                error=f"{place.address}: only protocols that clients refuse today",
            )
        return shown

    return _connected(place, timeout, shake)


def _connected(place: TargetAddress, timeout: float, shake: Callable[[socket.socket, float], Shown]) -> Shown:
    """Connect, say what is said before TLS, and shake hands, all within `timeout` seconds."""
    deadline = clock.monotonic() + timeout
    endpoint = place.target.endpoint
    connected = False
    try:
        with socket.socket(place.family, socket.SOCK_STREAM) as plain:
            plain.settimeout(timeout)
            plain.connect(place.sockaddr)
            connected = True
            if endpoint.proxy_protocol:
                plain.sendall(_header(plain))
            if endpoint.starttls is not None:
                upgrade(plain, endpoint.starttls, endpoint.server_name, deadline)
            return shake(plain, deadline)
    except (OSError, ValueError) as error:  # ValueError: a server name that TLS cannot carry
        return _failure(error, place, timeout, connected=connected)


def _header(plain: socket.socket) -> bytes:
    """PROXY protocol, version 1 (HAProxy's proxy-protocol.txt, §2.1): we speak for ourselves."""
    family = "TCP6" if plain.family == socket.AF_INET6 else "TCP4"
    (source, sport), (target, tport) = plain.getsockname()[:2], plain.getpeername()[:2]
    return f"PROXY {family} {source} {target} {sport} {tport}\r\n".encode("ascii")


def _failure(error: OSError | ValueError, place: TargetAddress, timeout: float, *, connected: bool) -> Shown:
    trouble, text = words(error, timeout, connected=connected)
    return Shown(
        connected, None, trouble, f"{place.address}: {text}", tls_refused=isinstance(error, ssl.SSLError)
    )


def words(error: OSError | ValueError, timeout: float, *, connected: bool) -> tuple[PortTrouble, str]:
    """What ended a handshake, as a word and as a sentence; `timeout` is how many seconds it had."""
    match error:
        case ssl.SSLCertVerificationError():
            trouble, meaning = _TROUBLES.get(error.verify_code, (PortTrouble.UNTRUSTED, ""))
            found = trouble, meaning or str(error.verify_message)
        case bounded.EndlessError():
            found = PortTrouble.NO_TLS, str(error)
        case StarttlsError():
            found = PortTrouble.STARTTLS, str(error)
        case TimeoutError():
            found = PortTrouble.TIMEOUT, f"no {'TLS' if connected else 'connection'} within {timeout:g} s"
        case ConnectionRefusedError():
            found = PortTrouble.REFUSED, "connection refused, nobody listens there"
        case ssl.SSLEOFError():
            found = PortTrouble.NO_TLS, "closed during the handshake"
        case ssl.SSLError(reason="WRONG_VERSION_NUMBER" | "HTTP_REQUEST" | "PACKET_LENGTH_TOO_LONG"):
            found = PortTrouble.NO_TLS, "what answers there does not speak TLS"
        case ssl.SSLError():
            found = PortTrouble.NO_TLS, (error.reason or "the handshake failed").replace("_", " ").lower()
        case OSError():
            found = PortTrouble.NETWORK, error.strerror or str(error)
        case _:
            found = PortTrouble.NO_TLS, str(error)
    return found


def _read(der: bytes) -> tuple[Leaf | None, str | None]:
    """The leaf, and what is strange about it, if anything; no leaf of what cannot be read."""
    from renewer.certs import leaf_from_der, unfamiliar_der

    try:
        return leaf_from_der(der), unfamiliar_der(der)
    except Exception:  # noqa: BLE001  a stranger's bytes: whatever the parser makes of them
        return None, "it shows a certificate of a kind that this program cannot read"


def _sight(
    place: TargetAddress,
    shown: Shown,
    trouble: PortTrouble | None,
    error: str | None,
    *,
    trusted: bool | None = False,
) -> Sight:
    leaf: Leaf | None = None
    digest: str | None = None
    if shown.der is not None:
        leaf, strange = _read(shown.der)
        digest = hashlib.sha256(shown.der).hexdigest() if leaf is None else None
        if strange is not None and (trusted is False or leaf is None):
            trouble, error, trusted = PortTrouble.UNREADABLE, f"{place.address}: {strange}", None
    if leaf and trouble is PortTrouble.EXPIRED and leaf.not_after > clock.now():
        trouble, error = PortTrouble.UNTRUSTED, f"{place.address}: a certificate above the leaf has expired"
    server_name = place.target.endpoint.server_name
    matches = name_matches(leaf, server_name) if leaf else None
    if matches is False and trouble is None:
        trouble = PortTrouble.NAME_MISMATCH
        error = f"{place.address}: the certificate is not for {server_name}"
    return Sight(
        endpoint=place.target.endpoint,
        address=place.address,
        at=clock.now(),
        local=place.local,
        connected=shown.connected,
        completed=shown.der is not None,
        leaf=leaf,
        trusted=trusted if shown.der is not None else None,
        name_matches=matches,
        error=error,
        trouble=trouble,
        roots=place.target.roots,
        family=place.target.family,
        digest=digest,
    )
