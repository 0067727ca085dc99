"""The order budget: whether a newOrder may be sent for a certificate at an authority, and if not, when. Pure.

Whatever goes wrong, at the authority, here or with the clock, this bounds how many orders come of it. Each
certificate has a bucket at each authority: three orders, and one more in every `step`. Only orders that the
authority accepted count, and only new ones: one that is away, or hands the same order back, is asked as
before.
"""

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from itertools import zip_longest
from typing import NamedTuple

from msgspec.structs import replace

from renewer.model.facts import Accepted, Order, Ordered, Purse, Situation, Version
from renewer.model.value import Value
from renewer.policy.wanted import best
from renewer.policy.wanted import lifetime as lifetime_of
from renewer.policy.window import in_emergency

DAY, HOUR = timedelta(days=1), timedelta(hours=1)
CAPACITY = 3
PERSONS_CAPACITY, PERSONS_STEP = 5, HOUR
KEPT = 31 * DAY  # an order that old has no say any more
KEPT_ORDERS = 64  # twice as many as any budget allows in a week
_FULL_AFTER = 8 * DAY  # whatever was sent before holds nothing back any more
_Sent = tuple[datetime, Accepted]
_LONG_AGO = datetime.min.replace(tzinfo=UTC)


class OrderTerms(Value):
    """What else the budget depends on: the moment, the wake, and who wants the order.

    `renewal` is whether a good certificate is due again; `spare` how many orders must remain after this one.
    """

    now: datetime
    wake: timedelta
    asked: bool = False
    force: bool = False
    renewal: bool = False
    spare: int = 0


class Withheld(NamedTuple):
    """No newOrder before `until`, and why as a sentence that names the authority."""

    until: datetime
    because: str


def step(lifetime: timedelta) -> timedelta:
    """One more order in each: a day, or a tenth of a short lifetime."""
    return min(DAY, lifetime / 10)


def urgent_step(lifetime: timedelta) -> timedelta:
    """The same in an emergency or once it has expired."""
    return min(6 * HOUR, lifetime / 20)


def issued_step(lifetime: timedelta) -> timedelta:
    """Between orders that follow a certificate which was issued: every second day.

    Daily would be seven a week, against the five a week for the same names that Let's Encrypt issues.
    """
    return min(2 * DAY, lifetime / 10)


def next_order(situation: Situation, authority: str, call: OrderTerms) -> Withheld | None:
    """None if a newOrder for this certificate may be sent to that authority now, else until when not."""
    if call.force or _nothing_of_late(situation, call.now):
        return None
    orders = _timed(counted(situation, authority), call.now)
    persons = _persons_hold(orders, call.now) if call.asked else None
    if call.asked and persons is None:
        return None
    hold = _timers_hold(situation, authority, orders, call)
    if hold is None or _reserve(situation, orders, call):
        return None
    if persons is not None and persons < hold.until:
        text = f"{authority} was sent {PERSONS_CAPACITY} orders of it by hand: one more an hour"
        return Withheld(persons, text)
    return hold


def _nothing_of_late(situation: Situation, now: datetime) -> bool:
    """Whether all buckets are full, as nearly always: at every run ten thousand may be asked about."""
    early = now - _FULL_AFTER
    newest = (record.orders[-1].at[-1] for record in situation.ordered if record.orders)
    return all(at < early for at in newest) and all(one.made_at < early for one in situation.versions)


