"""A GET as the authority would make it, bounded in time and size, with the whole way told; a visit."""

import errno
import ipaddress
import re
import socket
from enum import IntEnum
from urllib.parse import urljoin, urlsplit

import msgspec

from renewer import __version__, clock, words
from renewer.errors import RenewerError
from renewer.model.desired import Endpoint
from renewer.model.inspection import PortSeen
from renewer.model.token import URL_PATH
from renewer.network import http
from renewer.network.verify.handshake import see
from renewer.network.verify.messages import Doorstep, Fetched
from renewer.network.verify.sight import ANY, PortTrouble, Target, is_ours, resolve

MAX_REDIRECTS = 10
MAX_BYTES = 64 * 1024  # of an answer, its headers included
MAX_BODY = 4 * 1024
_FIELDS = {"User-Agent": f"renewer/{__version__} (preflight)", "Accept": "*/*"}

_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")  # RFC 6052 §2.1


class _Fault(Exception):
    """Why there is no answer; ends at `fetch`."""


def fetch(url: str, *, deadline: float, at: str = "") -> Fetched:
    """GET `url` before `deadline` (of clock.monotonic), following redirects. Never raises.

    `at` is the address to ask for the URL's host, instead of all that the system finds for it.
    """
    first, reach = urlsplit(url).hostname, None
    ports = {80, 443, urlsplit(url).port or 80}
    trace = ""
    try:
        for hop in range(MAX_REDIRECTS + 1):
            trace += f", redirected to {_shown(url)}" if hop else _shown(url)
            same = urlsplit(url).hostname == first
            address, answer = _get(url, deadline, at if same else "", reach)
            reach = reach_of(address) if reach is None else reach
            trace += f" ({address})" if address not in _shown(url) else ""
            if answer.status not in (301, 302, 303, 307, 308) or not answer.location:
                return Fetched(
                    trace=trace,
                    status=answer.status,
                    phrase=words.output(answer.reason.encode())[:60],
                    body=answer.body,
                    elsewhere=not same,
                )
            url = _next(url, answer.location, ports)
    except _Fault as fault:
        return Fetched(trace=trace, error=str(fault))
    return Fetched(trace=trace, error=f"more than {MAX_REDIRECTS} redirects")


def _shown(url: str) -> str:
    return words.output(url.encode())[:300]


def _next(url: str, location: str, ports: set[int]) -> str:
    """Where a redirect leads. Authorities follow http and https on their own ports only."""
    target = re.sub(r"[^\x21-\x7e]", "", location)
    try:
        target = urljoin(url, target)
        parts = urlsplit(target)
        port = parts.port or (443 if parts.scheme == "https" else 80)
    except ValueError:
        raise _Fault(f"it redirects to {_shown(target)}, which is no URL") from None
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise _Fault(f"it redirects to {_shown(target)}, which no authority follows (only http and https)")
    if port not in ports:
        raise _Fault(f"it redirects to {_shown(target)}; authorities follow to the ports 80 and 443 only")
    return target


class Reach(IntEnum):
    """From where an address can be reached, the widest first."""

    PUBLIC = 0
    PRIVATE = 1
    LINK = 2
    HOST = 3


_INNER = {
    Reach.PUBLIC: "it",
    Reach.PRIVATE: "an inner network",
    Reach.LINK: "an address of this link",
    Reach.HOST: "this host itself",
}


def reach_of(address: str) -> Reach:
    """From where an address can be reached; one that carries an IPv4 address, as that one.

    Whoever answers for a public name must not make us ask inner hosts or this host's own services.
    """
    found = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(found, ipaddress.IPv6Address):
        inner = found.ipv4_mapped or found.sixtofour
        if found in _NAT64:
            inner = ipaddress.IPv4Address(int(found) & 0xFFFFFFFF)
        found = inner or found
    if found.is_loopback or found.is_unspecified:
        return Reach.HOST
    if found.is_link_local or found.is_multicast:
        return Reach.LINK
    return Reach.PUBLIC if found.is_global else Reach.PRIVATE


def _allowed(address: str, reach: Reach | None) -> bool:
    """Whether a redirect may lead there from an address of that reach: outwards, or where we were already."""
    return reach is None or (to := reach_of(address)) is reach or to < min(reach, Reach.LINK)


