"""Gathers the facts of what is wrong with this host's renewing as a whole; what they mean `policy` says."""

import os
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

import msgspec

from renewer import clock, wakers
from renewer.context import Context
from renewer.errors import RenewerError
from renewer.model.desired import Config, Endpoint, Secret, SecretSource
from renewer.model.facts import CopyFact, RunRecord, Sighting, Standing
from renewer.model.status import LastSeen, StillServed
from renewer.model.told import Ack, LeftName, Outage, Ping
from renewer.model.trouble import Concern
from renewer.policy import concerns as policy
from renewer.policy.serving import hint
from renewer.secrets import problem

_AS_IN_THE_RUN = (SecretSource.ENV, SecretSource.CREDENTIAL)  # what a person's shell does not have
FEW = 16  # certificates up to which all sightings there are may be read
_FRESH = 3600.0  # seconds; a look that shows the same as this one is not written down again


def look_later(context: Context) -> tuple[Concern, ...]:
    """All of it, for who asks between runs: the last one may have seen what cannot be seen from here."""
    last = _last(context)
    return look(context, last.unwell if last else ())


def _last(context: Context) -> RunRecord | None:
    return next((one for one in context.ledger.load(RunRecord) if one.host == context.host), None)


def look(context: Context, unwell: Sequence[str] | None = None) -> tuple[Concern, ...]:
    """All of it, for a run; else with what the last one remembered (`RunRecord.unwell`)."""
    now = clock.now()
    mine = [one for one in context.config.certificates.values() if context.host in one.hosts]
    acks = {one.certificate: one for one in context.ledger.load(Ack)}
    found: list[Concern | None] = [
        policy.empty(len(mine), _held(context) if not mine else (), context.config.path)
    ]
    found += [
        policy.still_served(name, seen, acks.get(name), now) for name, seen in sorted(served(context).items())
    ]
    found += left_names(context)
    used: dict[str, list[str]] = defaultdict(list)
    for wish in mine:
        for name in wish.authorities:
            if context.config.authorities[name].test:
                used[name].append(wish.name)
    found += policy.for_tests(used)
    found += [Concern(subject="config", text=text, exit=0) for text in context.config.notes]
    found += secrets(context, within_a_run=unwell is None)
    found.append(
        policy.unheard(next(iter(context.ledger.load(Ping)), None)) if _has_heartbeat(context) else None
    )
    found += policy.refusing(context.ledger.load(Outage), context.config.channels)
    known = tuple(one for one in found if one is not None)
    texts = {one.text for one in known}
    return (*known, *policy.of_the_run([text for text in unwell or () if text not in texts]))


def only_now(context: Context) -> tuple[str, ...]:
    """What only a run can see, as a secret in its environment: to be remembered for who asks later."""
    later = {one.text for one in secrets(context, within_a_run=False)}
    return tuple(one.text for one in secrets(context, within_a_run=True) if one.text not in later)


def behind(context: Context, names: Iterable[str]) -> tuple[Concern, ...]:
    """Ports and copies that had something newer than this state at the last look, of these certificates."""
    found = {}
    for name in names:
        for seen in context.ledger.load(Sighting, name):
            if seen.newer and seen.host == context.host and seen.version == context.store.shelf(name).live:
                text = f"{name}: {seen.error}"
                found[text] = Concern(subject=f"newer {name}", text=text, hint=hint(seen), exit=0)
        for one in context.ledger.load(CopyFact, name):
            if one.newer and one.host == context.host:
                text = f"{name}: {one.note}"
                ways = f"restore the state that has it, or: renewer run {name}"
                found[text] = Concern(subject=f"newer {name}", text=text, hint=ways, exit=0)
    return tuple(found.values())


def uncalled(context: Context) -> tuple[Concern, ...]:
    """Whether anything on this host will call the next run."""
    if not any(context.host in one.hosts for one in context.config.certificates.values()):
        return ()
    run = _last(context)
    one = policy.uncalled(wakers.callers(), run, context.config.agent.wake, clock.now())
    return (one,) if one else ()


