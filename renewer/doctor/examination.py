"""One look at all names, everything at the same time and within one time limit, and what follows from it."""

import contextlib
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any

import msgspec

from renewer import certs, clock
from renewer.accounts.keeper import Keeper
from renewer.errors import RenewerError
from renewer.issue.dns01 import record_label
from renewer.model.desired import Authority, Certificate, Challenge, Config, Http01
from renewer.model.inspection import (
    Candidate,
    Checkup,
    Finding,
    NameAsked,
    NameSeen,
    Pinned,
    PortSeen,
)
from renewer.model.names import Identifier, IdentifierType
from renewer.model.value import Value
from renewer.network import verify
from renewer.network.dns import NameServers
from renewer.network.verify.messages import Doorstep
from renewer.policy import challenge as choosing
from renewer.policy.name_checks import judge
from renewer.policy.name_checks.records import IDENTITIES, compare, judge_tlsa
from renewer.store.disk import DiskStore
from renewer.threads import together

LIMIT = 20.0  # seconds for everything
_AT_LAST = 0.15  # the share of the time that is kept for the ports
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
    before = limit * (1 - _AT_LAST)
    work: dict[tuple[str, str], Callable[[], object]] = {
        ("names", kind): partial(
            _names, config, state, [one for one in asked if one.challenge == kind], before, doors.dns
        )
        for kind in {one.challenge for one in asked}
    }
    for name in {name for wish in wishes for name in wish.authorities}:
        work["authority", name] = partial(candidate, config, name, state, limit / 2)
    work["names", "TLSA"] = partial(look_at_tlsa, config, wishes, state, before)
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


def _names(
    config: Config, state: str, asked: Sequence[NameAsked], within: float, port: int
) -> dict[Key, NameSeen]:
    """What DNS says of names that are proved in the same way; addresses need none.

    Raises GiveUp if this host names no resolver.
    """
    names = [one for one in asked if not one.address]
    if not names:
        return {}
    kinds = {one.name: one.challenge for one in names}
    labels = {one.name: _label(config, one, state) for one in names}
    found = NameServers(config.agent.resolvers, port).examine(labels, within=within)
    return {(name, kinds[name]): one for name, one in found.items()}


def _label(config: Config, asked: NameAsked, state: str) -> str:
    """Where the challenge's record lies; that of dns-account-01 is known once there is an account."""
    if asked.challenge != "dns-account-01":
        return LABELS.get(asked.challenge, "")
    account = account_on_disk(config.authorities[asked.authorities[0].name], state)
    return record_label(account) if account else ""


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
    doors_of = {"http-01": doors.http, "tls-alpn-01": doors.tls}
    work: dict[tuple[Key, str], Doorstep] = {}
    for one in asked:
        if one.challenge in doors_of and not one.wildcard:
            addresses = (one.name,) if one.address else seen[_key(one)].addresses_known
            for address in addresses[:MAX_ADDRESSES]:
                port, tls = doors_of[one.challenge], one.challenge != "http-01"
                work[_key(one), address] = Doorstep(name=one.name, address=address, port=port, tls=tls)
    visited = verify.visit(list(work.values()), max(0.0, deadline - _TO_SAY - clock.monotonic()))
    found = {where: visited[step] for where, step in work.items() if step in visited}
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


def look_at_tlsa(
    config: Config, wishes: Sequence[Certificate], state: str, within: float
) -> dict[tuple[str, str], tuple[Finding, ...]]:
    """What was found in so many seconds, by certificate and name.

    Raises GiveUp if this host names no resolver.
    """
    places = [(wish, name, place) for wish in wishes for name, place in _places(wish)]
    seen = NameServers(config.agent.resolvers).tlsa((place for *_, place in places), within=within)
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
