"""Whether runs still come: the watchdog of the agent itself. Pure."""

from collections.abc import Iterable
from datetime import datetime, timedelta

import msgspec

from renewer.model.decision import Decision, Reason
from renewer.model.facts import Debris, Purse, RunRecord, Situation
from renewer.policy.backoff import from_the_future
from renewer.policy.budget import moment_of
from renewer.policy.deploy_window import length
from renewer.policy.freshness import chain_missed

_WAKES = 3  # that may pass without a run that came to its end


def begun(known: Iterable[RunRecord], run: str, host: str, at: datetime) -> RunRecord:
    """The record of a run that begins now."""
    before = next((one for one in known if one.host == host), None)
    return RunRecord(
        certificate="",
        run=run,
        host=host,
        at=at,
        quiet_since=quiet_since(before, at) or at,
        unwell=before.unwell if before else (),
    )


def ended(
    record: RunRecord, at: datetime, code: int, findings: tuple[str, ...], *, all_of_them: bool
) -> RunRecord:
    """The same at its end. One of some certificates says nothing of the timer."""
    quiet = at if all_of_them else record.quiet_since
    return msgspec.structs.replace(record, ended_at=at, exit=code, findings=findings, quiet_since=quiet)


def patience(wake: timedelta, deadline: timedelta) -> timedelta:
    """How long it may take from the end of one run to the end of the next."""
    return max(_WAKES * wake, wake + deadline)


def quiet_since(run: RunRecord | None, now: datetime | None = None) -> datetime | None:
    """Since when no run came to its end; None if there never was one, or it lies in the future.

    A record of an earlier release says only when that run ended.
    """
    if run is None:
        return None
    since = run.quiet_since or run.ended_at or run.at
    return None if now is not None and from_the_future(since, now) else since


def stopped_since(run: RunRecord | None, allowed: timedelta, now: datetime) -> datetime | None:
    """Since when, if that is longer than allowed; None while runs come, or if there never was one."""
    since = quiet_since(run, now)
    return since if since is not None and now - since > allowed else None


TOLERATED_SKEW = timedelta(minutes=5)
LEFT_FOR = timedelta(days=30)  # what a challenge left behind is tried to be removed for so long
FORCED_OFTEN, FORCED_WITHIN = 4, timedelta(days=1)
LEFT_TO_NOBODY_FOR = timedelta(days=1)


def wrong_clock(now: datetime, built: datetime) -> str | None:
    """A clock before this program was made shows the wrong time: then nothing is ordered."""
    if now >= built:
        return None
    return (
        f"this host's clock says {now:%Y-%m-%d %H:%M:%SZ}, before this program was made ({built:%Y-%m-%d}): "
        "nothing is ordered until it is right; set it, or start time synchronisation"
    )


def skewed_clock(authority: str, skew: timedelta | None) -> str | None:
    """The authority's Date against ours."""
    if skew is None or abs(skew) <= TOLERATED_SKEW:
        return None
    seconds = round(abs(skew).total_seconds())
    side = "behind" if skew > timedelta(0) else "ahead of"
    return f"this host's clock is {seconds} s {side} {authority}'s: start time synchronisation"


def unreadable(situations: Iterable[Situation]) -> list[str]:
    """Versions on disk that are damaged or unsafe: as good as absent, and somebody should know."""
    return [
        f"{situation.wish.name}: {text}"
        for situation in situations
        for text in (
            situation.fault,
            *(f"{why}; it goes with the next renewal" for _, why in situation.broken),
        )
        if text
    ]


def left_alone(situations: Iterable[Situation]) -> list[str]:
    """Copies in whose place somebody else put a later certificate: servers get that one, not ours."""
    notes = ((s.wish.name, copy.note) for s in situations for copy in s.copies if copy.note)
    return [f"{name}: {note}" for name, note in dict.fromkeys(notes)]


def unjudged(situations: Iterable[Situation], now: datetime) -> list[str]:
    """Versions that went live though nobody could tell whether clients accept them."""
    return [
        f"{situation.wish.name}: whether clients accept version {one.version} cannot be told: {one.why}"
        for situation in situations
        for one in situation.acceptances
        if one.accepted is None and one.version == situation.live and one.at <= now
    ]


