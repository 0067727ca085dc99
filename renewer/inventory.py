"""Reads the facts of every certificate into Situations. Degrades, never fails a run, writes nothing."""

import zlib
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from datetime import timedelta
from typing import NamedTuple, TypeVar

import msgspec

from renewer import copies, hooks, proc
from renewer.accounts import card
from renewer.context import Context, Damaged, asked
from renewer.copies import files
from renewer.decoding import UndecodableError, decode
from renewer.errors import SHORTAGE, OurFault, RenewerError, shortage
from renewer.model.desired import Certificate, HookEvent
from renewer.model.facts import (
    COPIES,
    Acceptance,
    CopyFact,
    CopyState,
    Deployment,
    Failure,
    Hold,
    Order,
    Ordered,
    OrderState,
    Owed,
    Parked,
    PreferredChain,
    Published,
    Record,
    Revoked,
    Sighting,
    Situation,
    Version,
    VersionFacts,
    Window,
)
from renewer.store import mending
from renewer.store.contract import Shelf

R = TypeVar("R", bound=Record)
FEW = 16  # certificates whose records are asked for one by one, rather than all there are
_PARSING = 40 << 20  # octets of addresses that reading a certificate takes
_Grouped = Mapping[str, Sequence[R]]


class Memory:
    """What the ledger has, by certificate: of a few certificates, or (`only` is None) of all at once."""

    def __init__(self, context: Context, only: Sequence[str] | None) -> None:
        self._ledger = context.ledger
        self._only = only
        self.versions = self._load(VersionFacts)
        self.orders = self._load(Order)
        self.ordered = self._load(Ordered)
        self.parked = self._load(Parked)
        self.failures = self._load(Failure)
        self.windows = self._load(Window)
        self.deployments = self._load(Deployment)
        self.published = self._load(Published)
        self.copies = self._load(CopyFact)
        self.sightings = self._load(Sighting)
        self.holds = self._load(Hold)
        self.owed = self._load(Owed)
        self.revoked = self._load(Revoked)
        self.acceptances = self._load(Acceptance)
        self.ended = _ended(context)
        self.chains = self._load(PreferredChain)

    def _load(self, kind: type[R]) -> _Grouped[R]:
        if self._only is None:
            return _group(self._ledger.load(kind))
        return {name: self._ledger.load(kind, name) for name in self._only}


def take(context: Context, names: Iterable[str] | None = None) -> dict[str, Situation]:
    """The situation of every certificate of the config that is for this host, or of those named."""
    wishes = context.config.certificates
    chosen = [
        wishes[name]
        for name in (wishes if names is None else sorted(names))
        if context.host in wishes[name].hosts
    ]
    memory = Memory(context, [wish.name for wish in chosen] if len(chosen) <= FEW else None)
    fingerprints = _fingerprints(context, chosen)
    return {wish.name: _guarded(context, wish, memory, fingerprints) for wish in chosen}


def _ended(context: Context) -> dict[str, str]:
    """The authorities of the config at which our account was ended, each with how."""
    found: dict[str, str] = {}
    for name, authority in context.config.authorities.items():
        with suppress(RenewerError):  # told by whoever needs the account
            known = card.about(context.accounts, authority)
            if known.get("directory") == authority.directory and (how := card.ended(known)):
                found[name] = how
    return found


def orphans(context: Context) -> list[str]:
    """Certificates on disk that the config does not name: shown, never renewed, never deleted."""
    return [name for name in context.store.names() if name not in context.config.certificates]


def _guarded(
    context: Context, wish: Certificate, memory: Memory, fingerprints: Mapping[str, str]
) -> Situation:
    """One certificate's situation; what nobody foresaw while reading it is its fault, and nobody else's.

    Not so what this machine is out of: who cannot open a file must not take it for missing.
    """
    try:
        return _situation(context, wish, memory, fingerprints)
    except Exception as error:
        if want := shortage(error):
            raise want from error
        context.journal.trace(wish.name, error)
        return Situation(
            wish=wish,
            host=context.host,
            wake=context.config.agent.wake,
            asked=asked(wish, context.config.authorities),
            fault=f"what is known of it cannot be read: {OurFault.of(error).text}",
            unread=True,
        )


class _OnDisk(NamedTuple):
    """What the store says of one certificate; `fault` why it says nothing or less."""

    shelf: Shelf
    versions: tuple[Version, ...] = ()
    order: Order | None = None
    ready: bool = False
    fault: str | None = None
    broken: tuple[tuple[str, str], ...] = ()


