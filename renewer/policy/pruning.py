"""Which old versions may go. Pure."""

from datetime import datetime

from renewer.model.facts import Hold, Situation
from renewer.policy.health import complete
from renewer.policy.wanted import in_part, to_serve, wanted

KEPT = 5


def removable(situation: Situation, now: datetime) -> tuple[str, ...]:
    """Versions that nobody needs: beyond the newest five old ones, what cannot be read, and placeholders.

    Never the wanted or live one, never one that a port still serves, and nothing while the live version is
    not yet seen everywhere: then an older one is the last good one.
    """
    if complete(situation) is None:
        return ()
    served = {sighting.fingerprint for sighting in situation.sightings}
    needed = (wanted(situation, now), to_serve(situation, now), in_part(situation, now))
    kept = {situation.live, *(version.id for version in needed if version)}
    old = [v for v in situation.versions if v.id not in kept and v.leaf.fingerprint not in served]
    real = [version for version in old if not version.placeholder]
    broken = tuple(version for version, _ in situation.broken)
    return broken + tuple(v.id for v in old if v.placeholder) + tuple(version.id for version in real[KEPT:])


def ended_holds(situation: Situation) -> tuple[Hold, ...]:
    """Holds that say nothing any more: a version newer than what they hold is live and seen everywhere."""
    live = situation.live_version
    if not situation.holds or live is None or complete(situation) is None:
        return ()
    newer = {version.id for version in situation.versions if version.made_at >= live.made_at}
    return tuple(hold for hold in situation.holds if hold.version not in newer)
