"""Three simulated years: no certificate ever comes nearer to its expiry than the policy says.

Pure and fixed by seeds: nothing waits, and every run of the tests lives through the same years. A timer
fires, the policy decides on a whole situation, and an issue that is due is done at once or, during an outage,
fails.
"""

import random
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from itertools import islice
from typing import NamedTuple

import pytest
from msgspec.structs import replace

from renewer.context import observed_wake
from renewer.errors import RetryLater
from renewer.model.decision import Reason, Step
from renewer.model.facts import Situation, Version, Window
from renewer.policy.backoff import count
from renewer.policy.due import decide
from renewer.policy.terms import Terms
from renewer.policy.window import renewal_moment, slack
from tests.builders import DAY, HOUR, MINUTE, NOW, situation, version, window

YEARS = 3 * 365 * DAY
LIFETIMES = (90 * DAY, 64 * DAY, 47 * DAY, 45 * DAY, 6 * DAY)
BACKDATED = HOUR  # authorities date notBefore back
Gaps = Callable[[random.Random, timedelta], timedelta]


def _hourly(dice: random.Random, _: timedelta) -> timedelta:
    return HOUR + MINUTE * dice.random()


def _daily(dice: random.Random, _: timedelta) -> timedelta:
    return DAY + 30 * MINUTE * (dice.random() - 0.5)


def _irregular(dice: random.Random, lifetime: timedelta) -> timedelta:
    """A laptop: mostly every few hours, sometimes off for days, at most for an eighth of the lifetime."""
    return min(HOUR * dice.choice((0.2, 1, 5, 9, 16, 60)) * (0.5 + dice.random()), lifetime / 8)


TIMERS: dict[str, tuple[timedelta, Gaps]] = {
    "hourly": (HOUR, _hourly),
    "daily": (DAY, _daily),
    "irregular": (HOUR, _irregular),
}
SLOW_TIMERS = [pytest.param(name, marks=pytest.mark.slow) for name in ("hourly", "irregular")]
# So long before the moment nothing can be due: longer than any wake that a run can have observed
SURELY_TOO_EARLY = {"hourly": 4 * HOUR, "daily": 1.5 * DAY, "irregular": 1.5 * DAY}


class Life(NamedTuple):
    """A certificate from its issue to the run that replaced it; `before` is the run before that."""

    version: Version
    window: Window | None
    before: datetime
    replaced: datetime
    wake: timedelta
    reason: Reason


def _window(of: Version) -> Window:
    """As Let's Encrypt gives it: 2/3 of the lifetime (1/2 below ten days), a hundredth to each side."""
    leaf = of.leaf
    middle = leaf.not_before + leaf.lifetime * (1 / 2 if leaf.lifetime < 10 * DAY else 2 / 3)
    return window(of, middle - leaf.lifetime / 100, middle + leaf.lifetime / 100)


def _issued(number: int, at: datetime, lifetime: timedelta, *, ari: bool) -> Situation:
    fresh = version(number, at=at, age=BACKDATED, lifetime=lifetime)
    fresh = replace(fresh, made_at=at)
    return situation(versions=(fresh,), windows=(_window(fresh),) if ari else ())


