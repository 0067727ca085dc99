"""Certificates that are only watched: looked at at their ports and in their files; what is seen is a fact."""

import os
import stat
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING

import msgspec

from renewer import clock, secrets
from renewer.context import Context
from renewer.model.decision import EventName
from renewer.model.desired import Watch
from renewer.model.facts import Leaf
from renewer.model.status import WatchStatus
from renewer.model.told import Watched
from renewer.policy.health import WELL, assess_watch, is_due

if TYPE_CHECKING:
    from renewer.network.verify import Sight

LARGEST = 1 << 20  # bytes of a file; certificates are a few thousand
_SHARE = 0.1  # of the run's time: what is only watched must not take that of renewals
_LONGEST = 300  # characters of an error


class _Seen(msgspec.Struct, frozen=True, kw_only=True):
    """One look: the leaf if there was one, and what is wrong if anything is."""

    leaf: Leaf | None = None
    error: str | None = None


def take(context: Context) -> dict[str, Watched | None]:
    """What is known of each; None of one that was never looked at. Writes nothing."""
    if not context.config.watches:
        return {}
    known = {record.certificate: record for record in context.ledger.load(Watched)}
    return {name: known.get(name) for name in context.config.watches}


def exit_codes(context: Context) -> list[int]:
    """How a process should exit that says how each stands; 0 among them."""
    facts, now = take(context), clock.now()
    found = [assess_watch(watch, facts[name], now) for name, watch in context.config.watches.items()]
    return [WELL, *(health.exit for health in found)]


def look(context: Context) -> None:
    """Look at each whose hour has come; what is wrong is told in the renewal log."""
    now, agent, facts = clock.now(), context.config.agent, take(context)
    due = [
        w
        for w in context.config.watches.values()
        if is_due(w, facts[w.name], now, agent.look_every, agent.wake)
    ]
    if not due:
        return
    seen = _ports(context, [watch for watch in due if watch.endpoint])
    seen |= {watch.name: _file(watch.file) for watch in due if watch.file}
    records = [
        _record(watch, facts[watch.name], seen[watch.name], now) for watch in due if watch.name in seen
    ]
    context.ledger.save(*records)
    for record in records:
        if record.error:
            context.journal.tell(EventName.NOTICE, record.certificate, text=f"watched: {record.error}")


def _record(watch: Watch, before: Watched | None, seen: _Seen, now: datetime) -> Watched:
    if before is not None and before.target != watch.target:
        before = None
    base = before or Watched(certificate=watch.name, target=watch.target, at=now)
    if seen.leaf is not None:
        base = msgspec.structs.replace(
            base,
            not_before=seen.leaf.not_before,
            not_after=seen.leaf.not_after,
            serial=seen.leaf.serial,
            fingerprint=seen.leaf.fingerprint,
            issuer=seen.leaf.issuer,
            names=seen.leaf.names,
        )
    again = bool(seen.error and base.error)
    return msgspec.structs.replace(
        base,
        at=now,
        seen=seen.leaf is not None,
        error=seen.error[:_LONGEST] if seen.error else None,
        failures=(base.failures if again else 0) + 1 if seen.error else 0,
        since=(base.since if again else now) if seen.error else None,
    )


def _ports(context: Context, watches: Sequence[Watch]) -> dict[str, _Seen]:
    """Every address of every port; the worst of a port's addresses counts."""
    if not watches:
        return {}
    from renewer.network import verify

    end = min(clock.monotonic() + context.time_left() * _SHARE, context.deadline)
    found: dict[str, _Seen] = {}
    for roots in dict.fromkeys(watch.roots for watch in watches):  # a sight does not tell them
        those = [watch for watch in watches if watch.roots == roots]
        targets = [verify.Target(endpoint=w.endpoint, roots=roots) for w in those if w.endpoint]
        sights: dict[str, list[Sight]] = {}
        for sight in verify.look(
            list(dict.fromkeys(targets)), until=end, stopping=context.stopping, reads=secrets.roots
        ):
            if sight.trouble is verify.PortTrouble.UNSEEN:  # says nothing of who serves there
                text = f"{sight.endpoint} could not be looked at: {sight.error}"
                context.journal.tell(EventName.NOTICE, "", text=text)
                continue
            sights.setdefault(str(sight.endpoint), []).append(sight)
        found |= {watch.name: _worst(sights[watch.target]) for watch in those if watch.target in sights}
    return found


def _worst(sights: Iterable["Sight"]) -> _Seen:
    found = list(sights)
    leaves = [sight.leaf for sight in found if sight.leaf]
    # What is read, and cannot be judged here, is no error of whoever serves it
    errors = [one.error for one in found if one.error and not (one.leaf and one.trouble == "unreadable")]
    return _Seen(
        leaf=min(leaves, key=lambda leaf: leaf.not_after, default=None), error=errors[0] if errors else None
    )


def _file(path: str) -> _Seen:
    """The first certificate of a PEM file, whatever else it holds."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY)
        with os.fdopen(handle, "rb") as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                return _Seen(error=f"{path} is not a file")
            data = file.read(LARGEST + 1)
    except OSError as error:
        return _Seen(error=f"{path} cannot be read: {error.strerror}")
    if len(data) > LARGEST:
        return _Seen(error=f"{path} is larger than {LARGEST >> 20} MiB")
    from renewer.certs import leaf

    begin, end = b"-----BEGIN CERTIFICATE-----", b"-----END CERTIFICATE-----"
    _, found, rest = data.partition(begin)
    if not found:
        return _Seen(error=f"{path} holds no certificate in PEM")
    try:
        return _Seen(leaf=leaf(begin + rest.partition(end)[0] + end + b"\n"))
    except Exception as error:  # noqa: BLE001  a stranger's bytes: whatever the parser makes of them
        return _Seen(error=f"{path} holds a certificate that cannot be read: {type(error).__name__}")


def rows(
    watches: Mapping[str, Watch], facts: Mapping[str, Watched | None], now: datetime
) -> list[WatchStatus]:
    """How each stands, the most urgent first."""
    found = [_status(watch, facts.get(watch.name), now) for watch in watches.values()]
    return sorted(found, key=lambda one: (-one.exit, one.not_after or now, one.name))


def _status(watch: Watch, fact: Watched | None, now: datetime) -> WatchStatus:
    health = assess_watch(watch, fact, now)
    known = fact if fact is not None and fact.target == watch.target else None
    return WatchStatus(
        name=watch.name,
        target=watch.target,
        state=health.state,
        healthy=health.healthy,
        exit=health.exit,
        why=health.why,
        not_before=known.not_before if known else None,
        not_after=known.not_after if known else None,
        serial=known.serial if known else None,
        fingerprint_sha256=known.fingerprint if known else None,
        issuer=known.issuer if known else None,
        names=tuple(str(one) for one in known.names) if known else (),
        at=known.at if known else None,
        error=known.error if known else None,
    )
