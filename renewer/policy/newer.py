"""Is what is served or copied newer than all that this state has? Then the state is an older one. Pure."""

from datetime import datetime, timedelta

from renewer.model.facts import Leaf, Sighting, Situation, Version

PATIENCE = timedelta(days=1)  # for somebody to restore the right state; less of short-lived ones
_SHARE = 10


def newest(situation: Situation) -> Version | None:
    """The real version that was issued last, by what its certificate says."""
    real = [version for version in situation.versions if not version.placeholder]
    return max(real, key=lambda version: version.leaf.not_before, default=None)


def is_newer(leaf: Leaf, situation: Situation) -> bool:
    """Whether a certificate that is not ours came after all of ours, for the same names.

    Authorities backdate, all alike; what begins later and ends later was issued later.
    """
    last = newest(situation)
    if last is None or any(version.leaf.fingerprint == leaf.fingerprint for version in situation.versions):
        return False
    ends = max(version.leaf.not_after for version in situation.versions)
    later = leaf.not_before > last.leaf.not_before and leaf.not_after > ends
    return later and set(leaf.names) == set(situation.wish.names)


def ahead(situation: Situation) -> list[Sighting]:
    """The ports that show what came after the live version."""
    return [seen for seen in situation.sightings if seen.newer and seen.version == situation.live]


def order_by(situation: Situation) -> datetime | None:
    """When another is ordered because a port of this host shows what came after ours; None if that is not so.

    Only where something of ours brings it to servers: else another order would change nothing there.
    """
    live = situation.live_version
    since = [seen.since or seen.at for seen in ahead(situation) if seen.local]
    if live is None or live.placeholder or not since or not situation.hooks:
        return None
    return min(since) + min(PATIENCE, live.leaf.lifetime / _SHARE)