def _timers_hold(
    situation: Situation, authority: str, orders: list[_Sent], call: OrderTerms
) -> Withheld | None:
    live = best(situation, call.now)
    lifetime = lifetime_of(situation, call.now)
    urgent = live is not None and in_emergency(live.leaf, call.now)
    each = urgent_step(lifetime) if urgent else step(lifetime)
    after = each if urgent else issued_step(lifetime)
    bucket = [at for at, one in orders if one.purse is Purse.TIMER]  # what a person forced is his business
    # Of an order whose URL was never known, as after a kill, nothing was issued that could be due again
    made = {version.made_at for version in situation.versions}
    again = [(at, one) for at, one in orders if one.url or one.order_at in made] if call.renewal else []
    issued = sorted({at for at, one in again if one.renewal} | {at for at, one in orders if one.wasted})
    room = _full_enough(bucket, CAPACITY, each, call.now, 1 + call.spare)
    pause = max(issued) + after if issued else call.now
    until = max(room, pause)
    if until <= call.now:
        return None
    since = min(bucket[-CAPACITY:] if room > pause else issued)
    some = f"{len(bucket)} orders" if len(bucket) > 1 else "an order"
    what = f"was sent {some} of it" if room > pause else "issued it, and it is to be issued again"
    return Withheld(until, f"{authority} {what} since {since:%Y-%m-%d %H:%M:%SZ}: that is enough for now")


def purse_of(situation: Situation, authority: str, call: OrderTerms) -> Purse:
    """Who pays for an order that may be sent now."""
    if call.force:
        return Purse.FORCE
    orders = _timed(counted(situation, authority), call.now)
    return Purse.PERSON if call.asked and _persons_hold(orders, call.now) is None else Purse.TIMER


def counted(situation: Situation, authority: str) -> tuple[Accepted, ...]:
    """The orders that count there, oldest first; also those of which only the version is left."""
    record = record_of(situation, authority)
    known = record.orders if record else ()
    moments = {one.order_at for one in known}
    lost = tuple(_lost(situation, authority, moments))
    if not lost:
        return known
    return tuple(sorted((*known, *lost), key=lambda one: one.order_at))


def _lost(situation: Situation, authority: str, known: set[datetime]) -> Iterator[Accepted]:
    """The orders of which only the version is left; one soon after another was a renewal."""
    theirs = [one for one in situation.versions if _came_from(situation, authority, one)]
    for version, before in zip_longest(theirs, theirs[1:]):
        if version is None or version.made_at in known:
            continue
        span = issued_step(version.leaf.lifetime)
        again = before is not None and version.made_at - before.made_at < 2 * span
        yield Accepted(order_at=version.made_at, at=(version.made_at,), renewal=again)


def _came_from(situation: Situation, authority: str, version: Version) -> bool:
    if version.placeholder or version.authority is None:
        return False
    directory = directory_of(situation, authority)
    if directory and version.directory:
        return version.directory == directory
    return version.authority == authority


def record_of(situation: Situation, authority: str) -> Ordered | None:
    """What is on record of the orders there."""
    directory = directory_of(situation, authority)
    return next(
        (
            one
            for one in situation.ordered
            if (one.directory == directory if directory and one.directory else one.authority == authority)
        ),
        None,
    )


def directory_of(situation: Situation, authority: str) -> str:
    """The URL of that authority's directory; "" where that does not matter."""
    return next((asked.directory for asked in situation.asked if asked.authority == authority), "")


def moment_of(one: Accepted, now: datetime) -> datetime:
    """When it was sent, as this clock has it; what lies in the future counts as now."""
    return max((at for at in one.at if at <= now), default=now)


def _timed(orders: Iterable[Accepted], now: datetime) -> list[_Sent]:
    """Each with its moment, oldest first: none was sent before those ahead of it, whatever clocks said."""
    timed: list[_Sent] = []
    latest = _LONG_AGO
    for one in orders:
        latest = max(latest, moment_of(one, now))
        timed.append((latest, one))
    return timed


def _full_enough(
    moments: list[datetime], capacity: int, each: timedelta, now: datetime, need: int
) -> datetime:
    """When the bucket has `need` orders: at once, or later. An order beyond the budget leaves it empty."""
    if not moments:
        return now
    empty, last = timedelta(0), moments[0]  # `empty`: how long until it is full
    for at in moments:
        empty = min(max(empty - (at - last), timedelta(0)) + each, capacity * each)
        last = at
    return last + empty - (capacity - min(need, capacity)) * each


