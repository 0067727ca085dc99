"""When an order is carried on, parked or let go."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from renewer.model.decision import Step
from renewer.model.facts import Order, OrderState, Situation
from renewer.policy.due import decide
from renewer.policy.orders import TRIES, Fate, expiry, fate, further, patience
from tests.builders import DAY, HOUR, NOW, failure, order, situation, terms, version
from tests.policy.facts import LIFETIMES, MOMENTS
from tests.policy.test_laws import LAWS

TRIED = 2
STATUSES = ("", "pending", "ready", "processing", "valid", "odd")


def due(*, lifetime: timedelta = 90 * DAY, left: float = 0.25, **changes: object) -> Situation:
    """A certificate whose renewal is due, with an order open."""
    one = version(lifetime=lifetime, age=lifetime * (1 - left))
    return situation(versions=(one,), order_ready=True, **changes)  # type: ignore[arg-type]


def stuck(**changes: object) -> Order:
    """An order that was tried twice in vain, the first time more than a day ago."""
    given = {"at": NOW - 2 * DAY, "expires": NOW + 5 * DAY, "tries": TRIED, **changes}
    return order(**given)


@pytest.mark.parametrize(
    ("changes", "wanted"),
    [
        ({}, Fate.LET_GO),
        ({"sent": True}, Fate.PARKED),
        ({"sent": True, "url": None}, Fate.LET_GO),
        ({"tries": 1}, Fate.KEPT),
        ({"progress_at": NOW - DAY + HOUR}, Fate.KEPT),
        ({"at": NOW - DAY + HOUR}, Fate.KEPT),
        ({"at": NOW - DAY}, Fate.LET_GO),
        ({"sent": True, "deferred": 1}, Fate.KEPT),
        ({"sent": True, "deferred": 1, "expires": NOW}, Fate.PARKED),
        ({"tries": 0, "expires": NOW}, Fate.LET_GO),
        ({"tries": 0, "at": NOW - 8 * DAY, "expires": None}, Fate.LET_GO),
        ({"state": OrderState.INTENT, "url": None}, Fate.LET_GO),
        ({"state": OrderState.ISSUED, "expires": NOW}, Fate.KEPT),
    ],
)
def test_each_rule(changes: dict[str, object], wanted: Fate) -> None:
    """Two tries and a day without progress end it; what was sent is parked, what is deferred waited for."""
    assert fate(stuck(**changes), due(), NOW) is wanted


def test_a_tenth_of_a_short_lifetime() -> None:
    """Of a certificate that lives six days an order has 14 hours."""
    facts = due(lifetime=6 * DAY)

    assert fate(stuck(at=NOW - 14 * HOUR), facts, NOW) is Fate.KEPT
    assert fate(stuck(at=NOW - 15 * HOUR), facts, NOW) is Fate.LET_GO


def test_an_emergency_ends_what_is_deferred() -> None:
    """A manual approval is waited for until the certificate is about to end, or has ended."""
    for left in (0.04, -0.01):
        assert fate(stuck(sent=True, deferred=2), due(left=left), NOW) is Fate.PARKED


def test_force() -> None:
    """It ends what was tried in vain once, be it deferred; never what was not tried yet."""
    fresh = order(expires=NOW + DAY)

    assert fate(fresh, due(), NOW, force=True) is Fate.KEPT
    assert fate(replace(fresh, tries=1), due(), NOW, force=True) is Fate.LET_GO
    assert fate(replace(fresh, tries=1, sent=True, deferred=2), due(), NOW, force=True) is Fate.PARKED


@pytest.mark.parametrize(
    ("reached", "proven", "status", "now", "wanted"),
    [
        ("", 0, "pending", 0, True),
        ("pending", 0, "pending", 0, False),
        ("pending", 0, "pending", 1, True),
        ("pending", 1, "pending", 1, False),
        ("processing", 2, "ready", 2, False),
        ("ready", 2, "processing", 0, True),
        ("processing", 0, "odd", 0, False),
    ],
)
def test_progress(reached: str, proven: int, status: str, now: int, wanted: bool) -> None:  # noqa: FBT001
    """A later status than ever, or one more name proven; nothing else."""
    assert further(order(reached=reached, proven=proven), status, now) is wanted


@st.composite
def orders(draw: st.DrawFn) -> Order:
    """Any order that the ledger may have."""
    moments = MOMENTS | st.just(NOW) | st.timedeltas(-9 * DAY, 9 * DAY).map(lambda span: NOW + span)
    return order(
        state=draw(st.sampled_from(list(OrderState))),
        at=draw(moments),
        expires=draw(st.none() | moments),
        progress_at=draw(st.none() | moments),
        tries=draw(st.integers(0, 9)),
        deferred=draw(st.integers(0, TRIES)),
        sent=draw(st.booleans()),
        reached=draw(st.sampled_from(STATUSES)),
        url=draw(st.none() | st.just("https://acme.example.org/order/1")),
    )


@LAWS
@given(one=orders(), lifetime=LIFETIMES, left=st.floats(-0.5, 1.0), force=st.booleans())
def test_every_order_ends(one: Order, lifetime: timedelta, left: float, force: bool) -> None:  # noqa: FBT001
    """Whatever is on record of an open order: it ends with its expiry at the latest, and stays ended."""
    facts = due(lifetime=lifetime, left=left, order=one)
    if one.state not in (OrderState.INTENT, OrderState.OPEN):
        assert fate(one, facts, NOW, force=force) is Fate.KEPT
        return
    assert fate(one, facts, max(NOW, expiry(one)), force=force) is not Fate.KEPT
    if fate(one, facts, NOW) is not Fate.KEPT and (one.progress_at or one.at) <= NOW:
        assert fate(one, facts, NOW + DAY) is not Fate.KEPT
        assert fate(one, facts, NOW, force=force) is not Fate.KEPT


@LAWS
@given(one=orders(), lifetime=LIFETIMES, left=st.floats(-0.5, 1.0))
def test_never_before_two_tries_and_its_time(one: Order, lifetime: timedelta, left: float) -> None:
    """What ends before its expiry was tried twice, and got nowhere for a day or a tenth of the lifetime."""
    facts = due(lifetime=lifetime, left=left, order=one)
    if expiry(one) > NOW and fate(one, facts, NOW) is not Fate.KEPT:
        since = one.progress_at or one.at
        assert one.tries >= TRIED
        assert since > NOW or NOW - since >= min(DAY, lifetime / 10) == patience(facts, NOW)


@LAWS
@given(one=orders(), left=st.floats(-0.5, 0.3), force=st.booleans())
def test_what_ended_is_ordered_anew_and_the_rest_resumed(one: Order, left: float, force: bool) -> None:  # noqa: FBT001
    """`decide` says RESUME exactly for what is kept; of a due certificate the rest is ordered anew."""
    facts = due(left=left, order=one)
    decision = decide(facts, terms(now=NOW, force=force))
    kept = fate(one, facts, NOW, force=force) is Fate.KEPT
    match one.state:
        case OrderState.ISSUED:
            assert decision.step is Step.INSTALL
        case OrderState.ABANDONED:
            assert decision.step is Step.ISSUE
        case _:
            assert decision.step is (Step.RESUME if kept else Step.ISSUE)


def test_a_failing_authority_still_waits() -> None:
    """That an order is let go overrules no backoff: the next one is made when the authority may be asked."""
    facts = due(order=stuck(), failures=(failure(4, at=NOW - HOUR),))
    decision = decide(facts, terms(now=NOW))

    assert (decision.step, decision.held) == (Step.WAIT, Step.ISSUE)
