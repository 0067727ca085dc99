"""Which facts are too old to decide upon: windows to ask for, ports to look at. Pure."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

from renewer.model.facts import EndpointState, Sighting, Situation, Version
from renewer.policy.backoff import from_the_future
from renewer.policy.checks import window_of
from renewer.policy.wanted import wanted
from renewer.policy.window import fraction, slack

FIRST_PAUSE = timedelta(minutes=1)
LONGEST_PAUSE = timedelta(hours=6)
_NEVER = datetime.min.replace(tzinfo=UTC)
CHAIN_FOR = timedelta(days=1)  # so long a preferred chain that could not be had is asked for again,
CHAIN_EVERY = timedelta(minutes=10)  # at most so often
UNWELL_PAUSE = timedelta(minutes=5)  # at most so often a port is looked at that is not well
_SECONDS = timedelta(seconds=30)  # by which runs every five minutes come early or late
UNWELL_FOR = timedelta(days=1)  # after that at the usual pace


def to_ask(situation: Situation, now: datetime, *, anyway: bool = False) -> Version | None:
    """The version whose renewal window is to be asked for now, or None.

    Never after expiry nor once replaced (RFC 9773 §4.3): only the wanted version is asked for. `anyway` asks
    before the authority's Retry-After is over: a person wants to know.
    """
    version = wanted(situation, now)
    if version is None or version.leaf.ari_id is None or version.authority is None:
        return None
    window = window_of(situation, version)
    if window is None or anyway or from_the_future(window.asked_at, now):
        return version
    return version if window.ask_again <= now else None


def longest_unasked_first(asking: Iterable[tuple[Situation, Version]]) -> list[tuple[Situation, Version]]:
    """In the order in which they are asked: those without a window come first, so that each gets its turn."""

    def asked(pair: tuple[Situation, Version]) -> tuple[bool, datetime]:
        window = window_of(*pair)
        return (window.start is not None, window.asked_at) if window else (False, _NEVER)

    return sorted(asking, key=asked)


def ask_after(failures: int) -> timedelta:
    """How long to leave an authority alone that did not answer `failures` times before (RFC 9773 §4.3.3)."""
    return min(FIRST_PAUSE * (1 << min(failures, 10)), LONGEST_PAUSE)


def to_look(situation: Situation, now: datetime, every: timedelta, wake: timedelta) -> bool:
    """Whether a certificate's ports are to be looked at again: at the latest `every` after the last look.

    Spread by hash: each certificate waits for its own share of the period's second half, always the same, so
    that what was deployed together is not looked at together for ever.
    """
    live = situation.live_version
    if live is None or live.placeholder or not situation.wish.endpoints:
        return False
    share = fraction(live.leaf.fingerprint)
    return any(
        ends_at(sighting, every, share) <= now + slack(wake)
        or from_the_future(sighting.at, now)
        or _is_watched(sighting, now + min(slack(wake), _SECONDS))
        for sighting in situation.sightings
    )


def _is_watched(sighting: Sighting, now: datetime) -> bool:
    """Whether every run looks at it again: it is not well, and has not been so for a day."""
    if sighting.state is EndpointState.VERIFIED or now < sighting.at + UNWELL_PAUSE:
        return False
    return now - (sighting.since or sighting.at) < UNWELL_FOR


def ends_at(sighting: Sighting, every: timedelta, share: float) -> datetime:
    """When a sighting is too old to be relied upon."""
    return sighting.at + every * (1 + share) / 2


def chain_to_ask(situation: Situation, now: datetime) -> Version | None:
    """The version whose preferred chain is to be asked for again: for a day after it was issued."""
    missed, newest = situation.chain, next((v for v in situation.versions if not v.placeholder), None)
    if missed is None or newest is None or not missed.urls or situation.order is not None:
        return None
    asked = timedelta(0) <= now - missed.tried_at < CHAIN_EVERY
    over = not -CHAIN_FOR < now - missed.at < CHAIN_FOR
    same = newest.leaf.serial == missed.serial and newest.authority == missed.authority
    held = situation.holds or newest.id in situation.revoked or newest.leaf.not_after <= now
    return newest if same and not (asked or over or held) else None


def chain_missed(situation: Situation) -> bool:
    """Whether the newest version is the one whose preferred chain could not be had."""
    newest = next((v for v in situation.versions if not v.placeholder), None)
    return situation.chain is not None and newest is not None and newest.leaf.serial == situation.chain.serial