def _persons_hold(orders: list[_Sent], now: datetime) -> datetime | None:
    by_hand = [at for at, one in orders if one.purse is Purse.PERSON]
    moment = _full_enough(by_hand, PERSONS_CAPACITY, PERSONS_STEP, now, 1)
    return moment if moment > now else None


def _reserve(situation: Situation, orders: list[_Sent], call: OrderTerms) -> bool:
    """Whether the order kept for a version's end may be sent: nothing shall expire for a budget."""
    ending = ending_version(situation, call)
    return ending is not None and call.spare == 0 and all(one.reserve != ending.id for _, one in orders)


def ending_version(situation: Situation, call: OrderTerms) -> Version | None:
    """The version that visitors see, if it is in its last two wakes."""
    live = best(situation, call.now)
    if live is None or not call.now < live.leaf.not_after <= call.now + 2 * call.wake:
        return None
    return live


# what is written down ------------------------------------------------------------------------------------


def reserved(situation: Situation, authority: str, order: Order, call: OrderTerms, url: str = "") -> Ordered:
    """The record with an order that is about to be sent. It counts until somebody knows that it need not."""
    known = counted(situation, authority)
    beyond = _timers_hold(situation, authority, _timed(known, call.now), call) is not None
    purse = purse_of(situation, authority, call)
    ending = ending_version(situation, call) if beyond and purse is Purse.TIMER else None
    one = Accepted(
        order_at=order.at,
        at=(call.now,),
        url=url,
        purse=purse,
        renewal=call.renewal,
        reserve=ending.id if ending else "",
    )
    return _with(_base(situation, authority, order), (*known, one), call.now)


def accepted(record: Ordered, url: str) -> Ordered:
    """The record once the authority accepted its newest order; one that it handed back is no new one."""
    *before, newest = record.orders
    if any(one.url == url for one in before):
        return replace(record, orders=tuple(before))
    return replace(record, orders=(*before, replace(newest, url=url)))


def refused(record: Ordered) -> Ordered:
    """The record once it is known that its newest order was not accepted."""
    return replace(record, orders=record.orders[:-1])


def never_sent(records: Iterable[Ordered], order_at: datetime) -> list[Ordered]:
    """The records that change because the authority's own list does not have what was about to be sent."""
    return [
        replace(
            record,
            orders=tuple(one for one in record.orders if one.url or one.order_at != order_at),
        )
        for record in records
        if any(not one.url and one.order_at == order_at for one in record.orders)
    ]


def wasted(records: Iterable[Ordered], order_at: datetime) -> list[Ordered]:
    """The records that change because what was issued for an order came to nothing."""
    return [
        replace(
            record,
            orders=tuple(
                replace(one, wasted=True) if one.order_at == order_at else one for one in record.orders
            ),
        )
        for record in records
        if any(one.order_at == order_at for one in record.orders)
    ]


def seen_by(situation: Situation, now: datetime) -> list[Ordered]:
    """The records that our clock has to be noted in, because it is back from a time to come.

    What lies in the future counts as now, and from now on as of now: else it would count until that time, or
    after another jump of the clock as long past.
    """
    changed = []
    for asked in situation.asked:
        orders = counted(situation, asked.authority)
        if all(any(at <= now for at in one.at) for one in orders):
            continue
        noted = (
            one if any(at <= now for at in one.at) else replace(one, at=(*one.at[:3], now)) for one in orders
        )
        base = record_of(situation, asked.authority) or Ordered(
            certificate=situation.wish.name, authority=asked.authority, directory=asked.directory
        )
        changed.append(replace(base, orders=tuple(noted)))
    return changed


def _base(situation: Situation, authority: str, order: Order) -> Ordered:
    return record_of(situation, authority) or Ordered(
        certificate=situation.wish.name, authority=authority, directory=order.directory
    )


def _with(record: Ordered, orders: tuple[Accepted, ...], now: datetime) -> Ordered:
    """As many as matter."""
    recent = [one for one in orders if now - moment_of(one, now) < KEPT]
    return replace(record, orders=tuple(recent[-KEPT_ORDERS:]))
