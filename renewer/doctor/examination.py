"""One look at all names, everything at the same time and within one time limit, and what follows from it."""

import base64
import contextlib
import errno
import hashlib
import re
import socket
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import msgspec

from renewer import certs, clock
from renewer.accounts.keeper import Keeper
from renewer.errors import RenewerError
from renewer.model.desired import Authority, Certificate, Challenge, Config, Endpoint, Http01
from renewer.model.inspection import (
    Candidate,
    Checkup,
    Finding,
    NameAsked,
    NameSeen,
    Pinned,
    PortSeen,
    Resolved,
)
from renewer.model.names import Identifier, IdentifierType
from renewer.model.token import URL_PATH
from renewer.model.value import Value
from renewer.network.challenges.http01.fetch import fetch
from renewer.network.dns import tlsa
from renewer.network.dns.ask import together
from renewer.network.dns.caa import relevant
from renewer.network.dns.dnssec import signed
from renewer.network.dns.resolvers import Lookups, Resolvers, addresses, silent
from renewer.network.dns.zones import Zones
from renewer.network.verify import ANY, Target, look
from renewer.network.verify.sight import PortTrouble, is_ours
from renewer.policy import challenge as choosing
from renewer.policy.name_checks import judge
from renewer.policy.name_checks.records import IDENTITIES, compare, judge_tlsa
from renewer.store.disk import DiskStore

LIMIT = 20.0  # seconds for everything
_AT_LAST = 0.15  # the share of the time that is kept for the ports
_RESOLVER = 1.5  # seconds for the resolvers to show that there is one
_TO_SAY = 0.2  # seconds of the time limit in which nobody is waited for any more
MAX_ADDRESSES = 8  # of one name that are connected to
Key = tuple[str, str]  # a name, and the type of challenge that proves it
# the label of a challenge's record, by type
LABELS = {"dns-01": "_acme-challenge", "dns-persist-01": "_validation-persist"}
_DOMAIN = re.compile(r"[a-z0-9.-]{1,253}")


class Doors(Value):
    """Where DNS, HTTP and TLS are spoken: the well-known ports but for tests."""

    dns: int = 53
    http: int = 80
    tls: int = 443


def examine(
    config: Config,
    wishes: Iterable[Certificate],
    *,
    state: str,
    limit: float = LIMIT,
    doors: Doors | None = None,
) -> tuple[Checkup, ...]:
    """Look at every name of some certificates; `state` is where the accounts lie.

    Takes at most `limit` seconds and a little. Raises GiveUp if this host names no resolver.
    """
    doors = doors or Doors()
    deadline = clock.monotonic() + limit
    wishes = tuple(wishes)
    asked = [_question(wish, identifier) for wish in wishes for identifier in wish.names]
    names = _Names(config, state, deadline - limit * _AT_LAST, doors)
    work: dict[tuple[str, str], Callable[[], object]] = {
        ("names", kind): partial(names.look, [one for one in asked if one.challenge == kind])
        for kind in {one.challenge for one in asked}
    }
    for name in {name for wish in wishes for name in wish.authorities}:
        work["authority", name] = partial(candidate, config, name, state, limit / 2)
    work["names", "TLSA"] = partial(look_at_tlsa, config, wishes, state, deadline - limit * _AT_LAST)
    found = together(work, deadline)
    pinned: Any = found.pop(("names", "TLSA"), {})
    seen: dict[Key, NameSeen] = {}
    for one in found.values():
        seen |= one if isinstance(one, dict) else {}
    seen = _with_ports(asked, seen, deadline, doors)
    known = {one.name: one for one in found.values() if isinstance(one, Candidate)}
    return tuple(
        _judged(seen[_key(one)], one, known, pinned.get((one.certificate, one.name), ())) for one in asked
    )


def _judged(
    seen: NameSeen, asked: NameAsked, known: Mapping[str, Candidate], pinned: tuple[Finding, ...]
) -> Checkup:
    authorities = tuple(known.get(one.name, one) for one in asked.authorities)
    found = judge(seen, msgspec.structs.replace(asked, authorities=authorities), clock.now())
    name = f"*.{asked.name}" if asked.wildcard else asked.name
    return Checkup(name=name, certificate=asked.certificate, findings=found + pinned)


