"""DANE (RFC 6698) at the ports of a certificate: who asks for TLSA records refuses any other key."""

from collections.abc import Sequence

from renewer import x509
from renewer.errors import RenewerError
from renewer.model.desired import Certificate, Config
from renewer.model.inspection import Finding, Pinned
from renewer.model.names import Identifier, IdentifierType
from renewer.network.dns import tlsa
from renewer.policy import dane
from renewer.store.disk import DiskStore


def look(
    config: Config, wishes: Sequence[Certificate], state: str, deadline: float
) -> dict[tuple[str, str], tuple[Finding, ...]]:
    """What was found, by certificate and name, by `deadline` (of clock.monotonic).

    Raises GiveUp if this host names no resolver.
    """
    places = [(wish, name, place) for wish in wishes for name, place in _places(wish)]
    seen = tlsa.look((place for _, _, place in places), resolvers=config.agent.resolvers, deadline=deadline)
    pinned = {wish.name: _pinned(state, wish.name) for wish, _, place in places if seen.get(place)}
    found: dict[tuple[str, str], tuple[Finding, ...]] = {}
    for wish, name, place in places:
        records = seen.get(place, ())
        publisher = next((one for one in wish.hooks if config.hooks[one].publishes), "")
        told = dane.judge(wish.name, records, reuse_key=wish.reuse_key, publisher=publisher)
        told += dane.compare(records, pinned.get(wish.name, ()))
        found[wish.name, name] = found.get((wish.name, name), ()) + told
    return {key: told for key, told in found.items() if told}


def _pinned(state: str, name: str) -> tuple[Pinned, ...]:
    """What is live, and a newer one that waits to be; nothing where it may not be read."""
    store = DiskStore(state)
    found = []
    try:
        shelf = store.shelf(name)
        newest = max((one.id for one in shelf.found), default=None)
        for version in dict.fromkeys(one for one in (shelf.live, newest) if one):
            material, live = store.read(name, version), version == shelf.live
            leaf, *above = x509.split_chain(material.fullchain)
            found.append(
                Pinned(
                    what="what is live" if live else f"version {version}, which is not live yet",
                    live=live,
                    leaf=x509.tlsa(leaf),
                    above=frozenset().union(*(x509.tlsa(one) for one in above)),
                    spki_sha256=x509.spki(leaf),
                )
            )
    except (RenewerError, ValueError):
        return ()
    return tuple(found)


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
