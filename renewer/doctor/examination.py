"""One look at all names, and what follows from it."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any

import msgspec

from renewer import clock
from renewer.dns.look import Wanted, look, silent_resolvers
from renewer.dns.together import together
from renewer.doctor import dane
from renewer.doctor.authorities import account_label, account_on_disk, candidate
from renewer.doctor.ports import Door, see
from renewer.model.desired import Certificate, Challenge, Config, Http01
from renewer.model.inspection import Asked, Candidate, Checkup, Finding, NameSeen, PortSeen, Resolved
from renewer.model.names import Identifier, IdentifierType
from renewer.model.value import Value
from renewer.policy import challenge as choosing
from renewer.policy.names import judge

LIMIT = 20.0  # seconds for everything
_AT_LAST = 0.15  # the share of the time that is kept for the ports
_RESOLVER = 1.5  # seconds for the resolvers to show that there is one
_TO_SAY = 0.2  # seconds of the time limit in which nobody is waited for any more
MAX_ADDRESSES = 8  # of one name that are connected to
Key = tuple[str, str]  # a name, and the type of challenge that proves it
# the label of a challenge's record, by type
LABELS = {"dns-01": "_acme-challenge", "dns-persist-01": "_validation-persist"}


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
    work["names", "TLSA"] = partial(dane.look, wishes, config.agent.resolvers, deadline - limit * _AT_LAST)
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
    seen: NameSeen, asked: Asked, known: Mapping[str, Candidate], pinned: tuple[Finding, ...]
) -> Checkup:
    authorities = tuple(known.get(one.name, one) for one in asked.authorities)
    found = judge(seen, msgspec.structs.replace(asked, authorities=authorities), clock.now())
    name = f"*.{asked.name}" if asked.wildcard else asked.name
    return Checkup(name=name, certificate=asked.certificate, findings=found + pinned)


def _question(wish: Certificate, identifier: Identifier) -> Asked:
    challenge: Challenge = choosing.configured(wish, identifier, wildcard=identifier.wildcard)
    return Asked(
        certificate=wish.name,
        name=identifier.base,
        wildcard=identifier.wildcard,
        challenge=choosing.type_of(challenge),
        authorities=tuple(Candidate(name=name) for name in wish.authorities),
        listens=not isinstance(challenge, Http01) or challenge.webroot is None,
        address=identifier.type is IdentifierType.IP,
    )


def _key(asked: Asked) -> Key:
    return asked.name, asked.challenge


class _Names:
    """What DNS says of names that are proved in the same way; addresses need none."""

    def __init__(self, config: Config, state: str, deadline: float, doors: Doors) -> None:
        self._config = config
        self._state = state
        self._resolvers = config.agent.resolvers
        self._deadline = deadline
        self._port = doors.dns

    def look(self, asked: Sequence[Asked]) -> dict[Key, NameSeen]:
        """Each once. Raises GiveUp if this host names no resolver."""
        names = {one.name: one.challenge for one in asked if not one.address}
        if not names:
            return {}
        if silent := silent_resolvers(self._resolvers, _RESOLVER):
            nobody = Resolved(trouble=f"does not answer ({', '.join(silent)})")
            return {(name, kind): NameSeen(name=name, resolved=nobody) for name, kind in names.items()}
        wanted = [Wanted(one.name, self._label(one)) for one in asked if not one.address]
        found = look(wanted, resolvers=self._resolvers, deadline=self._deadline, port=self._port)
        return {(name, names[name]): one for name, one in found.items()}

    def _label(self, asked: Asked) -> str:
        """Where the challenge's record lies; that of dns-account-01 is known once there is an account."""
        if asked.challenge != "dns-account-01":
            return LABELS.get(asked.challenge, "")
        account = account_on_disk(self._config.authorities[asked.authorities[0].name], self._state)
        return account_label(account) if account else ""


def _with_ports(
    asked: Sequence[Asked], names: Mapping[Key, NameSeen], deadline: float, doors: Doors
) -> dict[Key, NameSeen]:
    """The addresses of names whose challenge needs them are connected to."""
    empty = ("resolved", "host", "caa", "proof")
    seen = {
        _key(one): names.get(_key(one)) or NameSeen(name=one.name, unfinished=() if one.address else empty)
        for one in asked
    }
    doorways = {"http-01": Door("http", doors.http), "tls-alpn-01": Door("tls", doors.tls)}
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
