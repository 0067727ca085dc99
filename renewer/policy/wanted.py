"""Which of the versions on disk is wanted, and which is to be served: nearly always the same. Pure."""

from datetime import datetime, timedelta

from renewer.model.facts import Acceptance, Order, Situation, Version
from renewer.policy.window import in_emergency, in_last_wakes

ASSUMED_LIFETIME = timedelta(days=90)  # of a certificate that nobody has seen yet


def fits(version: Version, situation: Situation) -> bool:
    """Whether a version is what the config asks for. What nobody remembers is not held against it."""
    ours, wished = version.leaf.names, situation.wish.names
    same = ours == wished or (len(ours) == len(wished) and set(ours) == set(wished))
    return same and _fits_but_for_names(version, situation)


def fits_in_part(version: Version, situation: Situation) -> bool:
    """Whether it was issued for this wish without the names that did not validate."""
    fewer = set(version.leaf.names) < set(situation.wish.names)
    return version.degraded and fewer and _fits_but_for_names(version, situation)


def _fits_but_for_names(version: Version, situation: Situation) -> bool:
    csr = situation.wish.csr
    return (
        not version.placeholder
        and version.csr == (csr.spki if csr else None)
        and version.leaf.key in (situation.wish.key, None)
        and (version.authority is None or _came_as_asked(version, situation))
    )


def _came_as_asked(issued: Version | Order, situation: Situation) -> bool:
    """Whether that authority is named, is where it was then (not staging any more), and so the profile."""
    return any(
        asked.authority == issued.authority
        and (asked.profile is None or issued.profile in asked.profiles)
        and (asked.directory == "" or issued.directory in (None, asked.directory))
        for asked in situation.asked
    )


def usable(situation: Situation, now: datetime) -> list[Version]:
    """The versions that are not expired and newer than any that was revoked: nothing goes back behind one."""
    if not situation.revoked:
        return [version for version in situation.versions if version.leaf.not_after > now]
    revoked = [version.made_at for version in situation.versions if version.id in situation.revoked]
    return [
        version
        for version in situation.versions
        if version.leaf.not_after > now and not any(version.made_at <= moment for moment in revoked)
    ]


def wanted(situation: Situation, now: datetime) -> Version | None:
    """The newest version that is all that the config asks for, or None if there is none fit to be used.

    Held ones count: by this one it is judged whether a new one is due, and a rollback orders nothing.
    """
    return next((version for version in usable(situation, now) if fits(version, situation)), None)


def to_serve(situation: Situation, now: datetime, *, anyway: bool = False) -> Version | None:
    """The version that should be live: the preferred one, unless clients refuse it and a good one is live.

    In the last two wakes of the good one it is served all the same, and when a person asks for it (`anyway`).
    """
    if not anyway and withheld(situation, now) is not None:
        return situation.live_version
    return preferred(situation, now)


def withheld(situation: Situation, now: datetime) -> Version | None:
    """The preferred version, if it is not to go live because clients refuse it and accept the live one."""
    first, live = preferred(situation, now), situation.live_version
    if first is None or live is None or first.id == live.id or accepted(situation, first) is not False:
        return None
    stays = may_stay(situation, live, now) and accepted(situation, live)
    return first if stays else None


def to_compare(situation: Situation, now: datetime) -> tuple[Version, ...]:
    """The versions of which must be known whether clients accept them: the preferred and the live one."""
    live = situation.live_version
    if live is None or not may_stay(situation, live, now):
        return ()
    first = preferred(situation, now)
    return (first, live) if first is not None and first.id != live.id else ()


def accepted(situation: Situation, version: Version) -> bool | None:
    """Whether clients accept a version; None if nobody could tell, or nobody asked."""
    found = acceptance(situation, version)
    return found.accepted if found else None


def acceptance(situation: Situation, version: Version) -> Acceptance | None:
    """What is known of whether clients accept a version."""
    return next((one for one in situation.acceptances if one.version == version.id), None)


def may_stay(situation: Situation, live: Version, now: datetime) -> bool:
    """Whether a live version is good but for what clients say of it, with more than two wakes left."""
    sound = not live.placeholder and not live.degraded and live.id not in situation.revoked
    return sound and live.leaf.not_after > now and not in_last_wakes(live.leaf, now, situation.wake)


def preferred(situation: Situation, now: datetime) -> Version | None:
    """The wanted version, one behind the holds, or a degraded one at the end.

    A degraded certificate steps in when the full one has less than two wakes left, or none is there.
    """
    if back := behind_the_holds(situation, now):
        return back
    full, part = wanted(situation, now), in_part(situation, now)
    if part is None or (full is not None and full.leaf.not_after >= part.leaf.not_after):
        return full
    return part if full is None or in_last_wakes(full.leaf, now, situation.wake) else full


def behind_the_holds(situation: Situation, now: datetime) -> Version | None:
    """The version that a rollback went back to; one that was issued after it ends that.

    None without holds, and in an emergency: no hold lets a certificate expire. What was gone back to need not
    be what the config asks for.
    """
    if not situation.holds:
        return None
    held = {hold.version for hold in situation.holds}
    moments = [version.made_at for version in situation.versions if version.id in held]
    for version in usable(situation, now):
        if version.placeholder or version.id in held:
            continue
        if fits(version, situation) or all(version.made_at < moment for moment in moments):
            return None if in_emergency(version.leaf, now) else version
    return None


def in_part(situation: Situation, now: datetime) -> Version | None:
    """The newest degraded version that may still be used."""
    if not any(version.degraded for version in situation.versions):
        return None
    return next((v for v in usable(situation, now) if fits_in_part(v, situation)), None)


def best(situation: Situation, now: datetime, *, anyway: bool = False) -> Version | None:
    """What visitors see meanwhile: what is to be served, else what is live, even if it has expired."""
    live = situation.live_version
    if live and live.placeholder:
        live = None
    return to_serve(situation, now, anyway=anyway) or live


def lifetime(situation: Situation, now: datetime) -> timedelta:
    """How long its certificates live: what visitors see meanwhile, else the last one that anybody remembers.

    A version whose files are damaged is as good as absent, but it has said how short-lived they are.
    """
    live = best(situation, now)
    return live.leaf.lifetime if live else situation.lifetime or ASSUMED_LIFETIME


def order_fits(order: Order, situation: Situation) -> bool:
    """Whether an open order still is for what the config asks."""
    wish = situation.wish
    return (
        (
            set(order.identifiers) == set(wish.names)
            or (order.degraded and set(order.identifiers) < set(wish.names))
        )
        and order.key_type == wish.key
        and order.csr == (wish.csr.spki if wish.csr else None)
        and _came_as_asked(order, situation)
    )