def _question(wish: Certificate, identifier: Identifier) -> NameAsked:
    challenge: Challenge = choosing.configured(wish, identifier, wildcard=identifier.wildcard)
    return NameAsked(
        certificate=wish.name,
        name=identifier.base,
        wildcard=identifier.wildcard,
        challenge=choosing.type_of(challenge),
        authorities=tuple(Candidate(name=name) for name in wish.authorities),
        listens=not isinstance(challenge, Http01) or challenge.webroot is None,
        address=identifier.type is IdentifierType.IP,
    )


def _key(asked: NameAsked) -> Key:
    return asked.name, asked.challenge


class _Names:
    """What DNS says of names that are proved in the same way; addresses need none."""

    def __init__(self, config: Config, state: str, deadline: float, doors: Doors) -> None:
        self._config = config
        self._state = state
        self._resolvers = config.agent.resolvers
        self._deadline = deadline
        self._port = doors.dns

    def look(self, asked: Sequence[NameAsked]) -> dict[Key, NameSeen]:
        """Each once. Raises GiveUp if this host names no resolver."""
        names = {one.name: one.challenge for one in asked if not one.address}
        if not names:
            return {}
        if nobody_says := silent(self._resolvers, _RESOLVER):
            nobody = Resolved(trouble=f"does not answer ({', '.join(nobody_says)})")
            return {(name, kind): NameSeen(name=name, resolved=nobody) for name, kind in names.items()}
        labels = {one.name: self._label(one) for one in asked if not one.address}
        resolvers = Resolvers(self._resolvers)
        lookups = Lookups(resolvers.servers, deadline=self._deadline, port=self._port)
        found = _seen(lookups, Zones(resolvers, lookups), labels)
        return {(name, names[name]): one for name, one in found.items()}

    def _label(self, asked: NameAsked) -> str:
        """Where the challenge's record lies; that of dns-account-01 is known once there is an account."""
        if asked.challenge != "dns-account-01":
            return LABELS.get(asked.challenge, "")
        account = account_on_disk(self._config.authorities[asked.authorities[0].name], self._state)
        return account_label(account) if account else ""


# --- DNS ----------------------------------------------------------------------------------------------------


def _seen(lookups: Lookups, zones: Zones, labels: Mapping[str, str]) -> dict[str, NameSeen]:
    """What DNS says of each name; the label is that of its challenge's record, "" if it needs none."""
    work: dict[Key, Callable[[], object]] = {}
    for name, label in labels.items():
        work[name, "resolved"] = partial(addresses, lookups, name)
        work[name, "host"] = partial(zones.host, name)
        work[name, "caa"] = partial(relevant, lookups, name)
        if label:
            work[name, "proof"] = partial(zones.record, f"{label}.{name}")
    found = together(work, lookups.deadline)
    seen: dict[str, NameSeen] = {}
    for name in labels:
        parts = [part for owner, part in work if owner == name]
        known: dict[str, Any] = {part: found[name, part] for part in parts if (name, part) in found}
        late = tuple(part for part in parts if part not in known)
        seen[name] = NameSeen(name=name, unfinished=late, **known)
    return _with_signatures(lookups, zones, seen)


def _with_signatures(lookups: Lookups, zones: Zones, seen: Mapping[str, NameSeen]) -> dict[str, NameSeen]:
    """Each zone that a name depends on is judged once."""
    needs = {name: _zones(one) for name, one in seen.items()}
    first: dict[str, str] = {}
    for name, several in needs.items():
        for zone in several:
            first.setdefault(zone, name if f".{name}".endswith(f".{zone}") else zone)
    work = {
        zone: partial(signed, lookups, zones.met[zone], name)
        for zone, name in first.items()
        if zone in zones.met
    }
    found = together(work, lookups.deadline)
    told = {}
    for name, one in seen.items():
        late = () if all(zone in found for zone in needs[name] if zone in work) else ("dnssec",)
        told[name] = msgspec.structs.replace(
            one,
            signed=tuple(found[zone] for zone in needs[name] if zone in found),
            unfinished=one.unfinished + late,
        )
    return told


def _zones(seen: NameSeen) -> list[str]:
    trails = [one for one in (seen.host, seen.proof) if one is not None]
    return list(dict.fromkeys(hop.zone for trail in trails for hop in trail.hops if hop.zone))