def budgets(decisions: Iterable[Decision]) -> list[str]:
    """Certificates that would be ordered, were it not too often."""
    return [
        f"{one.certificate}: {one.because}; the next order not before {one.not_before:%Y-%m-%d %H:%M:%SZ}"
        for one in decisions
        if one.reason is Reason.ORDER_BUDGET and one.not_before is not None
    ]


def forced_often(situations: Iterable[Situation], now: datetime) -> list[str]:
    """Orders by `--force`, which knows no budget, so often that it can be no person who types it."""
    found = []
    for situation in situations:
        for record in situation.ordered:
            moments = [moment_of(one, now) for one in record.orders if one.purse is Purse.FORCE]
            often = sum(now - at < FORCED_WITHIN for at in moments)
            if often >= FORCED_OFTEN:
                sent = f"{situation.wish.name}: {record.authority} was sent {often} orders of it by --force"
                found.append(
                    f"{sent} within a day, beyond the order budget, and may refuse more for a week: "
                    "leave --force out of what a timer calls"
                )
    return found


def renewed_too_early(situations: Iterable[Situation]) -> list[str]:
    """`renew_before` that no certificate lives long enough for."""
    return [
        f"{one.wish.name}: renew_before ({_span(one.wish.renew_before)}) is not shorter than its certificate "
        f"lives ({_span(live.leaf.lifetime)}), and counts for nothing: its share of the lifetime decides"
        for one in situations
        if (live := one.live_version) is not None
        and not live.placeholder
        and one.wish.renew_before is not None
        and one.wish.renew_before >= live.leaf.lifetime
    ]


def seldom_woken(situations: Iterable[Situation], wake: timedelta) -> list[str]:
    """Certificates that live too shortly for how rarely anybody looks."""
    found: list[str] = []
    for situation in situations:
        live = situation.live_version
        if live is not None and not live.placeholder and wake > live.leaf.lifetime / 4:
            name, lives = situation.wish.name, _span(live.leaf.lifetime)
            found.append(
                f"{name} lives for {lives} and runs are {_span(wake)} apart: "
                "let the timer call at least four times in a lifetime ([agent] wake)"
            )
    return found


def missed_chains(situations: Iterable[Situation]) -> list[str]:
    """Preferred chains that could not be had: the default one stands in."""
    return [f"{one.wish.name}: {one.chain.text}" for one in situations if one.chain and chain_missed(one)]


def ended_accounts(situations: Iterable[Situation]) -> list[str]:
    """Accounts that were ended while other authorities of the certificate remain: those are asked instead."""
    found = {
        f"the account at {name} {how}: nothing is ordered there; renewer account register {name}"
        for situation in situations
        for name, how in situation.ended
        if len(situation.ended) < len(situation.wish.authorities)
    }
    return sorted(found)


def left_behind(debris: Iterable[Debris]) -> list[str]:
    """What challenges left behind and nobody could remove yet."""
    places = {f"{item.where} ({item.what})": debris_ends(item, answered=True) for item in debris}
    if not places:
        return []
    notes = [f"left behind by a challenge: {place}; each run tries again to remove it" for place in places]
    until = f"until {max(places.values()):%Y-%m-%d} at the latest"
    return [*notes, f"what challenges left behind is tried {until}; now, or never: renewer challenge clean"]


def debris_ends(item: Debris, *, answered: bool) -> datetime:
    """When nobody tries any more to remove it; soon, if no challenge of the config can (`answered`)."""
    return item.at + (LEFT_FOR if answered else LEFT_TO_NOBODY_FOR)


def windows_missed(situations: Iterable[Situation], wake: timedelta) -> list[str]:
    """Deploy windows that may open and close again between two runs."""
    return [
        f"{situation.wish.name}: its deploy window ({window.text}) is shorter than the {_span(wake)} between "
        "runs: it may be missed; widen it, or let the timer call more often ([agent] wake)"
        for situation in situations
        for window in situation.wish.deploy_windows
        if not window.fault and length(window) < wake
    ]


def _span(span: timedelta) -> str:
    hours = span.total_seconds() / 3600
    if hours >= 48:
        return f"{hours / 24:.0f} days"
    return f"{hours:.0f} h" if hours >= 2 else f"{hours * 60:.0f} min"
