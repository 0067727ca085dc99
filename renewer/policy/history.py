"""What there is to say in a certificate's history that it does not say yet. Pure.

History is told from facts, not from what a run believes to have done: a run that was killed before it could
tell is made up for by the next one.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta

import msgspec

from renewer.model.decision import EventName
from renewer.model.facts import Situation, Standing, Version
from renewer.model.trouble import FAILING, Trouble
from renewer.model.value import Value
from renewer.policy.diagnosis import diagnose
from renewer.policy.health import complete

NEWS = timedelta(days=1)
"""Of a certificate without any history (a lost ledger, say), only what is younger is told as new."""


class HistoryLine(Value):
    """One line of history; durations among the details are in seconds."""

    name: EventName
    details: Mapping[str, object]


def untold(
    situation: Situation, standing: Standing | None, now: datetime
) -> tuple[tuple[HistoryLine, ...], Standing | None]:
    """The lines that are missing, oldest first, and what the history has said once they are written."""
    live, troubles = situation.live_version, diagnose(situation, now)
    failing, whole = _failing(troubles, now), complete(situation) is not None
    if standing is None and failing is None and not whole:
        return (), None
    before = standing or Standing(certificate=situation.wish.name, host=situation.host)
    after, events = before, list[HistoryLine]()
    if failing and before.failing_since is None:
        since, text = failing
        events.append(HistoryLine(name=EventName.FAILED, details={"since": since, "error": text}))
        after = msgspec.structs.replace(after, failing_since=since, error=text)
    if (back := _turned_back(situation)) and back != before.turned_back:
        details = {"from": back, "to": situation.live, "error": failing[1] if failing else None}
        events.append(HistoryLine(name=EventName.ROLLED_BACK, details=details))
        after = msgspec.structs.replace(after, turned_back=back)
    if whole and live is not None and live.id != before.version:
        seen_at = _seen_at(situation, live)
        if before.version is not None or _is_news(live, before, now):
            events.append(_another(situation, live, before, seen_at))
        after = msgspec.structs.replace(
            after, version=live.id, not_after=live.leaf.not_after, renewed_at=seen_at
        )
    if not troubles and before.failing_since:
        events.append(_recovered(before, before.failing_since, now))
        after = msgspec.structs.replace(after, failing_since=None, error="")
    return tuple(events), after


def _is_news(live: Version, before: Standing, now: datetime) -> bool:
    """Whether the first version that is told of came while we looked, and did not just lie there."""
    begun = before.failing_since
    return now - live.made_at < NEWS or (begun is not None and begun <= live.made_at)


def _another(situation: Situation, live: Version, before: Standing, seen_at: datetime) -> HistoryLine:
    """Another version is everywhere: newer than the last one, or older because somebody went back."""
    if before.version is not None and live.id < before.version:
        hold = next((hold for hold in situation.holds if hold.version == before.version), None)
        details = {"from": before.version, "to": live.id, "error": hold.why if hold else None}
        return HistoryLine(name=EventName.ROLLED_BACK, details=details)
    old = before.not_after or _expiry_before(situation, live)
    return HistoryLine(
        name=EventName.RENEWED,
        details={
            "version": live.id,
            "serial": live.leaf.serial,
            "not_after": live.leaf.not_after,
            "authority": live.authority,
            "issued_at": live.made_at,
            "seen_at": seen_at,
            "seen": bool(situation.wish.endpoints),
            "took": (seen_at - live.made_at).total_seconds(),
            "margin": (old - seen_at).total_seconds() if old else None,
        },
    )


def _recovered(before: Standing, since: datetime, now: datetime) -> HistoryLine:
    took = (now - since).total_seconds()
    return HistoryLine(
        name=EventName.RECOVERED, details={"since": since, "took": max(took, 0.0), "error": before.error}
    )


def _expiry_before(situation: Situation, live: Version) -> datetime | None:
    """When the version before this one ends, if it still lies on disk."""
    older = (v.leaf.not_after for v in situation.versions if v.made_at < live.made_at and not v.placeholder)
    return next(older, None)


def _seen_at(situation: Situation, live: Version) -> datetime:
    """When the last thing that makes it complete became true."""
    moments = [live.made_at]
    moments += [d.at for d in situation.deployments if d.version == live.id]
    moments += [s.at for s in situation.sightings if s.version == live.id]
    return max(moments)


def _turned_back(situation: Situation) -> str | None:
    """The newer version that had to go again, if the last deployment ended so."""
    back = (d.version for d in situation.deployments if d.turned_back and d.version != situation.live)
    return next(back, None)


def _failing(troubles: Iterable[Trouble], now: datetime) -> tuple[datetime, str] | None:
    """Since when anything fails, and the most telling of it; None if nothing does."""
    found = [one for one in troubles if one.kind in FAILING]
    return (min(one.since or now for one in found), found[0].text) if found else None
