"""Whether an open order is carried on, parked or let go. The one place that says when an order ends. Pure.

An order is the way to one certificate, and another one is never made beside it while it may still lead there.
But some never do: lost at the authority, refused in words that nobody knows, signed by somebody who is on
holiday. Whatever the causes, and however they change, what counts is that it gets no further.
"""

from datetime import datetime, timedelta
from enum import StrEnum

from renewer.model.facts import Order, OrderState, Parked, Situation
from renewer.policy.backoff import from_the_future
from renewer.policy.wanted import best, lifetime
from renewer.policy.window import in_emergency

TRIES = 2  # an order is not judged by one bad day of the network's
PATIENCE = timedelta(days=1)
ASSUMED_EXPIRY = timedelta(days=7)  # of orders that do not say it (RFC 8555 §7.1.3 wants them to)
_FURTHER = ("", "pending", "ready", "processing", "valid")


class Fate(StrEnum):
    """What becomes of an order."""

    KEPT = "kept"  # it is carried on
    PARKED = "parked"  # another is made; key and URL are kept, for it may still become a certificate
    LET_GO = "let go"  # another is made; of this one nothing can come


def fate(order: Order, situation: Situation, now: datetime, *, force: bool = False) -> Fate:
    """What becomes of an order that is not finished.

    It is carried on until its end (`expires`), or until two tries and a day (a tenth of the lifetime) brought
    it no further. If the authority says when to ask again while it processes, somebody may be approving it
    by hand: then only the emergency of the certificate ends it. `force` ends what was tried in vain once.
    """
    if order.state not in (OrderState.INTENT, OrderState.OPEN):
        return Fate.KEPT
    if now < expiry(order) and not _is_stuck(order, situation, now, force=force):
        return Fate.KEPT
    return aside(order)


def aside(order: Order) -> Fate:
    """What becomes of an order in the place of which another one is made: parked, or let go.

    One whose CSR was sent is looked at once more, be it past its end: it may have been issued meanwhile.
    """
    return Fate.PARKED if order.sent and order.url is not None else Fate.LET_GO


def expiry(order: Order) -> datetime:
    """When the authority forgets the order, as far as it is known."""
    return order.expires or max(order.at, order.progress_at or order.at) + ASSUMED_EXPIRY


def patience(situation: Situation, now: datetime) -> timedelta:
    """How long an order may get no further: a day, a tenth of the lifetime of short-lived ones."""
    return min(PATIENCE, lifetime(situation, now) / 10)


def further(order: Order, status: str, proven: int) -> bool:
    """Whether the order got further than ever before: a later status, or more names proven.

    One that turns back from processing to ready and forth again does not.
    """
    return proven > order.proven or _place(status) > _place(order.reached)


def forgotten(situation: Situation, now: datetime) -> list[Order | Parked]:
    """Those that have been over for so long that nobody will take them up: they go with their keys."""
    order = situation.order
    late: list[Order | Parked] = [one for one in situation.parked if _is_long_over(one.order, now)]
    if (
        order is not None
        and order.state in (OrderState.INTENT, OrderState.OPEN)
        and _is_long_over(order, now)
    ):
        late.append(order)
    return late


def _is_long_over(order: Order, now: datetime) -> bool:
    return now >= expiry(order) + (ASSUMED_EXPIRY if order.sent else PATIENCE)


def over(parked: Parked, now: datetime) -> bool:
    """Whether nothing can come of a parked order any more."""
    return now >= parked.until


def _is_stuck(order: Order, situation: Situation, now: datetime, *, force: bool) -> bool:
    if force and order.tries > 0:
        return True
    if order.tries < TRIES:
        return False
    if order.deferred > 0 and not _in_emergency(situation, now):
        return False
    since = order.progress_at or order.at
    return from_the_future(since, now) or now - since >= patience(situation, now)


def _in_emergency(situation: Situation, now: datetime) -> bool:
    meanwhile = best(situation, now)
    return meanwhile is not None and in_emergency(meanwhile.leaf, now)


def _place(status: str) -> int:
    return _FURTHER.index(status) if status in _FURTHER else 0
