"""When servers may be touched: issued ahead, deployed inside the window, unless it is an emergency. Pure."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta, tzinfo

from renewer.model.desired import DeployWindow
from renewer.model.facts import Situation, Version
from renewer.policy.window import emergency_span, in_emergency

_DAY = 24 * 60  # minutes


def closed_until(situation: Situation, now: datetime) -> datetime | None:
    """When servers may be touched again; None if they may now.

    A window is for renewing what serves well. It does not count where nothing good is live, and in an
    emergency: a maintenance window must not let a certificate expire.
    """
    windows, live = situation.wish.deploy_windows, situation.live_version
    if not windows or live is None or not serves_well(situation, live, now):
        return None
    known = [window for window in windows if not window.fault]
    return opening(known, now) if known else urgent_from(live)


def urgent_from(live: Version) -> datetime:
    """From when on no window counts for what is live."""
    return live.leaf.not_after - emergency_span(live.leaf.lifetime)


def opening(windows: Iterable[DeployWindow], now: datetime) -> datetime | None:
    """The moment at which the next window opens, aware UTC; None if one is open at this moment."""
    following: list[datetime] = []
    for window in windows:
        for begin, end in _around(window, now):
            if begin <= now < end:
                return None
            if begin > now:
                following.append(begin)
    return min(following, default=None)


def length(window: DeployWindow) -> timedelta:
    """How long a window stays open."""
    return timedelta(minutes=(window.end - window.start) % _DAY or _DAY)


def _around(window: DeployWindow, now: datetime) -> Iterable[tuple[datetime, datetime]]:
    """Its openings from yesterday to a week ahead, as the clocks of its zone show them."""
    zone = _clocks(window.zone)
    today = now.astimezone(zone).replace(hour=0, minute=0, second=0, microsecond=0, fold=0)
    for ahead in range(-1, 9):
        day = today + timedelta(days=ahead)
        if day.weekday() in window.days:
            local = day + timedelta(minutes=window.start)
            begin, end = local.astimezone(UTC), (local + length(window)).astimezone(UTC)
            # Where clocks leave its hour out, a short window would end before it begins: it comes after
            yield begin, end if end > begin else begin + length(window)


def _clocks(zone: str) -> tzinfo:
    """The clocks of a zone; UTC needs no database."""
    if zone == "UTC":
        return UTC
    from zoneinfo import ZoneInfo

    return ZoneInfo(zone)


def serves_well(situation: Situation, live: Version, now: datetime) -> bool:
    """Whether visitors are well served meanwhile, by what is live and by what the ports still show."""
    if live.placeholder or live.degraded or live.id in situation.revoked or in_emergency(live.leaf, now):
        return False
    span = emergency_span(live.leaf.lifetime)
    return all(
        sighting.not_after is None or sighting.not_after - now >= span
        for sighting in situation.sightings
        if sighting.local
    )
