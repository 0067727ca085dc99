"""What the page shows, made from the document of `status` and the history: words, tones and shares. Pure."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from renewer.ledger.contract import Happening
from renewer.model.decision import Step
from renewer.model.facts import EndpointState
from renewer.notify import words
from renewer.policy.diagnosis import NOTHING_YET

Row = Mapping[str, Any]
View = dict[str, Any]

SHOWN = 200  # lines of history
FEW = 3  # names or ports that are shown without being asked for more
LONG = 400  # characters of an error that are shown without being asked for more
_TONES = {0: "ok", 1: "warn", 3: "bad"}
_STEPS = {
    Step.ISSUE: "a new order",
    Step.RESUME: "the open order",
    Step.INSTALL: "the installation",
    Step.DEPLOY: "the deployment",
    Step.LOOK: "a look at its ports",
}
_EVENT_TONES = {"renewed": "ok", "recovered": "ok", "failed": "bad", "rolled-back": "warn"}


def of(document: Row, history: Sequence[Happening], *, ran: datetime | None, patience: timedelta) -> View:
    """Everything that the template names; `ran` is when a run last came to its end."""
    now: datetime = document["at"]
    certificates = [_certificate(row, now) for row in document["certificates"]]
    return {
        "host": document["host"],
        "now": now,
        "ran": ran,
        "patience": int(patience.total_seconds()),
        "tone": _TONES.get(document["exit"], "bad"),
        "verdict": words.verdict(document),
        "counts": _counts(certificates),
        "certificates": certificates,
        "watches": [_watch(row) for row in document["watches"]],
        "history": [_happening(one) for one in reversed(history[-SHOWN:])],
        "older": len(history) > SHOWN,
        "notes": _notes(document),
    }


def _notes(document: Row) -> list[str]:
    """What concerns no single certificate, what is not well first; each once."""
    concerns = sorted(document["concerns"], key=lambda one: -one["exit"])
    texts = [f"{one['text']}. {one['hint']}".removesuffix(". ") for one in concerns]
    told, served = {one["text"] for one in concerns}, {one["name"] for one in document["still_served"]}
    texts += [finding for finding in document["findings"] if finding not in told]
    return texts + [_orphan(name) for name in document["orphans"] if name not in served]


def _tone(row: Row) -> str:
    """Well, tried again, or waiting for a person."""
    return "ok" if row["healthy"] else _TONES.get(row["exit"], "bad")


def _counts(certificates: Sequence[View]) -> list[tuple[str, int, str]]:
    """How many are well, tried again, or wait for a person; none are hidden, until time makes some so."""
    tones = [one["tone"] for one in certificates]
    texts = (("bad", "need a person"), ("warn", "tried again"), ("ok", "well"))
    return [(tone, tones.count(tone), text) for tone, text in texts] if tones else []


def _certificate(row: Row, now: datetime) -> View:
    tone = _tone(row)
    names = [str(name) for name in row["names"]]
    error = "" if row["healthy"] or row["why"] == NOTHING_YET else str(row["why"] or row["last_error"] or "")
    return {
        "name": row["name"],
        "tone": tone,
        "urgency": {"bad": 0, "warn": 1, "ok": 2}[tone],
        "state": words.state(row),
        "names": names[:FEW],
        "more_names": names[FEW:],
        "life": _life(row["not_before"], row["renew_at"], row["not_after"], now),
        "expires": row["not_after"],
        "late": _late(row["renew_at"], row["not_after"]),
        "renewal": _renewal(row, now),
        "served": _served(row["endpoints"]),
        "error": error[:LONG],
        "more_error": error[LONG:],
        "failures": row["failures"],
        "facts": _facts(row),
        "hooks": [_hook(one) for one in row["deployments"]],
        "explanation": _link(row["renew_explanation"]),
    }


def _late(due: datetime | None, end: datetime | None) -> datetime | None:
    """When little enough is left to be a danger: half of what was left at the renewal's moment."""
    return end - (end - due) / 2 if end is not None and due is not None and due < end else end


