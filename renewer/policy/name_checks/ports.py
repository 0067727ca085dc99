"""What answers at a name's addresses, for the challenges that need it. Seen from here: NAT can mislead."""

from collections.abc import Iterator, Sequence

from renewer.model.inspection import Asked, Finding, PortSeen
from renewer.policy.name_checks.words import error, info, listed, warning

_FROM_HERE = "; behind NAT or a firewall our own look can be wrong"
_REFUSED = "refused"


def judge(seen: Sequence[PortSeen], asked: Asked) -> Iterator[Finding]:
    """Every address must work, since an authority may take any; IPv6 first (RFC 8555 §8.3 leaves it free)."""
    reached = [one for one in seen if not one.no_route]
    for port in dict.fromkeys(one.port for one in reached):
        here = [one for one in reached if one.port == port]
        if asked.challenge == "tls-alpn-01":
            yield from _tls(here, asked)
        elif asked.listens:
            yield from _before_listening(here, asked)
        else:
            yield from _http(here, asked)


def _http(seen: Sequence[PortSeen], asked: Asked) -> Iterator[Finding]:
    closed = [one for one in seen if not one.connected]
    if closed:
        everywhere = len(closed) == len(seen)
        yield (error if everywhere else warning)(
            "port-closed",
            f"{asked.name}: no connection to port {closed[0].port} at {_why(closed)}; {asked.challenge} is "
            f"validated there{_FROM_HERE}",
            "let the web server listen there and the firewall pass it from everywhere"
            if everywhere
            else "let the web server listen on that address, too, or take the record out: authorities "
            "prefer IPv6",
        )
    for one in seen:
        if one.connected and (finding := _answer(one, asked)):
            yield finding


def _answer(one: PortSeen, asked: Asked) -> Finding | None:
    """A file that is not there: 404 is what a well-configured server says."""
    where = f"{asked.name} at {one.address}"
    if one.error:
        return error("http-broken", f"{where}: {one.way}: {one.error}; {asked.challenge} fails", _SERVE)
    if one.status == 200:
        return warning(
            "http-catch-all",
            f"{where} answers 200 for a token that does not exist ({one.way}): another program takes these "
            "requests, and may take the real one, too",
            _SERVE,
        )
    if one.status in (401, 403) or one.status >= 500:
        return warning(
            "http-refused",
            f"{where} answers {one.status} below /.well-known/acme-challenge/ ({one.way}); "
            f"{asked.challenge} may "
            "fail",
            _SERVE,
        )
    return None


_SERVE = (
    "let /.well-known/acme-challenge/ be served from the webroot as plain files, without a login or redirects"
)


def _before_listening(seen: Sequence[PortSeen], asked: Asked) -> Iterator[Finding]:
    """Nobody listens yet, so a refusal is right; silence is a firewall's; an answer is somebody else's."""
    dropped = [one for one in seen if not one.connected and _REFUSED not in one.error]
    if dropped:
        yield warning(
            "port-filtered",
            f"{asked.name}: {_why(dropped)} (port {dropped[0].port}): packets are dropped on the way, and "
            f"{asked.challenge} is validated there{_FROM_HERE}",
            "open the port in the firewall; `before` and `after` of the challenge can do it for the moment",
        )
    taken = [one for one in seen if one.connected and one.ours]
    if taken:
        yield warning(
            "port-taken",
            f"somebody listens on {listed(one.address for one in taken)} port {taken[0].port} of this "
            "host, where "
            f"our own listener shall answer for {asked.name}",
            "use webroot with that server, or pass the requests on to our listener",
        )


def _tls(seen: Sequence[PortSeen], asked: Asked) -> Iterator[Finding]:
    closed = [one for one in seen if not one.connected and not (asked.listens and _REFUSED in one.error)]
    if closed:
        yield (error if len(closed) == len(seen) else warning)(
            "port-closed",
            f"{asked.name}: no connection to port {closed[0].port} at {_why(closed)}; {asked.challenge} is "
            f"validated there{_FROM_HERE}",
            "open the port for everybody",
        )
    mute = [one for one in seen if one.connected and one.error]
    if mute:
        yield info(
            "no-tls",
            f"{asked.name}: no TLS handshake at {_why(mute)}",
            "nothing, if our own listener answers there when it is needed",
        )


def _why(seen: Sequence[PortSeen]) -> str:
    return listed(f"{one.address} ({one.error})" for one in seen)