# --- ports --------------------------------------------------------------------------------------------------


def _with_ports(
    asked: Sequence[NameAsked], names: Mapping[Key, NameSeen], deadline: float, doors: Doors
) -> dict[Key, NameSeen]:
    """The addresses of names whose challenge needs them are connected to."""
    empty = ("resolved", "host", "caa", "proof")
    seen = {
        _key(one): names.get(_key(one)) or NameSeen(name=one.name, unfinished=() if one.address else empty)
        for one in asked
    }
    doorways = {"http-01": Doorway("http", doors.http), "tls-alpn-01": Doorway("tls", doors.tls)}
    work = {}
    for one in asked:
        if one.challenge in doorways and not one.wildcard:
            addresses = (one.name,) if one.address else seen[_key(one)].addresses_known
            for address in addresses[:MAX_ADDRESSES]:
                door = doorways[one.challenge]
                work[_key(one), address] = partial(see, one.name, address, door, deadline - _TO_SAY)
    found = together(work, deadline, workers=32)
    for key, before in seen.items():
        mine = [address for owner, address in work if owner == key]
        late = ("ports",) if any((key, address) not in found for address in mine) else ()
        ports: tuple[PortSeen, ...] = tuple(found[key, at] for at in mine if (key, at) in found)
        seen[key] = msgspec.structs.replace(before, ports=ports, unfinished=before.unfinished + late)
    return seen


# --- authorities --------------------------------------------------------------------------------------------


def candidate(config: Config, name: str, state: str, timeout: float) -> Candidate:
    """The authority as CAA knows it: its identities (RFC 8555 §9.7.6) and our account's URL. Never raises."""
    authority = config.authorities[name]
    identities = IDENTITIES.get(authority.directory, ())
    public = authority.directory in IDENTITIES  # a private one may look from anywhere
    account, thumbprint = _on_disk(authority, state)
    prefix = None
    with contextlib.suppress(RenewerError):  # if it does not answer, what is known of it has to do
        keeper = Keeper(authority, state=state, timeout=timeout)
        try:
            directory = keeper.directory
            said = [*directory.issuers, *(one.lower().rstrip(".") for one in directory.caa)]
            prefix = directory.account_hash_prefix
        finally:
            keeper.close()
        identities = tuple(dict.fromkeys((*filter(_DOMAIN.fullmatch, said), *identities)))
    return Candidate(
        name=name,
        identities=identities,
        account=account,
        hash_prefix=prefix,
        thumbprint=thumbprint,
        public=public,
    )


def account_on_disk(authority: Authority, state: str) -> str:
    """The URL of our account, "" if there is none or it was deactivated. Never raises."""
    return _on_disk(authority, state)[0]


def _on_disk(authority: Authority, state: str) -> tuple[str, str]:
    """The URL of our account and its key's thumbprint, as they are remembered; "" for what is not."""
    try:
        keeper = Keeper(authority, state=state)
        disk = keeper.on_disk()
        keeper.close()
    except RenewerError:
        return "", ""
    if disk.get("directory") != authority.directory or disk.get("deactivated_at"):
        return "", ""
    return str(disk.get("url") or ""), str(disk.get("thumbprint") or "")


def account_label(account: str) -> str:
    """The name of dns-account-01's record before the host name (draft-ietf-acme-dns-account-label §3.1)."""
    digest = hashlib.sha256(account.encode()).digest()[:10]
    return f"_{base64.b32encode(digest).decode().lower()}._acme-challenge"


def look_at_tlsa(
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
        told = judge_tlsa(wish.name, records, reuse_key=wish.reuse_key, publisher=publisher)
        told += compare(records, pinned.get(wish.name, ()))
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
            leaf, *above = certs.split_chain(material.fullchain)
            found.append(
                Pinned(
                    what="what is live" if live else f"version {version}, which is not live yet",
                    live=live,
                    leaf=certs.tlsa(leaf),
                    above=frozenset().union(*(certs.tlsa(one) for one in above)),
                    spki_sha256=certs.spki(leaf),
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
        no_route=sight.trouble is PortTrouble.NETWORK and not sight.connected,
    )
