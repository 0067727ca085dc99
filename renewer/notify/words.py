"""Facts in words, for pages and reports. Pure."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from renewer.model.trouble import PERSON

_UNITS = ((86400.0, "day"), (3600.0, "hour"), (60.0, "minute"))
_DAYS_FROM = 2 * 86400.0  # below two days hours tell more
_HIDDEN = {code: "�" for code in (*range(0x20), 0x7F, *range(0x80, 0xA0)) if chr(code) not in "\n\t"}
_HIDDEN |= dict.fromkeys((*range(0x202A, 0x202F), *range(0x2066, 0x206A), 0x200E, 0x200F, 0xFEFF), "�")


def clean(text: str) -> str:
    """Text that shows all it holds: no control characters, none that turn its direction, nothing torn."""
    return text.encode("utf-8", "replace").decode("utf-8").translate(_HIDDEN)


def moment(when: datetime) -> str:
    """A moment for people, in UTC, to the minute."""
    return f"{when.day} {when:%b %Y, %H:%M} UTC"


def span(seconds: float) -> str:
    """A length of time in the unit that tells most: "18 days", "5 hours", "1 minute"."""
    size = abs(seconds)
    for length, unit in _UNITS:
        if size >= (_DAYS_FROM if unit == "day" else length):
            number = int(size / length)
            return f"{number} {unit}{'s' * (number != 1)}"
    number = int(size)
    return f"{number} second{'s' * (number != 1)}"


def relative(when: datetime, now: datetime) -> str:
    """A moment as seen from another: "in 18 days", "5 hours ago"."""
    seconds = (when - now).total_seconds()
    return f"in {span(seconds)}" if seconds >= 0 else f"{span(seconds)} ago"


def verdict(document: Mapping[str, Any]) -> str:
    """The one line that answers whether all is well; `document` is that of `status`."""
    certificates = [*document["certificates"], *document["watches"]]
    ill = [one for one in certificates if not one["healthy"]]
    worst = max((one["exit"] for one in document["concerns"]), default=0)
    if not ill and worst:
        return "You must act: see what stands below" if worst == PERSON else "Not all is well: see below"
    if not certificates:
        return "There is no certificate to look after"
    if not ill:
        return "All is well"
    urgent = sum(1 for one in ill if one["exit"] == 3)
    if urgent:
        return f"You must act: {urgent} of {_certificates(len(certificates))} will not mend {_itself(urgent)}"
    return f"{len(ill)} of {_certificates(len(certificates))} not well; the agent tries again by itself"


def _certificates(number: int) -> str:
    return f"{number} certificate{'s' * (number != 1)}"


def _itself(number: int) -> str:
    return "itself" if number == 1 else "themselves"


STATES = {
    "absent": "no certificate yet",
    "expired": "expired",
    "expiring": "expiring",
    "failed": "failing",
    "issued": "issued, not live yet",
    "installed": "installed",
    "deployed": "deployed",
    "verified": "well, and served",
}
ENDPOINTS = {
    "verified": "serves it",
    "stale": "serves an older one of ours",
    "foreign": "serves another certificate",
    "untrusted": "serves it, but is not trusted",
    "unreachable": "cannot be reached",
    "unknown": "not looked at yet",
}
WATCHES = {
    "unknown": "not looked at yet",
    "expired": "expired",
    "expiring": "expiring",
    "untrusted": "not as it should be",
    "unreachable": "cannot be seen",
    "ok": "well",
}
EVENTS = {
    "renewed": "renewed",
    "failed": "began to fail",
    "recovered": "well again",
    "rolled-back": "went back",
}


def state(row: Mapping[str, Any]) -> str:
    """A certificate's state; installed or deployed is all there is to reach for some."""
    if row["healthy"] and row["state"] in ("installed", "deployed"):
        return f"well, {row['state']}"
    if row["state"] == "verified" and not row["healthy"]:
        return "served, and not well"
    return STATES.get(row["state"], str(row["state"]))


def happened(event: str, details: Mapping[str, Any]) -> str:
    """A line of history, as far as its details go: they may be of another release."""
    say = details.get
    match event:
        case "renewed":
            text = "seen at its ports" if say("seen") else "in place"
            text += f" {span(took)} after it was issued" if (took := _number(say("took"))) is not None else ""
            if (margin := _number(say("margin"))) is not None:
                text += f", {span(margin)} {'before' if margin >= 0 else 'after'} the old one ended"
            return text
        case "recovered":
            took = _number(say("took"))
            text = f"after {span(took)}" if took is not None else ""
            return f"{text}; it had been: {say('error')}" if say("error") else text
        case "rolled-back":
            why = f": {say('error')}" if say("error") else ""
            return f"from version {say('from')} to {say('to')}{why}"
        case _:
            return str(say("error") or "")


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) else None
