"""The Retry-After header (RFC 9110 §10.2.3), read into aware UTC; hostile values do no harm.

The acme package mixes naive UTC with naive local time here, so that a header 60 s ahead lies in the past in
Tokyo and hours ahead in Los Angeles. Nothing here asks what zone this host is in.
"""

import re
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

MINUTE = timedelta(minutes=1)
DAY = timedelta(days=1)
# Beyond this nobody means it; it also keeps every sum inside what datetime can hold.
LONGEST = timedelta(days=366)
_SECONDS = re.compile(r"[0-9]{1,12}")
_MAX_LENGTH = 64


def http_date(text: str | None) -> datetime | None:
    """An HTTP date (RFC 9110 §5.6.7) as aware UTC; None if it is absent or none."""
    if not text or len(text) > _MAX_LENGTH or not text.isascii():
        return None
    try:
        moment = parsedate_to_datetime(text)
        # "-0000" gives a naive one; HTTP dates are GMT whatever they say.
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None


def parse(text: str | None, now: datetime, date: str | None = None) -> datetime | None:
    """When the sender wants to be asked again; None if it said nothing that can be understood.

    `date` is the same reply's Date header: a date in Retry-After is measured from it, so that a wrong clock
    on either side does not matter. The result is never before `now` nor more than a year after it.
    """
    if text is None:
        return None
    text = text.strip()
    if text.isascii() and _SECONDS.fullmatch(text):
        return now + min(timedelta(seconds=int(text)), LONGEST)
    moment = http_date(text)
    if moment is None:
        return None
    wait = moment - (http_date(date) or now)
    return now + min(max(wait, timedelta()), LONGEST)


def clamp(
    moment: datetime, now: datetime, shortest: timedelta = MINUTE, longest: timedelta = DAY
) -> datetime:
    """`moment`, moved to at least `shortest` and at most `longest` after `now`."""
    return min(max(moment, now + shortest), now + longest)