def rivals(context: Context) -> list[Concern]:
    """Other clients that something on this host still calls, for certificates that are ours by now."""
    return [*policy.rivals(also_renewed(context.config)), *policy.half_taken(_half_taken())]


def also_renewed(config: Config) -> dict[str, tuple[str, list[str]]]:
    """By each client that is called the file that has it called, and what of ours it would renew, too."""
    called = dict(wakers.rivals())
    return shared(config, called) if called else {}


def shared(config: Config, called: Mapping[str, str]) -> dict[str, tuple[str, list[str]]]:
    """Of other clients that are called, each by a file: that file, and what we renew, too."""
    from renewer.moving import clients, naming  # only where another client is called

    found: dict[str, tuple[str, list[str]]] = {}
    for client, path in called.items():
        olds = clients.names_of(client, wakers.ROOT)
        names = [name for name in map(naming.table_name, olds) if name in config.certificates]
        if names:
            found[client] = (path, names)
    return found


_CERTBOT = "etc/letsencrypt"


def _half_taken() -> list[str]:
    """Of certbot's certificates those whose takeover was begun and neither finished nor undone."""
    live = os.path.join(wakers.ROOT, _CERTBOT, "live")
    try:
        names = sorted(os.listdir(live))
    except OSError:
        return []
    aside = ".before-renewer"
    return [
        name.removesuffix(aside)
        for name in names
        if name.endswith(aside) and os.path.islink(os.path.join(live, name))
    ]


def old_paths(context: Context) -> list[Concern]:
    """Servers that read files of certbot's: which purging it would take away, and which are not ours."""
    from renewer.servers import catalogue, sockets
    from renewer.servers.reading import Guard

    home = os.path.join(wakers.ROOT, _CERTBOT)
    if not os.path.isdir(home):
        return []
    with Guard(naming=f"{home}/") as guard:
        uses = catalogue.uses(guard, sockets.processes())
        named = tuple(guard.naming_it)
    ours = os.path.realpath(context.config.agent.state)
    copied = {
        path for wish in context.config.certificates.values() for one in wish.copies for _, path in one.paths
    }
    theirs = [
        (use.server, use.place, use.certificate)
        for use in uses
        if use.certificate.startswith(f"{home}/live/")
        and use.certificate not in copied
        and not os.path.realpath(use.certificate).startswith(f"{ours}/")
        and os.path.basename(os.path.dirname(use.certificate)) in context.config.certificates
    ]
    package = os.path.lexists(os.path.join(wakers.ROOT, "var/lib/dpkg/info/certbot.postrm"))
    return [*policy.old_files(theirs), *policy.purge(home, named if package else ())]


def secrets(context: Context, *, within_a_run: bool) -> list[Concern]:
    """Secrets that telling needs and that cannot be had: then nobody is told."""
    found = unreadable_secrets(context.config, within_a_run=within_a_run)
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


def _has_heartbeat(context: Context) -> bool:
    return context.config.report.heartbeat is not None


def _held(context: Context) -> Sequence[str]:
    """The certificates that this state holds, or that this host ever had."""
    others = {name for name, wish in context.config.certificates.items() if context.host not in wish.hosts}
    had = {one.certificate for one in context.ledger.load(Standing) if one.host == context.host}
    return sorted({*context.store.names(), *had} - others)


def served(context: Context) -> Mapping[str, Sequence[Sighting]]:
    """Certificates that are not configured for this host, with what its ports showed of them last."""
    mine = {name for name, wish in context.config.certificates.items() if context.host in wish.hosts}
    if len(mine) <= FEW:
        records = context.ledger.load(Sighting)
    else:  # of very many, what is neither on disk nor in the configuration is not looked for
        left = {*context.store.names(), *context.config.certificates} - mine
        records = [record for name in sorted(left) for record in context.ledger.load(Sighting, name)]
    found: dict[str, list[Sighting]] = defaultdict(list)
    for one in records:
        if one.host == context.host and one.certificate not in mine:
            found[one.certificate].append(one)
    return {name: ours for name, seen in found.items() if (ours := _ours(context, name, seen))}


