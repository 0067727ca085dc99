"""Which facts are too old to decide upon: windows to ask for, ports to look at. Pure."""

from datetime import datetime, timedelta

from renewer.model.facts import Sighting, Situation, Version
from renewer.policy.need import window_of
from renewer.policy.wanted import wanted
from renewer.policy.window import fraction, slack

FIRST_PAUSE = timedelta(minutes=1)
LONGEST_PAUSE = timedelta(hours=6)


def to_ask(situation: Situation, now: datetime, *, anyway: bool = False) -> Version | None:
    """The version whose renewal window is to be asked for now, or None.

    Never after expiry nor once replaced (RFC 9773 §4.3): only the wanted version is asked for. `anyway` asks
    before the authority's Retry-After is over: a person wants to know.
    """
    version = wanted(situation, now)
    if version is None or version.leaf.ari_id is None or version.authority is None:
        return None
    window = window_of(situation, version)
    return version if window is None or anyway or window.ask_again <= now else None


def ask_after(failures: int) -> timedelta:
    """How long to leave an authority alone that did not answer `failures` times before (RFC 9773 §4.3.3)."""
    return min(FIRST_PAUSE * (1 << min(failures, 10)), LONGEST_PAUSE)


def to_look(situation: Situation, now: datetime, every: timedelta, wake: timedelta) -> bool:
    """Whether the hour of regular looking has come for a certificate's ports.

    Spread by hash: each certificate has its own point in the period, and is looked at when that has passed.
    """
    live = situation.live_version
    if live is None or live.placeholder or not situation.wish.endpoints:
        return False
    ends = [ends_at(sighting, every, fraction(live.leaf.fingerprint)) for sighting in situation.sightings]
    return any(end <= now + slack(wake) for end in ends)


def ends_at(sighting: Sighting, every: timedelta, share: float) -> datetime:
    """When a sighting is too old: the next point of the certificate's own in a raster of `every`."""
    step = every.total_seconds()
    seen = sighting.at.timestamp()
    own = share * step
    periods = (seen - own) // step + 1
    return datetime.fromtimestamp(own + periods * step, tz=sighting.at.tzinfo)
