"""When servers may be touched: 'Sat 02:00-04:00', 'Mon-Fri 22:00-06:00 Europe/Berlin', '02:00-04:00 UTC'."""

import os
import re
from contextlib import suppress

from renewer.model.desired import DeployWindow

_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_WINDOW = re.compile(
    r"(?:(?P<days>[A-Za-z,-]+)\s+)?(?P<start>[0-9]{1,2}:[0-9]{2})\s*-\s*(?P<end>[0-9]{1,2}:[0-9]{2})"
    r"(?:\s+(?P<zone>[A-Za-z0-9_+/-]{1,64}))?",
    re.ASCII,
)
_FORM = "write days, times and perhaps a time zone: 'Sat 02:00-04:00', 'Mon-Fri 22:00-06:00 Europe/Berlin'"
_ZONE_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_+-]*(?:/[A-Za-z0-9_+-]+)*", re.ASCII)
_LOCALTIME = "/etc/localtime"
_TIMEZONE = "/etc/timezone"
_ZONES = "/zoneinfo/"
UTC = "UTC"


def deploy_window(text: str) -> DeployWindow:
    """A window, in this host's own zone if none is given. Raises ValueError with a sentence.

    A zone that this host does not know is its certificate's trouble (`fault`): the others are renewed.
    """
    match = _WINDOW.fullmatch(text.strip())
    if match is None:
        raise ValueError(f"is no window: {_FORM}")
    zone, fault = "", ""
    try:
        zone = _zone(match["zone"]) if match["zone"] else local_zone()
    except _UnknownZoneError as error:
        fault = str(error)
    return DeployWindow(
        text=" ".join(text.split()),
        days=_days(match["days"]),
        start=_minutes(match["start"]),
        end=_minutes(match["end"]) % (24 * 60),
        zone=zone,
        fault=fault,
    )


class _UnknownZoneError(ValueError):
    """What is well said, and cannot be answered on this host."""


def _days(text: str | None) -> tuple[int, ...]:
    """'Sat', 'Mon-Fri', 'Sat,Sun'; none at all means every day."""
    if text is None:
        return tuple(range(7))
    found: set[int] = set()
    for part in text.lower().split(","):
        first, dash, last = part.partition("-")
        begin = _day(first)
        end = _day(last) if dash else begin
        found.update((begin + step) % 7 for step in range((end - begin) % 7 + 1))
    return tuple(sorted(found))


def _day(text: str) -> int:
    if len(text) >= 3 and text[:3] in _DAYS and _LONG[_DAYS.index(text[:3])].startswith(text):
        return _DAYS.index(text[:3])
    raise ValueError(f"'{text}' is no day of the week: {_FORM}")


_LONG = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")


def _minutes(text: str) -> int:
    hours, minutes = (int(part) for part in text.split(":"))
    if hours > 24 or minutes > 59 or (hours == 24 and minutes):
        raise ValueError(f"'{text}' is no time of day: {_FORM}")
    return hours * 60 + minutes


def _zone(text: str) -> str:
    if text == UTC:
        return UTC
    if not _ZONE_NAME.fullmatch(text):
        raise ValueError(f"'{text}' is no time zone: name one as Europe/Berlin, or UTC")
    from zoneinfo import ZoneInfo

    try:
        return ZoneInfo(text).key
    except (KeyError, OSError, ValueError):
        raise _UnknownZoneError(f"this host knows no time zone '{text}'") from None


def local_zone() -> str:
    """The zone of this host's clocks, by its name; UTC where it has none.

    Raises a ValueError if it has one without a name, as in containers that are given a plain file.
    """
    try:
        path = os.path.realpath(_LOCALTIME, strict=True)
    except OSError:
        return UTC
    for name in (path.partition(_ZONES)[2], _written()):
        with suppress(ValueError):
            return _zone(name)
    raise _UnknownZoneError("it goes by this host's clocks, whose time zone has no name here")


def _written() -> str:
    """The zone's name as Debian writes it down beside; empty if it does not."""
    try:
        with open(_TIMEZONE, encoding="ascii") as file:
            return file.readline(80).strip()
    except (OSError, ValueError):
        return ""
