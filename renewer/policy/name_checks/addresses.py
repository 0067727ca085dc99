"""Where a name points: from here, and by its own servers."""

from collections.abc import Iterator, Sequence

from renewer.model.inspection import Finding, NameAsked, NameSeen, PortSeen, Severity, Stop, Trail
from renewer.policy.name_checks.words import Make, arrows, error, info, listed, warning

_BY_ADDRESS = ("http-01", "tls-alpn-01")  # challenges for which the authority connects to the name


def judge(seen: NameSeen, asked: NameAsked) -> Iterator[Finding]:
    """Names that lead nowhere stop the challenges that need an address; for others they are good to know."""
    needed = asked.challenge in _BY_ADDRESS and not asked.wildcard
    bad: Make = error if needed else info
    if seen.host is not None:
        yield from _trail(seen, seen.host, bad, asked)
    if seen.resolved is not None:
        yield from _from_here(seen, bad)
    if needed and seen.ports:
        yield from _whereabouts(seen, asked)


def _trail(seen: NameSeen, host: Trail, bad: Make, asked: NameAsked) -> Iterator[Finding]:
    name, end = host.asked, host.end
    if host.stop is Stop.CIRCLE:
        yield bad(
            "alias-loop",
            f"the aliases of {name} run in a circle: {arrows(host.chain)}; no authority can reach it",
            "mend these CNAME records: they must end at a name that is none",
        )
    elif host.trouble:
        # that nobody here answers is said once, by the judge of servers
        yield bad(
            "dns-failed",
            f"{name} cannot be looked up: {host.trouble}; authorities fail in the same way",
            "is the domain registered and paid for, and are the NS records at its parent right?",
        )
    elif any(not one.exists for one in end.said) and not seen.addresses_known:
        yield _missing(host, bad, asked)
    elif end.said and not seen.addresses_known and any(not one.trouble for one in end.said):
        yield bad(
            "no-address",
            f"{end.name} has neither an A nor an AAAA record"
            + (f" ({arrows(host.chain)})" if len(host.chain) > 1 else "")
            + (f"; {asked.challenge} cannot be validated" if bad is error else ""),
            f"add an A or AAAA record for {end.name} in the zone {end.zone}",
        )


def _missing(host: Trail, bad: Make, asked: NameAsked) -> Finding:
    end = host.end
    breaks = f"; {asked.challenge} cannot be validated" if bad is error else ""
    if len(host.chain) > 1:
        return bad(
            "dangling-alias",
            f"{host.asked} is an alias of a name that does not exist: {arrows(host.chain)}{breaks}",
            f"remove the CNAME, or add {end.name}: whoever can create that name takes over {host.asked}",
        )
    return bad(
        "no-such-name",
        f"{end.name} does not exist in the zone {end.zone}{breaks}",
        f"add an A or AAAA record for it, or take it out of [certificate.{asked.certificate}]",
    )


def _from_here(seen: NameSeen, bad: Make) -> Iterator[Finding]:
    here = seen.resolved
    own = seen.authoritative
    if here is None:
        return
    if here.trouble:
        if not any(one.refused_from for one in seen.signed):
            yield (error if bad is error and not own else warning)(
                "resolver-failed",
                f"the resolver of this host gives no answer about {seen.name}: it {here.trouble}",
                "if its own servers answer (see the other findings) the resolver is at fault, "
                "else authorities' resolvers fail, too",
            )
    elif own and set(here.addresses) != set(own) and not _varies(seen):
        says = listed(here.addresses) or "no address"
        yield info(
            "split-dns",
            f"{seen.name} resolves to {says} from here, but its own servers say {listed(own)}: split DNS, "
            "an answer by place, or one that is still cached",
            "authorities see what its own servers say to them; nothing to do if that is meant",
        )


def _varies(seen: NameSeen) -> bool:
    """Whether its servers disagree among themselves, which is told as such."""
    return seen.host is not None and len({one.addresses for one in seen.host.end.said if not one.trouble}) > 1


def _whereabouts(seen: NameSeen, asked: NameAsked) -> Iterator[Finding]:
    public = any(one.public for one in asked.authorities)
    private = [one.address for one in seen.ports if is_private(one.address)]
    if private and public:
        yield Finding(
            severity=Severity.ERROR if len(private) == len(seen.ports) else Severity.WARNING,
            code="private-address",
            text=f"{seen.name} points to {listed(private)}, which nobody on the internet can reach; "
            f"{asked.challenge} at a public authority fails",
            hint="publish the public address, or prove the name by dns-01",
        )
    elif not any(one.ours for one in seen.ports):
        yield info(
            "elsewhere",
            f"{seen.name} points to {listed(one.address for one in seen.ports)}, none of which is an address "
            "of this host",
            "normal behind NAT, a load balancer or a CDN: then they must pass port 80 on to this host",
        )


def is_private(address: str) -> bool:
    """Whether an address means nothing outside its own network (RFC 1918, RFC 4193, loopback and so on)."""
    from ipaddress import ip_address

    try:
        return not ip_address(address).is_global
    except ValueError:
        return False


_FROM_HERE = "; behind NAT or a firewall our own look can be wrong"
_REFUSED = "refused"


def judge_ports(seen: Sequence[PortSeen], asked: NameAsked) -> Iterator[Finding]:
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


def _http(seen: Sequence[PortSeen], asked: NameAsked) -> Iterator[Finding]:
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


def _answer(one: PortSeen, asked: NameAsked) -> Finding | None:
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


def _before_listening(seen: Sequence[PortSeen], asked: NameAsked) -> Iterator[Finding]:
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


def _tls(seen: Sequence[PortSeen], asked: NameAsked) -> Iterator[Finding]:
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
