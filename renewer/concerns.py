"""Gathers the facts of what is wrong with this host's renewing as a whole; what they mean `policy` says."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence

import msgspec

from renewer import clock, wakers
from renewer.errors import RenewerError
from renewer.kit import Kit
from renewer.model.concern import Concern
from renewer.model.desired import Config, Endpoint, Secret, SecretSource
from renewer.model.facts import CopyFact, RunRecord, Sighting, Standing
from renewer.model.told import Ack, Outage, Ping
from renewer.policy import concerns as policy
from renewer.policy.serving import hint
from renewer.secrets import problem

_AS_IN_THE_RUN = (SecretSource.ENV, SecretSource.CREDENTIAL)  # what a person's shell does not have
FEW = 16  # certificates up to which all sightings there are may be read
_FRESH = 3600.0  # seconds; a look that shows the same as this one is not written down again


def look_later(kit: Kit) -> tuple[Concern, ...]:
    """All of it, for who asks between runs: the last one may have seen what cannot be seen from here."""
    last = _last(kit)
    return look(kit, last.unwell if last else ())


def _last(kit: Kit) -> RunRecord | None:
    return next((one for one in kit.ledger.load(RunRecord) if one.host == kit.host), None)


def look(kit: Kit, unwell: Sequence[str] | None = None) -> tuple[Concern, ...]:
    """All of it, for a run; else with what the last one remembered (`RunRecord.unwell`)."""
    now = clock.now()
    mine = [one for one in kit.config.certificates.values() if kit.host in one.hosts]
    acks = {one.certificate: one for one in kit.ledger.load(Ack)}
    found: list[Concern | None] = [policy.empty(len(mine), _held(kit) if not mine else (), kit.config.path)]
    found += [
        policy.still_served(name, seen, acks.get(name), now) for name, seen in sorted(served(kit).items())
    ]
    used: dict[str, list[str]] = defaultdict(list)
    for wish in mine:
        for name in wish.authorities:
            if kit.config.authorities[name].test:
                used[name].append(wish.name)
    found += policy.for_tests(used)
    found += [Concern(subject="config", text=text, exit=0) for text in kit.config.notes]
    found += secrets(kit, within_a_run=unwell is None)
    found.append(policy.unheard(next(iter(kit.ledger.load(Ping)), None)) if _has_heartbeat(kit) else None)
    found += policy.refusing(kit.ledger.load(Outage), kit.config.channels)
    known = tuple(one for one in found if one is not None)
    texts = {one.text for one in known}
    return (*known, *policy.of_the_run([text for text in unwell or () if text not in texts]))


def only_now(kit: Kit) -> tuple[str, ...]:
    """What only a run can see, as a secret in its environment: to be remembered for who asks later."""
    later = {one.text for one in secrets(kit, within_a_run=False)}
    return tuple(one.text for one in secrets(kit, within_a_run=True) if one.text not in later)


def behind(kit: Kit, names: Iterable[str]) -> tuple[Concern, ...]:
    """Ports and copies that had something newer than this state at the last look, of these certificates."""
    found = {}
    for name in names:
        for seen in kit.ledger.load(Sighting, name):
            if seen.newer and seen.host == kit.host and seen.version == kit.store.shelf(name).live:
                text = f"{name}: {seen.error}"
                found[text] = Concern(subject=f"newer {name}", text=text, hint=hint(seen), exit=0)
        for one in kit.ledger.load(CopyFact, name):
            if one.newer and one.host == kit.host:
                text = f"{name}: {one.note}"
                ways = f"restore the state that has it, or: renewer run {name}"
                found[text] = Concern(subject=f"newer {name}", text=text, hint=ways, exit=0)
    return tuple(found.values())


def uncalled(kit: Kit) -> tuple[Concern, ...]:
    """Whether anything on this host will call the next run."""
    if not any(kit.host in one.hosts for one in kit.config.certificates.values()):
        return ()
    run = _last(kit)
    one = policy.uncalled(wakers.callers(), run, kit.config.agent.wake, clock.now())
    return (one,) if one else ()


def secrets(kit: Kit, *, within_a_run: bool) -> list[Concern]:
    """Secrets that telling needs and that cannot be had: then nobody is told."""
    found = unreadable_secrets(kit.config, within_a_run=within_a_run)
    return [
        Concern(subject=f"secret {where}", text=f"{where}: {fault.text}", hint=fault.hint)
        for where, fault in found
    ]


def unreadable_secrets(config: Config, *, within_a_run: bool = False) -> list[tuple[str, RenewerError]]:
    """The keys that refer to them, each with why; of the environment only a run knows what stands in it."""
    heartbeat = config.report.heartbeat
    wanted = [("report.heartbeat", heartbeat)] if heartbeat else []
    wanted += [(f"notify.{name}", one) for name, told in config.channels.items() for one in _secrets(told)]
    return [
        (where, fault)
        for where, secret in wanted
        if (within_a_run or secret.source not in _AS_IN_THE_RUN) and (fault := problem(secret)) is not None
    ]


def _secrets(value: object) -> Iterator[Secret]:
    """Every secret that a value refers to."""
    if isinstance(value, Secret):
        yield value
    elif isinstance(value, msgspec.Struct):
        for field in value.__struct_fields__:
            yield from _secrets(getattr(value, field))
    elif isinstance(value, tuple):
        for one in value:
            yield from _secrets(one)


def _has_heartbeat(kit: Kit) -> bool:
    return kit.config.report.heartbeat is not None


def _held(kit: Kit) -> Sequence[str]:
    """The certificates that this state holds, or that this host ever had."""
    others = {name for name, wish in kit.config.certificates.items() if kit.host not in wish.hosts}
    had = {one.certificate for one in kit.ledger.load(Standing) if one.host == kit.host}
    return sorted({*kit.store.names(), *had} - others)


def served(kit: Kit) -> Mapping[str, Sequence[Sighting]]:
    """Certificates that are not configured for this host, with what its ports showed of them last."""
    mine = {name for name, wish in kit.config.certificates.items() if kit.host in wish.hosts}
    if len(mine) <= FEW:
        records = kit.ledger.load(Sighting)
    else:  # of very many, what is neither on disk nor in the configuration is not looked for
        left = {*kit.store.names(), *kit.config.certificates} - mine
        records = [record for name in sorted(left) for record in kit.ledger.load(Sighting, name)]
    found: dict[str, list[Sighting]] = defaultdict(list)
    for one in records:
        if one.host == kit.host and one.certificate not in mine:
            found[one.certificate].append(one)
    return {name: ours for name, seen in found.items() if (ours := _ours(kit, name, seen))}


def _ours(kit: Kit, name: str, seen: Sequence[Sighting]) -> list[Sighting]:
    """Those that showed one of its versions; if none can be read any more, those that showed anything."""
    known = fingerprints(kit, name)
    return [one for one in seen if one.fingerprint and (one.fingerprint in known or not known)]


def fingerprints(kit: Kit, name: str) -> frozenset[str]:
    """Of the versions of a certificate that lie on disk."""
    found = set()
    try:
        for version in kit.store.shelf(name).found:
            try:
                found.add(kit.store.about(name, version.id).leaf.fingerprint)
            except RenewerError:  # damaged: no server can have loaded it since
                continue
    except RenewerError:
        return frozenset()
    return frozenset(found)


def rows(kit: Kit) -> list[dict[str, object]]:
    """Of each that is still served what pages and monitoring need."""
    acks = {one.certificate: one for one in kit.ledger.load(Ack)}
    return [
        {
            "name": name,
            "acknowledged": policy.is_known(seen, acks.get(name), clock.now()),
            "not_after": min((one.not_after for one in seen if one.not_after), default=None),
            "endpoints": [{"endpoint": one.endpoint, "address": one.address, "at": one.at} for one in seen],
        }
        for name, seen in sorted(served(kit).items())
    ]


def look_again(kit: Kit) -> None:
    """Look where what is configured no more was seen; a port that shows another one is forgotten."""
    for name, seen in served(kit).items():
        known = fingerprints(kit, name)
        for one in seen:
            if kit.time_left() <= 0:
                return
            shown = _shown(one)
            if shown is None:
                continue  # nobody answers now; it may again
            if known and shown not in known:
                kit.ledger.drop(one)
            elif abs((clock.now() - one.at).total_seconds()) > _FRESH:
                kit.ledger.save(msgspec.structs.replace(one, at=clock.now()))


def _shown(sighting: Sighting) -> str | None:
    """The fingerprint of what that address shows now; None if it cannot be told (STARTTLS, nobody there)."""
    address, _, port = sighting.address.rpartition(":")
    if not address or not port.isdigit():
        return None
    from renewer import verify

    place, _, server_name = sighting.endpoint.partition("/")
    server_name = server_name or place.rpartition(":")[0].strip("[]")
    endpoint = Endpoint(server_name=server_name, port=int(port), host=address.strip("[]"))
    for sight in verify.look([verify.Target(endpoint=endpoint, roots="any", family=sighting.family)]):
        return sight.fingerprint if sight.completed else None
    return None