def _on_disk(context: Context, name: str, memory: Memory) -> _OnDisk:
    try:
        shelf = context.store.shelf(name)
        versions, unreadable = _versions(context, name, shelf, memory.versions.get(name, ()))
        return _OnDisk(
            shelf,
            versions,
            *_order(context, name, shelf, memory),
            *_broken(shelf, versions, unreadable),
        )
    except RenewerError as error:
        if error.kind == SHORTAGE:
            raise
        fault = f"{error.text}; {error.hint}" if error.hint else error.text
        return _OnDisk(Shelf(live=None, found=(), pending=()), fault=fault)


def _situation(
    context: Context, wish: Certificate, memory: Memory, fingerprints: Mapping[str, str]
) -> Situation:
    shelf, versions, order, ready, fault, broken = _on_disk(context, wish.name, memory)
    return Situation(
        wish=wish,
        host=context.host,
        wake=context.wake,
        asked=asked(wish, context.config.authorities),
        versions=versions,
        live=shelf.live,
        order=order,
        order_ready=ready,
        ordered=tuple(memory.ordered.get(wish.name, ())),
        parked=tuple(memory.parked.get(wish.name, ())),
        failures=tuple(memory.failures.get(wish.name, ())),
        windows=tuple(memory.windows.get(wish.name, ())),
        deployments=tuple(d for d in memory.deployments.get(wish.name, ()) if d.host == context.host),
        hooks=_copies_as_hook(wish)
        + tuple((n, fingerprints[n]) for n in wish.hooks if context.config.hooks[n].deploys),
        optional=frozenset(name for name in wish.hooks if not context.config.hooks[name].required),
        ports=tuple((name, ports) for name in wish.hooks if (ports := context.config.hooks[name].ports)),
        published=tuple(one for one in memory.published.get(wish.name, ()) if one.host == context.host),
        publishers=_publishers(context, wish, fingerprints),
        copies=_copies(context, wish, memory.copies.get(wish.name, ())),
        sightings=_sightings(context, wish, memory.sightings.get(wish.name, ())),
        holds=tuple(memory.holds.get(wish.name, ())),
        owed=tuple(one for one in memory.owed.get(wish.name, ()) if _is_owed(context, one)),
        revoked=tuple(one.version for one in memory.revoked.get(wish.name, ())),
        acceptances=tuple(memory.acceptances.get(wish.name, ())),
        modes=_modes(context, wish, shelf),
        blocked=shelf.blocked,
        chain=_chain(context, wish, memory.chains.get(wish.name, ())),
        ended=tuple((name, memory.ended[name]) for name in wish.authorities if name in memory.ended),
        tests=_tests(context),
        fault=fault,
        broken=broken,
        lifetime=_lifetime(memory.versions.get(wish.name, ())),
    )


def _lifetime(remembered: Iterable[VersionFacts]) -> timedelta | None:
    issued = [facts.version for facts in remembered if not facts.version.placeholder]
    return max(issued, key=lambda version: version.made_at).leaf.lifetime if issued else None


def _versions(
    context: Context, name: str, shelf: Shelf, remembered: Sequence[VersionFacts]
) -> tuple[tuple[Version, ...], dict[str, str]]:
    """The complete versions, newest first: remembered as long as their files are the same, else parsed.

    And those that are no good, with the reasons: they are as good as absent, and told.
    """
    known = {facts.version.id: facts for facts in remembered}
    versions: list[Version] = []
    unreadable: dict[str, str] = {}
    for found in shelf.found:
        facts = known.get(found.id)
        if facts and facts.stamp == found.stamp:
            versions.append(facts.version)
            continue
        proc.demand_memory(_PARSING)
        try:
            version = context.store.about(name, found.id)
        except RenewerError as error:
            if error.kind == SHORTAGE:
                raise
            unreadable[found.id] = error.text
            if found.id == shelf.live:
                before = facts.version if facts else None
                context.damaged[name] = Damaged(version=found.id, why=error.text, remembered=before)
            continue
        versions.append(version)
        context.parsed.append(VersionFacts(certificate=name, version=version, stamp=found.stamp))
    versions.sort(key=lambda version: (version.made_at, version.id), reverse=True)
    return tuple(versions), unreadable


def _broken(
    shelf: Shelf, versions: Sequence[Version], unreadable: dict[str, str]
) -> tuple[str | None, tuple[tuple[str, str], ...]]:
    """What is wrong here, and the versions that are no good but that nobody needs: a complete one is live."""
    if any(version.id == shelf.live and not version.placeholder for version in versions):
        return None, tuple(unreadable.items())
    return (unreadable.get(shelf.live or "") or next(reversed(unreadable.values()), None)), ()