def _ours(context: Context, name: str, seen: Sequence[Sighting]) -> list[Sighting]:
    """Those that showed one of its versions; if none can be read any more, those that showed anything."""
    known = fingerprints(context, name)
    return [one for one in seen if one.fingerprint and (one.fingerprint in known or not known)]


def fingerprints(context: Context, name: str) -> frozenset[str]:
    """Of the versions of a certificate that lie on disk."""
    found = set()
    try:
        for version in context.store.shelf(name).found:
            try:
                found.add(context.store.about(name, version.id).leaf.fingerprint)
            except RenewerError:  # damaged: no server can have loaded it since
                continue
    except RenewerError:
        return frozenset()
    return frozenset(found)


def rows(context: Context) -> list[StillServed]:
    """Of each that is still served what pages and monitoring need."""
    acks = {one.certificate: one for one in context.ledger.load(Ack)}
    return [
        StillServed(
            name=name,
            acknowledged=policy.is_known(seen, acks.get(name), clock.now()),
            not_after=min((one.not_after for one in seen if one.not_after), default=None),
            endpoints=tuple(LastSeen(endpoint=one.endpoint, address=one.address, at=one.at) for one in seen),
        )
        for name, seen in sorted(served(context).items())
    ]


def left_names(context: Context, only: Collection[str] | None = None) -> list[Concern]:
    """Names that were taken out of certificates, and that servers of this host still serve with them."""
    mine = {name for name, wish in context.config.certificates.items() if context.host in wish.hosts}
    asked = mine if only is None else mine & set(only)
    left = [
        one for one in context.ledger.load(LeftName) if one.host == context.host and one.certificate in asked
    ]
    return policy.left_names([one for one in left if not _has(context, one)])


def _has(context: Context, left: LeftName) -> bool:
    """Whether the name is in the certificate again, as it stands or below a wildcard."""
    wished = {str(name) for name in context.config.certificates[left.certificate].names}
    return not wished.isdisjoint((left.name, f"*.{left.name.partition('.')[2]}"))


def look_at_left_names(context: Context) -> None:
    """Look whether names that were taken out are still served; forget what is over, or wished again."""
    for one in context.ledger.load(LeftName):
        if one.host != context.host or context.time_left() <= 0:
            continue
        wish = context.config.certificates.get(one.certificate)
        served_at = [end for end in wish.endpoints if str(end) == one.endpoint] if wish else []
        if not served_at or _has(context, one):
            context.ledger.drop(one)
            continue
        from renewer.network import verify

        host = one.address.rpartition(":")[0].strip("[]")
        endpoint = msgspec.structs.replace(served_at[0], server_name=one.name, host=host)
        sights = verify.look([verify.Target(endpoint=endpoint, roots=verify.ANY)])
        shown = {sight.fingerprint for sight in sights if sight.completed}
        if shown and shown.isdisjoint(fingerprints(context, one.certificate)):
            context.ledger.drop(one)


def look_again(context: Context) -> None:
    """Look where what is configured no more was seen; a port that shows another one is forgotten."""
    for name, seen in served(context).items():
        known = fingerprints(context, name)
        for one in seen:
            if context.time_left() <= 0:
                return
            shown = _shown(one)
            if shown is None:
                continue  # nobody answers now; it may again
            if known and shown not in known:
                context.ledger.drop(one)
            elif abs((clock.now() - one.at).total_seconds()) > _FRESH:
                context.ledger.save(msgspec.structs.replace(one, at=clock.now()))


def _shown(sighting: Sighting) -> str | None:
    """The fingerprint of what that address shows now; None if it cannot be told (STARTTLS, nobody there)."""
    address, _, port = sighting.address.rpartition(":")
    if not address or not port.isdigit():
        return None
    from renewer.network import verify

    place, _, server_name = sighting.endpoint.partition("/")
    server_name = server_name or place.rpartition(":")[0].strip("[]")
    endpoint = Endpoint(server_name=server_name, port=int(port), host=address.strip("[]"))
    for sight in verify.look([verify.Target(endpoint=endpoint, roots="any", family=sighting.family)]):
        return sight.fingerprint if sight.completed else None
    return None
