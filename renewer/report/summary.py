"""What came of a span of time: renewals, failures, time to recover, margins, and what expires next. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from renewer.ledger.contract import Happening
from renewer.model.desired import SummaryEvery
from renewer.model.outcome import EventName

SCHEMA = 1
NEAREST = 10  # certificates that expire next
_DAY = 86400.0

Document = dict[str, Any]
Row = Mapping[str, Any]


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


def document(status: Row, history: Iterable[Happening], since: datetime, until: datetime) -> Document:
    """The report of a span, `until` not included; `status` is how things stand, and tells what expires next.

    `history` may begin earlier: then a recovery knows its failure. Durations are in seconds, margins in days.
    """
    lines = [one for one in history if one.at < until]
    inside = [one for one in lines if one.at >= since]
    renewals = [_renewal(one) for one in inside if one.event == EventName.RENEWED]
    failures = _failures(lines, since)
    recoveries = [one["took"] for one in failures if one["took"] is not None]
    margins = [one["margin_days"] for one in renewals if one["margin_days"] is not None]
    rows = [*status["certificates"], *status["watches"]]
    return {
        "schema": SCHEMA,
        "at": status["at"],
        "host": status["host"],
        "since": since,
        "until": until,
        "certificates": len(status["certificates"]),
        "well": sum(1 for row in status["certificates"] if row["healthy"]),
        "renewals": renewals,
        "failures": failures,
        "rolled_back": [_back(one) for one in inside if one.event == EventName.ROLLED_BACK],
        "recovery": _spread(recoveries),
        "margin_days": _spread(margins),
        "nearest": _nearest(rows, status["at"]),
    }


def _renewal(one: Happening) -> Document:
    say = one.details.get
    margin = _number(say("margin"))
    return {
        "certificate": one.certificate,
        "at": one.at,
        "serial": _text(say("serial")),
        "authority": _text(say("authority")),
        "not_after": _text(say("not_after")),
        "took": _number(say("took")),
        "margin_days": round(margin / _DAY, 1) if margin is not None else None,
    }


def _failures(lines: Sequence[Happening], since: datetime) -> list[Document]:
    """Every series that was open at some time since then, the oldest first."""
    open_ones: dict[str, Document] = {}
    found: list[Document] = []
    for one in lines:
        if one.event == EventName.FAILED:
            series: Document = {
                "certificate": one.certificate,
                "at": one.at,
                "error": _text(one.details.get("error")),
                "recovered_at": None,
                "took": None,
            }
            open_ones[one.certificate] = series
            found.append(series)
        elif one.event == EventName.RECOVERED:
            if (begun := open_ones.pop(one.certificate, None)) is None:  # it began before this history does
                begun = {
                    "certificate": one.certificate,
                    "at": one.at,
                    "error": _text(one.details.get("error")),
                }
                found.append(begun)
            begun |= {"recovered_at": one.at, "took": _number(one.details.get("took"))}
    return [one for one in found if one["recovered_at"] is None or one["recovered_at"] >= since]


def _back(one: Happening) -> Document:
    say = one.details.get
    return {
        "certificate": one.certificate,
        "at": one.at,
        "from": _text(say("from")),
        "to": _text(say("to")),
        "error": _text(say("error")),
    }


def _spread(values: Sequence[float]) -> Document | None:
    """The least, the one in the middle and the most; None of nothing."""
    if not values:
        return None
    row, middle = sorted(values), len(values) // 2
    median = row[middle] if len(row) % 2 else (row[middle - 1] + row[middle]) / 2
    return {"least": row[0], "median": round(median, 1), "most": row[-1]}


def _nearest(rows: Iterable[Row], now: datetime) -> list[Document]:
    """Those that expire next, whoever renews them."""
    ends = sorted((row for row in rows if row["not_after"]), key=lambda row: (row["not_after"], row["name"]))
    return [
        {
            "name": row["name"],
            "not_after": row["not_after"],
            "days_left": round((row["not_after"] - now).total_seconds() / _DAY, 1),
            "renew_at": row.get("renew_at"),
            "state": row["state"],
            "watched": "target" in row,
        }
        for row in ends[:NEAREST]
    ]


def _number(value: object) -> float | None:
    """What a line of another release may have written otherwise counts as unknown."""
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def _text(value: object) -> str | None:
    return None if value is None else str(value)
