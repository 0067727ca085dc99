"""DANE (RFC 6698) at the ports of a certificate: who asks for TLSA records refuses any other key."""

from collections.abc import Sequence

from renewer.model.desired import Certificate
from renewer.model.inspection import Finding
from renewer.model.names import Identifier, IdentifierType
from renewer.network.dns import tlsa
from renewer.policy import dane


def look(
    wishes: Sequence[Certificate], resolvers: tuple[str, ...], deadline: float
) -> dict[tuple[str, str], tuple[Finding, ...]]:
    """What was found, by certificate and name, by `deadline` (of clock.monotonic).

    Raises GiveUp if this host names no resolver.
    """
    places = [(wish, name, place) for wish in wishes for name, place in _places(wish)]
    seen = tlsa.look((place for _, _, place in places), resolvers=resolvers, deadline=deadline)
    found: dict[tuple[str, str], tuple[Finding, ...]] = {}
    for wish, name, place in places:
        told = dane.judge(wish.name, seen.get(place, ()), reuse_key=wish.reuse_key)
        found[wish.name, name] = found.get((wish.name, name), ()) + told
    return {key: told for key, told in found.items() if told}


def _places(wish: Certificate) -> list[tuple[str, str]]:
    """Where records of its endpoints would lie (RFC 6698 §3), each with the certificate's name for it."""
    found: dict[tuple[str, str], None] = {}
    for endpoint in wish.endpoints:
        try:
            asked = Identifier.parse(endpoint.server_name)
        except ValueError:
            continue
        if asked.type is IdentifierType.DNS:
            shown = next((one.base for one in wish.names if one == asked or one.covers(asked)), "")
            found[shown or wish.names[0].base, f"_{endpoint.port}._tcp.{asked.base}"] = None
    return list(found)