def _get(url: str, deadline: float, at: str, reach: Reach | None) -> tuple[str, http.Answer]:
    parts = urlsplit(url)
    host = parts.hostname or ""
    port = parts.port or (443 if parts.scheme == "https" else 80)
    sock, address = _connect(at or host, port, deadline, reach)
    try:
        if parts.scheme == "https":
            # RFC 8555 §8.3 starts at port 80 and authorities do not verify where a redirect leads: the
            # certificate being renewed may be the very one that expired
            sock = http.secured(sock, host, None, deadline, verified=False)
        with sock:
            return address, http.exchange(
                *(sock, "GET", parts, _FIELDS), deadline=deadline, limit=MAX_BYTES, wanted=MAX_BODY
            )
    except TimeoutError:
        raise _Fault(f"connected to {address}, but no answer in time") from None
    except OSError as error:
        raise _Fault(f"connected to {address}, but {_why(error)}") from None
    except RenewerError as error:
        raise _Fault(f"connected to {address}, but {error.text}") from None
    except http.NoHTTPError as error:
        raise _Fault(f"{address} did not answer in HTTP ({_shown(str(error))})") from None


def _connect(host: str, port: int, deadline: float, reach: Reach | None) -> tuple[socket.socket, str]:
    """Connect to the first address that accepts, in the system's order (IPv6 and IPv4 as it prefers).

    `reach` is that of the address that redirected here, if one did.
    """
    try:
        found = http.addresses(host, port, deadline)
    except TimeoutError:
        raise _Fault(f"{host} could not be resolved in time") from None
    except OSError as error:
        raise _Fault(f"{host} does not resolve here: {error.strerror or error}") from None
    tried = []
    for address in found:
        shown = str(address.at[0])
        if not _allowed(shown, reach):
            what = _INNER[reach_of(shown)]
            tried.append(f"{shown} is not asked: a redirect to {what} is not followed")
            continue
        try:
            return http.dial(address, deadline, last=address is found[-1]), shown
        except OSError as error:
            tried.append(f"{shown} port {port}: {_why(error)}")
    raise _Fault("; ".join(tried[:4]) or f"{host} has no address")


def _why(error: OSError) -> str:
    return "no answer in time" if isinstance(error, TimeoutError) else (error.strerror or str(error)).lower()


PROBE = "renewer-probe"  # no token: what answers is the web server, not a challenge
VISIT = 4.0  # seconds for one address
_NO_ROUTE = (errno.ENETUNREACH, errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT, errno.ENETDOWN)


def visit(step: Doorstep, deadline: float) -> PortSeen:
    """One address of a name, before the deadline (of clock.monotonic)."""
    deadline = min(deadline, clock.monotonic() + VISIT)
    family = socket.AF_INET6 if ":" in step.address else socket.AF_INET
    seen = PortSeen(address=step.address, port=step.port, ours=is_ours(family, step.address))
    return (_tls if step.tls else _http)(step.name, seen, family, deadline)


def _http(name: str, seen: PortSeen, family: int, deadline: float) -> PortSeen:
    try:
        with socket.socket(family, socket.SOCK_STREAM) as connection:
            connection.settimeout(max(0.001, (deadline - clock.monotonic()) / 2))
            connection.connect((seen.address, seen.port))
    except OSError as error:
        why = "no answer in time" if isinstance(error, TimeoutError) else error.strerror or str(error)
        return msgspec.structs.replace(seen, error=why.lower(), no_route=error.errno in _NO_ROUTE)
    host = f"[{name}]" if ":" in name else name
    port = "" if seen.port == 80 else f":{seen.port}"
    found = fetch(f"http://{host}{port}{URL_PATH}{PROBE}", deadline=deadline, at=seen.address)
    return msgspec.structs.replace(
        seen, connected=True, error=found.error, way=found.trace, status=found.status
    )


def _tls(name: str, seen: PortSeen, _: int, deadline: float) -> PortSeen:
    endpoint = Endpoint(server_name=name, port=seen.port, host=seen.address)
    left = max(0.001, deadline - clock.monotonic())
    (place,) = resolve(Target(endpoint=endpoint, roots=ANY), left)
    sight = see(place, left)
    error = "" if sight.completed else (sight.error or "").removeprefix(f"{sight.address}: ")
    return msgspec.structs.replace(
        seen,
        connected=sight.connected,
        error=error,
        no_route=sight.trouble is PortTrouble.NETWORK and not sight.connected,
    )
