"""What answers at one address, as seen from here."""

import errno
import socket
from typing import NamedTuple

import msgspec

from renewer import clock
from renewer.model.desired import Endpoint
from renewer.model.inspection import PortSeen
from renewer.network.challenges.http01.fetch import fetch
from renewer.network.challenges.http01.token import URL_PATH
from renewer.network.verify import ANY, Target, look
from renewer.network.verify.sight import Trouble, is_ours

PROBE = "renewer-probe"  # no token: what answers is the web server, not a challenge
TIME_LIMIT = 4.0  # seconds for one address
_NO_ROUTE = (errno.ENETUNREACH, errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT, errno.ENETDOWN)


class Doorway(NamedTuple):
    """What is spoken (`http` or `tls`), and at which port."""

    speech: str
    port: int


def see(name: str, address: str, door: Doorway, deadline: float) -> PortSeen:
    """One address of a name, before the deadline (of clock.monotonic)."""
    deadline = min(deadline, clock.monotonic() + TIME_LIMIT)
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    seen = PortSeen(address=address, port=door.port, ours=is_ours(family, address))
    return _http(name, seen, family, deadline) if door.speech == "http" else _tls(name, seen, deadline)


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


def _tls(name: str, seen: PortSeen, deadline: float) -> PortSeen:
    endpoint = Endpoint(server_name=name, port=seen.port, host=seen.address)
    left = max(0.001, deadline - clock.monotonic())
    (sight,) = look([Target(endpoint=endpoint, roots=ANY)], timeout=left, workers=1)
    error = "" if sight.completed else (sight.error or "").removeprefix(f"{sight.address}: ")
    return msgspec.structs.replace(
        seen,
        connected=sight.connected,
        error=error,
        no_route=sight.trouble is Trouble.NETWORK and not sight.connected,
    )
