"""When a certificate is to be renewed: the lifetime's share, or the authority's window (RFC 9773).

Every moment is fixed by facts. The point inside an ARI window is taken from the leaf's fingerprint, a
SHA-256 already: uniform over certificates, the same at every run, no state and no dice.
"""

from datetime import datetime, timedelta
from typing import Literal, NamedTuple, assert_never

from renewer.model.decision import Reason
from renewer.model.facts import Leaf, Version, Window
from renewer.words import stamp

SHORT_LIFETIME = timedelta(days=10)
DAY = timedelta(days=1)
# An authority says "at once" by a window that is over: Boulder's closed half an hour before it is asked for,
# and the certificate may be younger than that
AT_ONCE = timedelta(hours=2)


Rule = Literal[Reason.WINDOW_REACHED, Reason.RENEW_BEFORE, Reason.LIFETIME_SHARE]
"""What sets the moment of a renewal."""


class RenewalMoment(NamedTuple):
    """When, and by which rule; `opens` and `closes` are the authority's window if there is one."""

    at: datetime
    reason: Rule
    opens: datetime | None = None
    closes: datetime | None = None


class Verdict(NamedTuple):
    """Whether a certificate is due now, why, and as a sentence."""

    due: bool
    reason: Reason
    because: str


def slack(wake: timedelta) -> timedelta:
    """How far ahead a moment counts as reached: a tenth of a wake, at most five minutes."""
    return min(wake / 10, timedelta(minutes=5))


def emergency_span(lifetime: timedelta) -> timedelta:
    """Less left than this is an emergency."""
    return min(max(lifetime / 20, DAY), lifetime / 4, 5 * DAY)


def in_emergency(leaf: Leaf, now: datetime) -> bool:
    """Whether so little is left that caution gives way to haste."""
    return leaf.not_after - now < emergency_span(leaf.lifetime)


def in_last_hours(leaf: Leaf, now: datetime) -> bool:
    """Whether a certificate for fewer names is better than waiting: under a day, or a tenth, is left."""
    return leaf.not_after - now < min(DAY, leaf.lifetime / 10)


def in_last_wakes(leaf: Leaf, now: datetime, wake: timedelta) -> bool:
    """Whether at most one more run comes before the end: what is not done now may come too late."""
    return leaf.not_after - now < 2 * wake


def fraction(fingerprint: str) -> float:
    """A number in [0, 1) that is a certificate's own."""
    return int(fingerprint[:13], 16) / 16**13


def usable(version: Version, window: Window | None) -> bool:
    """Whether the authority gave a window that means anything; `end <= start` counts as none (RFC 9773 §4.2).

    So does one that was over before the version was made, as an authority gives that does not know what it
    issued: obeyed, it would be renewed at every run. And one that opens after the version's end.
    """
    if window is None or window.start is None or window.end is None or window.end <= window.start:
        return False
    return window.end > version.made_at - AT_ONCE and window.start < version.leaf.not_after


def renewal_moment(version: Version, window: Window | None, renew_before: timedelta | None) -> RenewalMoment:
    """The one instant at which this version is to be replaced."""
    leaf = version.leaf
    if window and window.start and window.end and usable(version, window):
        instant = window.start + (window.end - window.start) * fraction(leaf.fingerprint)
        return RenewalMoment(instant, Reason.WINDOW_REACHED, window.start, window.end)
    if renew_before is not None and renew_before < leaf.lifetime:
        return RenewalMoment(leaf.not_after - renew_before, Reason.RENEW_BEFORE)
    share = 2 if leaf.lifetime < SHORT_LIFETIME else 3
    return RenewalMoment(leaf.not_after - leaf.lifetime / share, Reason.LIFETIME_SHARE)


def judge(  # noqa: PLR0911  one return a rule
    version: Version, window: Window | None, renew_before: timedelta | None, now: datetime, wake: timedelta
) -> Verdict:
    """Whether to renew now, given that nobody will look again for a `wake`."""
    leaf, reached = version.leaf, now + slack(wake)
    moment = renewal_moment(version, window, renew_before)
    if leaf.not_after <= now:
        return Verdict(True, Reason.EXPIRED, f"it expired at {stamp(leaf.not_after)}")
    if moment.at <= reached:
        return Verdict(True, moment.reason, f"{_rule(moment.reason)} {stamp(moment.at)}")
    if in_emergency(leaf, now):
        return Verdict(
            True,
            Reason.EMERGENCY,
            f"it expires at {stamp(leaf.not_after)}, too soon to wait any longer",
        )
    if leaf.not_after <= now + wake:
        return Verdict(True, Reason.EMERGENCY, f"it expires at {stamp(leaf.not_after)}, before the next run")
    if moment.opens and moment.closes and moment.at <= now + wake:
        # RFC 9773 §4.2: if the moment falls before the next time the client wakes, renew now …
        if moment.opens <= now:
            return Verdict(True, moment.reason, f"its moment {stamp(moment.at)} comes before the next run")
        # … yet an order before the window opens loses the exemption from rate limits
        if moment.closes <= now + wake:
            text = f"the authority's window closes at {stamp(moment.closes)}, before the next run"
            return Verdict(True, Reason.WINDOW_WOULD_BE_MISSED, text)
    return Verdict(False, Reason.NOT_DUE, f"it is to be renewed at {stamp(moment.at)}")


def _rule(rule: Rule) -> str:
    """The beginning of a sentence that ends with the moment."""
    match rule:
        case Reason.WINDOW_REACHED:
            return "the moment in the authority's renewal window was"
        case Reason.RENEW_BEFORE:
            return "renew_before set its renewal for"
        case Reason.LIFETIME_SHARE:
            return "its share of the lifetime ended at"
    assert_never(rule)
