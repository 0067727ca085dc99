"""Which of the versions on disk is wanted: the newest that fits the wish and may be used."""

from datetime import datetime

from renewer.model.facts import Order, Situation, Version
from renewer.policy.window import in_emergency


def fits(version: Version, situation: Situation) -> bool:
    """Whether a version is what the config asks for. What nobody remembers is not held against it."""
    leaf, wish = version.leaf, situation.wish
    return (
        not version.placeholder
        and set(leaf.names) == set(wish.names)
        and leaf.key in (wish.key, None)
        and (version.authority is None or _came_as_asked(version.authority, version.profile, situation))
    )


def _came_as_asked(authority: str, profile: str | None, situation: Situation) -> bool:
    """Whether that authority is named, and the profile is what is asked of it."""
    return any(asked.authority == authority and asked.profile in (None, profile) for asked in situation.asked)


def wanted(situation: Situation, now: datetime) -> Version | None:
    """The version that should be served now, or None if there is none fit to be."""
    held = {hold.version for hold in situation.holds}
    fitting = [
        version for version in situation.versions if fits(version, situation) and version.leaf.not_after > now
    ]
    free = next((version for version in fitting if version.id not in held), None)
    if held and (free is None or in_emergency(free.leaf, now)):
        return next(iter(fitting), None)  # a hold must not let a certificate expire
    return free


def best(situation: Situation, now: datetime) -> Version | None:
    """What keeps visitors safe meanwhile: the wanted version, else a live one that is not expired."""
    live = situation.live_version
    if live and (live.placeholder or live.leaf.not_after <= now):
        live = None
    return wanted(situation, now) or live


def order_fits(order: Order, situation: Situation) -> bool:
    """Whether an open order still is for what the config asks."""
    wish = situation.wish
    return (
        set(order.identifiers) == set(wish.names)
        and order.key_type == wish.key
        and _came_as_asked(order.authority, order.profile, situation)
    )