def _live(
    seed: int,
    lifetime: timedelta,
    timer: str,
    *,
    ari: bool,
    outage: tuple[float, timedelta] = (0.0, timedelta(0)),
) -> Iterator[Life]:
    """Every certificate of three years; an outage begins with so many of the renewals and lasts so long."""
    dice = random.Random(seed)  # noqa: S311  a seeded world, no secret
    configured, gap = TIMERS[timer]
    number, now = seed * 10_000, NOW + DAY * dice.random()
    facts, before, back = _issued(number, now, lifetime, ari=ari), now, now
    one = facts.versions[0]
    while now < NOW + YEARS:
        wake = observed_wake(configured, before, now)
        decision = decide(facts, Terms(now=now, wake=wake))
        if decision.step is Step.ISSUE:
            if not facts.failures and dice.random() < outage[0]:
                back = now + outage[1]
            if now < back:
                failed = count(facts, "letsencrypt", RetryLater("the authority is down"), now)
                facts = replace(facts, failures=(failed,))
            else:
                told = facts.windows[0] if facts.windows else None
                yield Life(one, told, before, now, wake, decision.reason)
                number += 1
                facts = _issued(number, now, lifetime, ari=ari)
                one = facts.versions[0]
        step = gap(dice, lifetime)
        if decision.look_again is not None:
            # Runs are left out that come so long before the moment that nothing can be due
            now += step * max((decision.look_again - now - SURELY_TOO_EARLY[timer]) // step, 0)
            before = now
        before, now = now, now + step


@pytest.mark.parametrize("ari", [False, True], ids=["by share", "by window"])
@pytest.mark.parametrize("timer", ["daily", *SLOW_TIMERS])
@pytest.mark.parametrize("lifetime", LIFETIMES, ids=lambda lifetime: f"{lifetime.days}d")
def test_three_years(lifetime: timedelta, timer: str, ari: bool) -> None:  # noqa: FBT001  pytest hands it over
    """Renewed by the first run after its moment, and by none that came too early."""
    seeds = range(2 if lifetime < 10 * DAY else 10)
    lives = [life for seed in seeds for life in _live(seed, lifetime, timer, ari=ari)]

    assert len(lives) > 150
    for life in lives:
        leaf, told = life.version.leaf, life.window
        moment = renewal_moment(life.version, told, None).at
        assert life.before < max(moment, life.version.made_at + timedelta(microseconds=1))
        assert leaf.not_after - life.replaced >= leaf.not_after - moment - (life.replaced - life.before)
        if told is None:
            assert life.replaced >= moment - slack(life.wake)
        else:
            assert told.start is not None
            assert told.end is not None
            assert life.replaced >= moment - life.wake
            inside = told.start - slack(life.wake) <= life.replaced
            assert inside or life.reason is Reason.WINDOW_WOULD_BE_MISSED
            assert life.replaced < told.end or timer == "irregular" or told.end - told.start < 2 * life.wake


@pytest.mark.parametrize("ari", [False, True], ids=["by share", "by window"])
@pytest.mark.parametrize("timer", ["daily", *SLOW_TIMERS])
@pytest.mark.parametrize("lifetime", LIFETIMES, ids=lambda lifetime: f"{lifetime.days}d")
def test_three_years_with_outages(lifetime: timedelta, timer: str, ari: bool) -> None:  # noqa: FBT001
    """An authority that is down for a tenth of a lifetime costs that, one backoff and two runs, not more."""
    down = lifetime / 10
    lives = [
        life
        for seed in range(1 if lifetime < 10 * DAY else 4)
        for life in _live(seed + 100, lifetime, timer, ari=ari, outage=(0.3, down))
    ]

    backoff = min(DAY, lifetime / 10) * 1.1
    for life in lives:
        moment = renewal_moment(life.version, life.window, None).at
        longest = TIMERS[timer][0] * 1.1 if timer != "irregular" else min(90 * HOUR, lifetime / 8)
        assert life.replaced - moment <= down + backoff + 2 * longest
        assert life.replaced < life.version.leaf.not_after


@pytest.mark.parametrize("lifetime", [6 * DAY, 45 * DAY], ids=["6d", "45d"])
def test_leaving_runs_out_changes_nothing(lifetime: timedelta) -> None:
    """The years above leave runs out in which nothing can be due; here none is left out."""
    for life in islice(_live(7, lifetime, "hourly", ari=True), 8):
        facts = situation(versions=(life.version,), windows=(life.window,) if life.window else ())
        now = life.version.made_at
        while now < life.before:
            assert decide(facts, Terms(now=now, wake=HOUR)).step is Step.KEEP
            now += HOUR
