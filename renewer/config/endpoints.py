"""Ports where a certificate must be served."""

from msgspec import UNSET

from renewer.config.scalars import duration, host_and_port
from renewer.config.schema import EndpointTable
from renewer.model.desired import Endpoint, Starttls
from renewer.model.names import Identifier, IdentifierType

_PORTS = {
    Starttls.SMTP: 25,
    Starttls.SUBMISSION: 587,
    Starttls.IMAP: 143,
    Starttls.POP3: 110,
    Starttls.LDAP: 389,
    Starttls.POSTGRESQL: 5432,
    Starttls.MYSQL: 3306,
    Starttls.XMPP: 5222,
    Starttls.FTP: 21,
    Starttls.SIEVE: 4190,
}


def default_endpoints(names: tuple[Identifier, ...]) -> tuple[Endpoint, ...]:
    """Each DNS name that is no wildcard, on :443."""
    return tuple(
        Endpoint(server_name=name.value)
        for name in names
        if name.type is IdentifierType.DNS and not name.wildcard
    )


def resolve_endpoint(given: str | EndpointTable, names: tuple[Identifier, ...]) -> Endpoint:
    """One entry of `endpoints`. Raises ValueError with a sentence.

    An address that is none of the certificate's names is looked at under its first DNS name.
    """
    if isinstance(given, str):
        text, port = host_and_port(given)
        host = Identifier.parse(text)
        if host.type is IdentifierType.IP and not _covered(host, names):
            return Endpoint(server_name=_first(names, host), port=port or 443, host=host.value)
        return Endpoint(server_name=_wanted(host, names), port=port or 443)
    starttls = None if given.starttls is UNSET else given.starttls
    port = given.port if given.port is not UNSET else _PORTS[starttls] if starttls else 443
    if not 1 <= port <= 65535:
        raise ValueError(f"{port} is not a port: a number from 1 to 65535")
    address = None if given.host is UNSET else Identifier.parse(given.host)
    if address and address.wildcard:
        raise ValueError(f"'{address}' is no host that can be asked")
    if given.server_name is not UNSET:
        server_name = _wanted(Identifier.parse(given.server_name), names)
    elif address is None:
        raise ValueError("needs host or server_name")
    elif _covered(address, names):
        server_name = address.value
    else:
        server_name = _first(names, address)
    if starttls is not None and given.protocol is not UNSET:
        raise ValueError("has starttls and protocol: the latter is for TLS from the first byte, take one out")
    return Endpoint(
        server_name=server_name,
        port=port,
        host=address.value if address else None,
        starttls=starttls,
        protocol=None if given.protocol is UNSET else given.protocol,
        timeout=None if given.timeout is UNSET else duration(given.timeout, "1s", "2m").total_seconds(),
        proxy_protocol=given.proxy_protocol is True,
    )


def _covered(name: Identifier, names: tuple[Identifier, ...]) -> bool:
    return name in names or any(one.wildcard and one.covers(name) for one in names)


def _wanted(name: Identifier, names: tuple[Identifier, ...]) -> str:
    if name.wildcard:
        raise ValueError(f"'{name}' is no host that can be asked: give one below it")
    if not _covered(name, names):
        raise ValueError(
            f"'{name}' is not one of this certificate's names: to look at another host, write "
            f'{{ host = "{name}", server_name = "{names[0] if names else "…"}" }}'
        )
    return name.value


def _first(names: tuple[Identifier, ...], otherwise: Identifier) -> str:
    plain = (name.value for name in names if name.type is IdentifierType.DNS and not name.wildcard)
    return next(plain, otherwise.value)
