"""Whether our clock is to be believed, from what authorities say of theirs. Pure."""

from collections.abc import Iterable
from datetime import datetime, timedelta
from enum import StrEnum

from renewer.model.value import Value
from renewer.policy.budget import step

AT_LEAST = timedelta(minutes=5)  # clocks differ, and replies take their time


class Side(StrEnum):
    """Of two clocks."""

    AHEAD = "ahead"
    BEHIND = "behind"


class Reading(Value):
    """One authority's clock as it was read here: `ahead` is how far it is ahead of ours, negative if behind.

    None if its TLS certificate alone is out of its time by our clock; then `side` says where ours may be.
    """

    authority: str
    ahead: timedelta | None
    side: Side


class ClockVerdict(StrEnum):
    """What follows for an authority whose clock is not ours."""

    BELIEVED = "believed"
    PASSED_OVER = "passed-over"
    DISTRUSTED = "distrusted"


def reading(authority: str, ahead: timedelta) -> Reading:
    """What a Date says."""
    return Reading(authority=authority, ahead=ahead, side=Side.BEHIND if ahead > timedelta(0) else Side.AHEAD)


def out_of_date(authority: str, *, expired: bool) -> Reading:
    """What a TLS certificate says that has expired, or is not valid yet."""
    return Reading(authority=authority, ahead=None, side=Side.AHEAD if expired else Side.BEHIND)


def tolerated(lifetime: timedelta) -> timedelta:
    """How far clocks may differ without harm to a certificate that lives so long."""
    return max(AT_LEAST, step(lifetime))


def differs(one: Reading, tolerance: timedelta) -> bool:
    """Whether it contradicts our clock."""
    return one.ahead is None or abs(one.ahead) > tolerance


def judge(
    odd: Reading, others: Iterable[Reading], tolerance: timedelta, *, synchronised: bool | None
) -> ClockVerdict:
    """Whose clock is wrong, the `odd` authority's or ours.

    Two that say the same of ours are right. One that agrees with ours vouches for it; else the kernel is
    believed if it says that nobody keeps our clock right (`synchronised`; None if it says nothing).
    """
    if not differs(odd, tolerance):
        return ClockVerdict.BELIEVED
    known = list(others)
    if agreeing(odd, known, tolerance):
        return ClockVerdict.DISTRUSTED
    vouched = any(not differs(one, tolerance) for one in known)
    return ClockVerdict.DISTRUSTED if synchronised is False and not vouched else ClockVerdict.PASSED_OVER


def agreeing(odd: Reading, others: Iterable[Reading], tolerance: timedelta) -> list[Reading]:
    """Those that say the same of our clock as an odd one."""
    return [one for one in others if differs(one, tolerance) and _agree(odd, one, tolerance)]


def _agree(one: Reading, other: Reading, tolerance: timedelta) -> bool:
    if one.ahead is None or other.ahead is None:
        return one.side is other.side
    return abs(one.ahead - other.ahead) <= tolerance


def difference(one: Reading) -> str:
    """How our clock stands to that authority's, in words."""
    if one.ahead is None:
        there = "has expired" if one.side is Side.AHEAD else "is not valid yet"
        return f"by this host's clock the TLS certificate of {one.authority} {there}"
    where = "ahead of" if one.side is Side.AHEAD else "behind"
    return f"this host's clock is {_span(abs(one.ahead))} {where} {one.authority}'s"


def distrusted(told: Iterable[Reading], now: datetime) -> tuple[str, str]:
    """That our clock is not believed, and what to type; `told` is who said so."""
    said = list(told)
    text = "; ".join(difference(one) for one in said)
    if len(said) == 1:
        text += ", and the kernel says that nobody keeps this one right"
    theirs = next((now + one.ahead for one in said if one.ahead is not None), None)
    by_hand = f"date -u -s '{theirs:%Y-%m-%d %H:%M:%S}'" if theirs else "date -u -s 'YEAR-MONTH-DAY HOUR:MIN'"
    text += f": it says {now:%Y-%m-%d %H:%M:%SZ}, and nothing is ordered until they agree"
    hint = "look at it: timedatectl; start time synchronisation: timedatectl set-ntp true; "
    return text, hint + f"or, if that is the true time, set it by hand: {by_hand}"


def passed_over(odd: Reading) -> tuple[str, str]:
    """That an authority is left alone in this run, and what to type."""
    return (
        f"{difference(odd)}: {odd.authority} is passed over in this run, the next one asks it again",
        "compare both with the true time: timedatectl; date -u",
    )


def _span(span: timedelta) -> str:
    seconds = span.total_seconds()
    if seconds >= 2 * 86400:
        return f"{seconds / 86400:.0f} days"
    return f"{seconds / 3600:.1f} h" if seconds >= 7200 else f"{seconds:.0f} s"
