"""From what a port shows to a fact in the ledger: judged against what is live, with a count of bad looks."""

import math
from collections.abc import Collection, Iterable, Sequence

from renewer import clock, secrets
from renewer.context import Context, roots_of
from renewer.model.decision import EventName, Outcome, Result, Step
from renewer.model.desired import Endpoint
from renewer.model.facts import EndpointState, Sighting, Situation, Version
from renewer.network import verify
from renewer.policy.newer import is_newer
from renewer.policy.serving import hint, judge


def targets_of(context: Context, situation: Situation, version: Version | None = None) -> list[verify.Target]:
    """Every port where a certificate must be served, with the roots that its authority's chain leads to.

    Its authority is the one that issued `version`, or the live one if none is given.
    """
    shown = version or situation.live_version
    roots = roots_of(context.config, situation.wish, shown)
    key = shown.leaf.key if shown else None
    family = key.family if key else None
    return [
        verify.Target(endpoint=endpoint, roots=roots, family=family) for endpoint in situation.wish.endpoints
    ]


def target_of(sight: verify.Sight) -> verify.Target:
    """What was looked at when this was seen."""
    return verify.Target(endpoint=sight.endpoint, roots=sight.roots, family=sight.family)


BESIDE, BESIDE_UNWELL = 4, 14  # handshakes beside the first: five in a row make a verdict

Place = tuple[str, str]
"""An endpoint and one of its addresses."""


def alive(targets: Sequence[verify.Target]) -> tuple[set[Place], set[Place]]:
    """The places that complete a handshake at this moment, and those of the same endpoints that do not.

    Of the latter nothing can be expected: an IPv6 address where the server never listened, say.
    """
    sights = verify.look(targets, reads=secrets.roots)
    up = {(str(sight.endpoint), sight.address) for sight in sights if sight.completed}
    answering = {endpoint for endpoint, _ in up}
    down = {(str(sight.endpoint), sight.address) for sight in sights if not sight.completed}
    return up, {place for place in down if place[0] in answering}


class Sightings:
    """Looks that were judged, to be saved together and told."""

    def __init__(self, context: Context) -> None:
        self.context = context
        self.records: list[Sighting] = []
        self._gone: list[Sighting] = []
        self._unseen: dict[str, str] = {}  # why a certificate's ports could not be looked at
        self._news: set[str] = set()  # certificates of which something else was seen the last time

    def add(self, situation: Situation, live: Version, sights: Iterable[verify.Sight]) -> None:
        """Judge what was seen of one certificate while `live` was the version to be served."""
        ours = {version.leaf.fingerprint for version in situation.versions}
        before = {(record.endpoint, record.address): record for record in situation.sightings}
        seen: set[tuple[str, str]] = set()
        for sight in sights:
            if sight.trouble is verify.PortTrouble.UNSEEN:  # what was seen before is all that is known
                self._unseen[situation.wish.name] = f"{sight.endpoint} could not be looked at: {sight.error}"
                continue
            place = (str(sight.endpoint), sight.address)
            seen.add(place)
            state = judge(
                completed=sight.completed,
                fingerprint=sight.fingerprint,
                trusted=sight.trusted,
                name_matches=sight.name_matches,
                live=live.leaf.fingerprint,
                ours=ours,
                others=sight.others,
                settled=sight.fitted >= sight.expected,
            )
            former = before.get(place)
            if former is None or (former.state, former.fingerprint) != (state, sight.fingerprint):
                self._news.add(situation.wish.name)
            self.records.append(self._record(situation, live, sight, state, former))
        looked_at = {endpoint for endpoint, _ in seen}
        self._gone += [r for place, r in before.items() if r.endpoint in looked_at and place not in seen]

    def _record(
        self,
        situation: Situation,
        live: Version,
        sight: verify.Sight,
        state: EndpointState,
        before: Sighting | None,
    ) -> Sighting:
        well = state is EndpointState.VERIFIED
        newer = _newer(situation, sight, state)
        again = (
            before is not None and before.version == live.id and before.state is not EndpointState.VERIFIED
        )
        return Sighting(
            certificate=situation.wish.name,
            host=self.context.host,
            endpoint=str(sight.endpoint),
            address=sight.address,
            version=live.id,
            state=state,
            at=sight.at,
            local=sight.local,
            answered=sight.connected,
            serial=sight.serial,
            fingerprint=sight.fingerprint,
            not_after=sight.not_after,
            error=None if well else _sentence(state, sight, newer=newer),
            failures=0 if well else (before.failures if before and again else 0) + 1,
            since=None if well else (before.since if before and again else sight.at),
            family=sight.family,
            lacks=sight.lacks and state is EndpointState.FOREIGN,
            newer=newer,
        )

    def save(self) -> None:
        """Write them to the ledger; addresses that a name no longer has are dropped."""
        if self._gone:
            self.context.ledger.drop(*self._gone)
        if self.records:
            self.context.ledger.save(*self.records)

    def outcomes(self) -> list[Outcome]:
        """One LOOK a certificate, and an event in the renewal log."""
        tell = self.context.journal.tell
        outcomes = [
            Outcome.failed(tell, name, Step.LOOK, error, hint="the next run looks again")
            for name, error in self._unseen.items()
        ]
        by_certificate: dict[str, list[Sighting]] = {}
        for record in self.records:
            by_certificate.setdefault(record.certificate, []).append(record)
        for name, records in by_certificate.items():
            bad = [record for record in records if record.state is not EndpointState.VERIFIED]
            places = ", ".join(dict.fromkeys(record.endpoint for record in records))
            if bad:
                detail = "; ".join(record.error or record.state.value for record in bad)
                # What is as it was the last time is for those who watch, as below
                tell = self.context.journal.tell if name in self._news else self.context.journal.show
                shown = bad[0].state.value
                outcomes.append(Outcome.failed(tell, name, Step.LOOK, detail, hint=hint(bad[0]), state=shown))
            else:
                # What is as it was is for those who watch: ten thousand lines an hour would tell nothing
                tell = self.context.journal.tell if name in self._news else self.context.journal.show
                tell(EventName.VERIFIED, name, endpoints=places, serial=records[0].serial)
                seen = f"seen at {places}: serial {records[0].serial}"
                outcomes.append(Outcome(certificate=name, step=Step.LOOK, result=Result.DONE, detail=seen))
        return outcomes


