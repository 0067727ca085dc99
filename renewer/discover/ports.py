"""What the ports of this host show: a handshake where the port, or whose it is, is known to speak TLS."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from renewer.model.facts import Leaf
from renewer.model.installed import EVERYWHERE, CertificateUse, ListeningSocket, Opening, PortShows
from renewer.model.served import BEFORE_TLS, Endpoint, Starttls
from renewer.network import verify

_AT_ONCE = frozenset((443, 465, 636, 853, 990, 993, 995, 5061, 5223, 5671, 6514, 8443, 8883))
_BY_PROCESS = {"postgres": Starttls.POSTGRESQL, "mariadbd": Starttls.MYSQL, "mysqld": Starttls.MYSQL}
_PROGRAMS = {  # how the programs of a server are called, as the kernel has it
    "nginx": ("nginx",),
    "apache": ("apache2", "httpd"),
    "haproxy": ("haproxy",),
    "lighttpd": ("lighttpd",),
    "caddy": ("caddy",),
    "postfix": ("master", "smtpd", "postscreen", "tlsproxy"),
    "dovecot": ("dovecot", "imap-login", "pop3-login", "submission-login", "managesieve-log", "config"),
    "exim": ("exim", "exim4"),
    "postgresql": ("postgres", "postmaster"),
    "mariadb": ("mariadbd", "mysqld"),
    "prosody": ("prosody", "lua", "lua5.1", "lua5.2", "lua5.3", "lua5.4"),
}
_WORKERS = 64
_NAMES = 1  # asked for at a port, of each use
_PLAIN = re.compile(r"[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?")


class _Asked(NamedTuple):
    """A look: where, for which name, and the uses whose certificates should be shown there."""

    socket: ListeningSocket
    opening: Opening
    name: str
    uses: tuple[CertificateUse, ...]


def look(
    sockets: Sequence[ListeningSocket],
    uses: Sequence[CertificateUse],
    disk: Mapping[str, Leaf | None],
) -> tuple[list[PortShows], dict[str, Leaf]]:
    """What is shown, and the leaves by fingerprint; `disk` are the leaves of the files that servers name."""
    asked = list(_asked(sockets, uses, disk))
    targets: dict[verify.Target, list[_Asked]] = {}
    for one in asked:
        targets.setdefault(verify.Target(endpoint=_endpoint(one), roots=verify.ANY), []).append(one)
    sights = {sight.endpoint: sight for sight in verify.look(list(targets), workers=_WORKERS)}
    shown, leaves = [], {}
    for target, several in targets.items():
        sight = sights.get(target.endpoint)
        if sight is None:
            continue
        if sight.leaf:
            leaves[sight.leaf.fingerprint] = sight.leaf
        shown += [_shown(one, sight, disk) for one in several]
    return shown, leaves


def _shown(one: _Asked, sight: verify.Sight, disk: Mapping[str, Leaf | None]) -> PortShows:
    files = {use.certificate: leaf.fingerprint for use in one.uses if (leaf := disk.get(use.certificate))}
    matches = sight.fingerprint in files.values() if files and sight.fingerprint else None
    file = next((path for path, fingerprint in files.items() if fingerprint == sight.fingerprint), "")
    how = f"a handshake with {_place(one.socket)}" + (f" for {one.name}" if one.name else "")
    return PortShows(
        address=one.socket.address,
        port=one.socket.port,
        server_name=one.name,
        starttls=one.opening.starttls,
        fingerprint=sight.fingerprint,
        error=None if sight.fingerprint else sight.error,
        server=one.uses[0].server if one.uses else one.socket.process,
        file=file or next(iter(files), ""),
        matches_disk=matches,
        how=how,
    )


def _asked(
    sockets: Iterable[ListeningSocket], uses: Sequence[CertificateUse], disk: Mapping[str, Leaf | None]
) -> Iterator[_Asked]:
    by_port: dict[int, list[tuple[Opening, CertificateUse]]] = {}
    for use in uses:
        for opening in use.openings:
            by_port.setdefault(opening.port, []).append((opening, use))
    for socket in _distinct(sockets):
        fitting = [(o, use) for o, use in by_port.get(socket.port, ()) if _fits(socket, o, use)]
        blocks: dict[tuple[Opening, tuple[str, ...]], list[CertificateUse]] = {}
        for opening, use in fitting:
            # Of certificates without names of their own, each is asked for by what it says itself
            names = use.names or _own_names(disk.get(use.certificate))
            blocks.setdefault((opening, names), []).append(use)
        for (opening, names), several in blocks.items():
            askable = [name for name in map(_askable, names) if name]
            for name in askable[:_NAMES] or [""]:
                yield _Asked(socket, opening, name, tuple(several))
        if not fitting and (known := _known(socket)):
            yield _Asked(socket, known, "", ())


def _fits(socket: ListeningSocket, opening: Opening, use: CertificateUse) -> bool:
    if socket.process and not socket.process.startswith(_PROGRAMS.get(use.server, ("",))):
        return False
    return opening.address in (*EVERYWHERE, "localhost", socket.address) or socket.address in EVERYWHERE


def _known(socket: ListeningSocket) -> Opening | None:
    """What is spoken at a port that no configuration tells of; None where nobody knows."""
    before = _BY_PROCESS.get(socket.process) or BEFORE_TLS.get(socket.port)
    if before or socket.port in _AT_ONCE:
        return Opening(address=socket.address, port=socket.port, starttls=before)
    return None


def _distinct(sockets: Iterable[ListeningSocket]) -> list[ListeningSocket]:
    """Each port once where a server has it at every address of both families."""
    found = list(sockets)
    wide = {(one.port, one.pid) for one in found if one.address in EVERYWHERE - {"::"}}
    return [one for one in found if one.address != "::" or (one.port, one.pid) not in wide]


def _own_names(leaf: Leaf | None) -> tuple[str, ...]:
    return tuple(str(name) for name in leaf.names) if leaf else ()


def _askable(name: str) -> str:
    """A name that can be asked for: one below a wildcard, none for what is no host name."""
    name = name.lower().removeprefix("*").lstrip(".") if name[:1] == "*" else name.lower().lstrip(".")
    return name if _PLAIN.fullmatch(name) else ""


def _endpoint(one: _Asked) -> Endpoint:
    address = one.socket.address
    if address in EVERYWHERE:
        address = "::1" if address == "::" else "127.0.0.1"
    return Endpoint(
        server_name=one.name or address,
        host=address,
        port=one.socket.port,
        starttls=one.opening.starttls,
        proxy_protocol=one.opening.proxy_protocol,
    )


def _place(socket: ListeningSocket) -> str:
    return f"[{socket.address}]:{socket.port}" if ":" in socket.address else f"{socket.address}:{socket.port}"