def _life(begin: datetime | None, due: datetime | None, end: datetime | None, now: datetime) -> View | None:
    """The bar: where the renewal and the present stand between issue and expiry, in per cent."""
    if begin is None or end is None or end <= begin:
        return None

    def share(when: datetime) -> float:
        return round(min(max((when - begin) / (end - begin), 0.0), 1.0) * 100, 2)

    text = f"Issued {words.moment(begin)}; "
    if due is not None and due <= end:
        text += f"renewal planned for {words.moment(due)}; "
    lived = share(now)
    planned = share(due) if due is not None and due <= end else None
    text += f"expires {words.moment(end)}; {lived:.0f} % of its life has passed"
    return {
        "begin": begin,
        "end": end,
        "due": planned,
        "rest": None if planned is None else round(100 - planned, 2),
        "now": lived,
        "text": text,
    }


def _renewal(row: Row, now: datetime) -> View:
    """When something happens next, and what."""
    going_on = row["renewal"]
    if going_on is None:
        return {"what": "its renewal" if row["renew_at"] else "none planned", "at": row["renew_at"]}
    attempt = going_on["next_attempt"]
    what = _STEPS.get(going_on["step"], str(going_on["step"]))
    if attempt is None or attempt <= now:
        return {"what": f"{what}, at the next run", "at": None}
    return {"what": what, "at": attempt}


def _served(endpoints: Sequence[Row]) -> View:
    """Where it is looked at; what is wrong comes first."""
    shown = [
        {
            "endpoint": one["endpoint"].removesuffix(":443"),  # as in a browser's address bar
            "address": one["address"],
            "tone": _endpoint_tone(one["state"]),
            "state": words.ENDPOINTS.get(one["state"], str(one["state"])),
            "at": one["at"],
        }
        for one in endpoints
    ]
    shown.sort(key=lambda one: ("bad", "none", "ok").index(one["tone"]))
    wrong = sum(1 for one in shown if one["tone"] == "bad")
    return {"first": shown[: max(FEW, wrong)], "more": shown[max(FEW, wrong) :], "wrong": wrong}


def _endpoint_tone(state: str) -> str:
    if state == EndpointState.VERIFIED:
        return "ok"
    return "none" if state == EndpointState.UNKNOWN else "bad"


def _facts(row: Row) -> list[tuple[str, str]]:
    held = ", ".join(f"{one['version']} by {one['by']}: {one['why']}" for one in row["held"])
    named = (
        ("authority", row["authority"]),
        ("profile", row["profile"]),
        ("key", row["key"]),
        ("serial", row["serial"]),
        ("live version", row["live"]),
        ("renewed by rule", row["renew_reason"]),
        ("held back", held),
    )
    return [(name, str(value)) for name, value in named if value]


def _hook(one: Row) -> View:
    tone = {"done": "ok", "failed": "bad"}.get(str(one["state"]), "warn")
    return {
        "hook": one["hook"],
        "state": one["state"],
        "tone": tone,
        "at": one["at"],
        "error": (one["error"] or "")[:LONG],
    }


def _link(url: str | None) -> str | None:
    """An authority's page, if it may be linked: nothing but https is."""
    return url if url and url.startswith("https://") and not any(c in url for c in "\"'<> \n\t") else None


def _watch(row: Row) -> View:
    error = "" if row["healthy"] else str(row["why"] or row["error"] or "")
    return {
        "name": row["name"],
        "target": row["target"],
        "tone": "none" if row["not_after"] is None and row["healthy"] else _tone(row),
        "state": words.WATCHES.get(row["state"], str(row["state"])),
        "expires": row["not_after"],
        "issuer": row["issuer"],
        "at": row["at"],
        "error": error[:LONG],
    }


def _happening(one: Happening) -> View:
    return {
        "at": one.at,
        "certificate": one.certificate,
        "tone": _EVENT_TONES.get(one.event, "none"),
        "event": words.EVENTS.get(one.event, one.event),
        "text": words.happened(one.event, one.details)[:LONG],
    }


def _orphan(name: str) -> str:
    return f"On disk and in no configuration, never renewed and never deleted: {name}"