def look(context: Context, situations: Iterable[Situation], *, patience: float = math.inf) -> Sightings:
    """Look at every port of these certificates once, many at a time, and judge what is there.

    What cannot be looked at within `patience` seconds, or before the run's deadline, is left for later.
    """
    live = {s.wish.name: (s, version) for s in situations if (version := s.live_version) and s.wish.endpoints}
    # Certificates may share an endpoint: one look serves them all.
    targets = list(dict.fromkeys(t for situation, _ in live.values() for t in targets_of(context, situation)))
    owners = [name for name, (situation, _) in live.items() for _ in situation.wish.endpoints]
    by_target: dict[verify.Target, list[verify.Sight]] = {}
    end = clock.monotonic() + patience
    unwell = {
        sighting.endpoint
        for situation, _ in live.values()
        for sighting in situation.sightings
        if sighting.state is not EndpointState.VERIFIED
    }
    for sight in verify.look(
        targets,
        until=min(end, context.deadline),
        again=lambda endpoint: _again(endpoint, unwell),
        stopping=context.stopping,
        reads=secrets.roots,
    ):
        by_target.setdefault(target_of(sight), []).append(sight)
    found = Sightings(context)
    for name in dict.fromkeys(owners):
        situation, version = live[name]
        sights = [sight for target in targets_of(context, situation) for sight in by_target.get(target, ())]
        found.add(situation, version, sights)
    return found


def _again(endpoint: Endpoint, unwell: Collection[str]) -> int:
    """How many more handshakes a look takes: more where something was wrong, so that luck does not end it.

    Fewer where a protocol is spoken: such servers may take seconds to greet, and count who comes.
    """
    if str(endpoint) in unwell:
        return BESIDE if endpoint.spoken is not None else BESIDE_UNWELL
    return 2 if endpoint.spoken is not None else BESIDE


def _newer(situation: Situation, sight: verify.Sight, state: EndpointState) -> bool:
    """Whether a port shows what came after all of ours, so that this state must be an older one."""
    strange = state is EndpointState.FOREIGN and not sight.others and not sight.lacks
    return (
        strange and sight.trusted is not False and sight.leaf is not None and is_newer(sight.leaf, situation)
    )


def _sentence(state: EndpointState, sight: verify.Sight, *, newer: bool) -> str:  # noqa: PLR0911  a row each
    place = f"{sight.endpoint}" + (f" ({sight.address})" if sight.address else "")
    if newer:
        since = f"{sight.leaf.not_before:%Y-%m-%d %H:%M:%SZ}" if sight.leaf else ""
        return (
            f"{place} serves a certificate that is newer than this state, serial {sight.serial}, valid since "
            f"{since}: its key is not here"
        )
    if sight.completed and sight.others and state in (EndpointState.STALE, EndpointState.FOREIGN):
        what = "an older one of ours" if state is EndpointState.STALE else "one that is not ours"
        return f"{place} serves different certificates in turn, serial {sight.serial} and {what}"
    if sight.completed and state is EndpointState.UNREACHABLE:
        return f"{place} does not answer each time: {sight.fitted} of {sight.expected} handshakes in a row"
    match state:
        case EndpointState.STALE:
            return f"{place} serves an older certificate of ours, serial {sight.serial}"
        case EndpointState.FOREIGN if sight.leaf is None:
            return f"{place} serves a certificate of a kind that this program cannot read"
        case EndpointState.FOREIGN if sight.lacks and sight.family:
            kind = sight.family.upper()
            return (
                f"{place} has no certificate with an {kind} key to show, only another, serial {sight.serial}"
            )
        case EndpointState.FOREIGN:
            return f"{place} serves a certificate that is not ours, serial {sight.serial}"
        case EndpointState.UNTRUSTED:
            return f"{place} serves the right certificate, and clients do not trust it: {sight.error}"
        case _:
            return f"{place} cannot be seen: {sight.error}"
