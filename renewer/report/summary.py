"""What came of a span of time: renewals, failures, time to recover, margins, and what expires next. Pure."""

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timedelta

import msgspec

from renewer.ledger.contract import Happening
from renewer.model.decision import EventName, State, WatchState
from renewer.model.desired import SummaryEvery
from renewer.model.status import SCHEMA, CertificateStatus, Status, WatchStatus
from renewer.model.value import Printed

NEAREST = 10  # certificates that expire next
_DAY = 86400.0


class Renewed(Printed):
    """A renewal that came to its end; `took` in seconds, `margin_days` before the old one ended."""

    certificate: str
    at: datetime
    serial: str | None
    authority: str | None
    not_after: str | None
    took: float | None
    margin_days: float | None


class Series(Printed):
    """Failures in a row, from the first until all was well again; `took` is None of what is unknown."""

    certificate: str
    at: datetime
    error: str | None
    recovered_at: datetime | None = None
    took: float | None = None


class Return(Printed, kw_only=True):
    """That a host went back to an older version."""

    certificate: str
    at: datetime
    from_: str | None = msgspec.field(name="from")
    to: str | None
    error: str | None


class Spread(Printed):
    """The least, the one in the middle and the most of some numbers."""

    least: float
    median: float
    most: float


class Expiry(Printed):
    """A certificate that expires soon, whoever renews it."""

    name: str
    not_after: datetime
    days_left: float
    renew_at: datetime | None
    state: State | WatchState
    watched: bool


class Summary(Printed, kw_only=True):
    """The report of a span, `until` not included. Durations are in seconds, margins in days."""

    schema: int = SCHEMA
    at: datetime
    host: str
    since: datetime
    until: datetime
    certificates: int
    well: int
    renewals: tuple[Renewed, ...]
    failures: tuple[Series, ...]
    rolled_back: tuple[Return, ...]
    recovery: Spread | None
    margin_days: Spread | None
    nearest: tuple[Expiry, ...]


def period(every: SummaryEvery, now: datetime) -> tuple[datetime, datetime]:
    """The last week from Monday to Monday, or the last month, that is over; in UTC."""
    day = now.replace(hour=0, minute=0, second=0, microsecond=0)
    if every is SummaryEvery.WEEKLY:
        until = day - timedelta(days=day.weekday())
        return until - timedelta(days=7), until
    until = day.replace(day=1)
    return (until - timedelta(days=1)).replace(day=1), until


def due(told: datetime | None, every: SummaryEvery, now: datetime) -> bool:
    """Whether the last period that is over was not told yet; `told` is the end of the last one that was."""
    return told is None or told < period(every, now)[1]


def document(status: Status, history: Iterable[Happening], since: datetime, until: datetime) -> Summary:
    """What came of that span; `status` is how things stand, and tells what expires next.

    `history` may begin earlier: then a recovery knows its failure.
    """
    lines = [one for one in history if one.at < until]
    inside = [one for one in lines if one.at >= since]
    renewals = tuple(_renewal(one) for one in inside if one.event == EventName.RENEWED)
    failures = tuple(_failures(lines, since))
    return Summary(
        at=status.at,
        host=status.host,
        since=since,
        until=until,
        certificates=len(status.certificates),
        well=sum(1 for row in status.certificates if row.healthy),
        renewals=renewals,
        failures=failures,
        rolled_back=tuple(_back(one) for one in inside if one.event == EventName.ROLLED_BACK),
        recovery=_spread([one.took for one in failures if one.took is not None]),
        margin_days=_spread([one.margin_days for one in renewals if one.margin_days is not None]),
        nearest=tuple(_nearest(status.rows, status.at)),
    )


def _renewal(one: Happening) -> Renewed:
    say = one.details.get
    margin = _number(say("margin"))
    return Renewed(
        certificate=one.certificate,
        at=one.at,
        serial=_text(say("serial")),
        authority=_text(say("authority")),
        not_after=_text(say("not_after")),
        took=_number(say("took")),
        margin_days=round(margin / _DAY, 1) if margin is not None else None,
    )


def _failures(lines: Sequence[Happening], since: datetime) -> Iterator[Series]:
    """Every series that was open at some time since then, the oldest first."""
    found: list[Series] = []
    still: dict[str, int] = {}  # where in `found` the one stands that a certificate is in
    for one in lines:
        begun = Series(certificate=one.certificate, at=one.at, error=_text(one.details.get("error")))
        if one.event == EventName.FAILED:
            still[one.certificate] = len(found)
            found.append(begun)
        elif one.event == EventName.RECOVERED:
            if (place := still.pop(one.certificate, None)) is None:  # it began before this history does
                place = len(found)
                found.append(begun)
            took = _number(one.details.get("took"))
            found[place] = msgspec.structs.replace(found[place], recovered_at=one.at, took=took)
    return (one for one in found if one.recovered_at is None or one.recovered_at >= since)


def _back(one: Happening) -> Return:
    say = one.details.get
    return Return(
        certificate=one.certificate,
        at=one.at,
        from_=_text(say("from")),
        to=_text(say("to")),
        error=_text(say("error")),
    )


def _spread(values: Sequence[float]) -> Spread | None:
    """None of nothing."""
    if not values:
        return None
    row, middle = sorted(values), len(values) // 2
    median = row[middle] if len(row) % 2 else (row[middle - 1] + row[middle]) / 2
    return Spread(least=row[0], median=round(median, 1), most=row[-1])


def _nearest(rows: Iterable[CertificateStatus | WatchStatus], now: datetime) -> Iterator[Expiry]:
    """Those that expire next."""
    ends = sorted((row.not_after, row.name, number, row) for number, row in enumerate(rows) if row.not_after)
    for end, name, _, row in ends[:NEAREST]:
        yield Expiry(
            name=name,
            not_after=end,
            days_left=round((end - now).total_seconds() / _DAY, 1),
            renew_at=row.renew_at if isinstance(row, CertificateStatus) else None,
            state=row.state,
            watched=isinstance(row, WatchStatus),
        )


def _number(value: object) -> float | None:
    """What a line of another release may have written otherwise counts as unknown."""
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def _text(value: object) -> str | None:
    return None if value is None else str(value)