def _modes(context: Context, wish: Certificate, shelf: Shelf) -> tuple[str, ...]:
    """What of the live version others may read than configured; what is otherwise is noted for the run."""
    try:
        group = context.group
    except RenewerError:  # told by whoever writes
        return ()
    loose = [one for one in shelf.found if mending.otherwise(one, wish.key_mode, group)]
    context.loose += [(wish.name, one.id) for one in loose]
    keys = [one.rights[1] for one in loose if one.id == shelf.live]
    return tuple(
        f"the live key's mode is {key[0]:04o}, wider than {wish.key_mode:04o} as configured"
        for key in keys
        if key is not None and key[0] & ~wish.key_mode
    )


def _order(context: Context, name: str, shelf: Shelf, memory: Memory) -> tuple[Order | None, bool]:
    """The open order and whether its key is there; after a lost ledger, from what lies beside the key."""
    records = memory.orders.get(name, ())
    aside = {record.key for record in memory.parked.get(name, ())}
    order = records[0] if records else None
    unclaimed = [one for one in shelf.pending if one not in aside]
    if order is None and not unclaimed:
        return None, False
    if order is not None:
        context.strays += [(name, one) for one in unclaimed if one != order.pending]
    if order is not None and order.pending not in shelf.pending:
        return order, False
    pending = context.store.pending(name, order.pending if order else unclaimed[-1])
    if order is None:
        try:
            order = decode(pending.order, Order)
        except UndecodableError:
            context.strays.append((name, pending.id))
            return None, False
        if order.certificate != name or order.pending != pending.id:
            return None, False
    if pending.has_chain and order.state is not OrderState.ABANDONED:
        order = msgspec.structs.replace(order, state=OrderState.ISSUED)
    return order, pending.has_key


def _chain(context: Context, wish: Certificate, records: Sequence[PreferredChain]) -> PreferredChain | None:
    """What was missed, as long as the config still prefers it."""
    for one in records:
        authority = context.config.authorities.get(one.authority)
        if authority is not None and authority.chain == one.name and one.authority in wish.authorities:
            return one
    return None


def _tests(context: Context) -> tuple[str, ...]:
    """Names and directories of authorities that only test; but none that another one shares."""
    known = context.config.authorities.values()
    names = [one.name for one in known if one.test]
    real = {one.directory for one in known if not one.test}
    directories = {one.directory for one in known if one.test} - real
    return (*names, *sorted(directories))


def _is_owed(context: Context, owed: Owed) -> bool:
    """Whether a post hook of this host failed that still is in the config: else the next run forgets it."""
    hook = context.config.hooks.get(owed.hook)
    named = hook is not None and HookEvent.POST in hook.events
    return owed.host == context.host and bool(owed.error) and named


def _copies_as_hook(wish: Certificate) -> tuple[tuple[str, str], ...]:
    if not wish.copies:
        return ()
    return ((COPIES, f"{zlib.crc32(msgspec.json.encode(wish.copies)):08x}"),)


def _copies(context: Context, wish: Certificate, records: Sequence[CopyFact]) -> tuple[CopyState, ...]:
    written = {record.path: record for record in records if record.host == context.host}
    states: list[CopyState] = []
    for copy in wish.copies:
        for part, path in copy.paths:
            record = written.get(path)
            if record is None:
                states.append(CopyState(path=path, version=None, intact=False))
                continue
            reworded = bool(record.wish) and record.wish != copies.fingerprint(copy, part)
            states.append(
                CopyState(
                    path=path,
                    version=record.version,
                    intact=not reworded and files.stamp(path) == record.stamp,
                    reworded=reworded,
                    note=record.note,
                    relic=record.relic,
                    newer=record.newer,
                )
            )
    return tuple(states)


def _sightings(context: Context, wish: Certificate, records: Sequence[Sighting]) -> tuple[Sighting, ...]:
    """What this host saw, of endpoints that are still in the config."""
    wanted = {str(endpoint) for endpoint in wish.endpoints}
    return tuple(record for record in records if record.host == context.host and record.endpoint in wanted)


def _fingerprints(context: Context, wishes: Iterable[Certificate]) -> dict[str, str]:
    """Of every hook that deploys: those that only stand around orders are none of a deployment's."""
    named = (context.config.hooks[name] for name in {name for wish in wishes for name in wish.hooks})
    return {hook.name: hooks.fingerprint(hook) for hook in named if hook.deploys or hook.publishes}


def _publishers(
    context: Context, wish: Certificate, fingerprints: Mapping[str, str]
) -> tuple[tuple[str, str], ...]:
    return tuple((name, fingerprints[name]) for name in wish.hooks if context.config.hooks[name].publishes)


def _group(records: Iterable[R]) -> _Grouped[R]:
    grouped: defaultdict[str, list[R]] = defaultdict(list)
    for record in records:
        grouped[record.certificate].append(record)
    return grouped
