"""What the page shows, made from `status` and the history: words, tones and shares; and its HTML."""

import base64
import hashlib
import os.path
import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from functools import cache

import msgspec
from markupsafe import Markup

from renewer import __version__, words
from renewer.ledger.contract import Happening
from renewer.model.decision import about
from renewer.model.facts import DeploymentState, EndpointState
from renewer.model.status import (
    CertificateStatus,
    EndpointStatus,
    HookStatus,
    Status,
    UnseenEndpoint,
    WatchStatus,
)
from renewer.model.trouble import PERSON
from renewer.model.value import Value
from renewer.notify import html
from renewer.report import together

SHOWN = 200  # lines of history
FEW = 3  # names or ports that are shown without being asked for more
LONG = 400  # characters of an error that are shown without being asked for more
_EVENTS = {
    "renewed": "renewed",
    "failed": "began to fail",
    "recovered": "well again",
    "rolled-back": "went back",
}
_EVENT_TONES = {"renewed": "ok", "recovered": "ok", "failed": "bad", "rolled-back": "warn"}


class LifeBar(Value):
    """The bar of a life: where the renewal and the present stand between issue and expiry, in per cent."""

    begin: datetime
    end: datetime
    due: float | None
    rest: float | None
    now: float
    text: str


class Next(Value):
    """What happens next, and when; without `at` with the next run, or never."""

    what: str
    at: datetime | None


class Port(Value):
    """One address of an endpoint, with how it is seen there."""

    endpoint: str
    address: str
    tone: str
    state: str
    at: datetime | None


class Ports(Value):
    """Where it is looked at: those shown at first, the others, how many are wrong; is one not seen yet?"""

    first: tuple[Port, ...]
    more: tuple[Port, ...]
    wrong: int
    unseen: bool

    @property
    def number(self) -> int:
        """How many there are."""
        return len(self.first) + len(self.more)


class HookRow(Value):
    """A hook, and how far it came."""

    hook: str
    state: str
    tone: str
    at: datetime
    error: str


class CertificateRow(Value):
    """A certificate; `late` is when little enough is left to be a danger."""

    name: str
    tone: str
    urgency: int
    state: str
    names: tuple[str, ...]
    more_names: tuple[str, ...]
    life: LifeBar | None
    expires: datetime | None
    late: datetime | None
    renewal: Next
    served: Ports
    failures: int
    facts: tuple[tuple[str, str], ...]
    hooks: tuple[HookRow, ...]
    explanation: str | None


class WatchRow(Value):
    """A certificate that is only watched."""

    name: str
    target: str
    tone: str
    state: str
    expires: datetime | None
    issuer: str | None
    at: datetime | None
    error: str


class HistoryRow(Value):
    """A line of history."""

    at: datetime
    certificate: str
    tone: str
    event: str
    text: str


class Piece(Value):
    """A piece of a sentence; `typed` is whether it is a command."""

    text: str
    typed: bool


class Cause(Value):
    """What is wrong with one certificate or several, said once, and what to do about it."""

    who: str
    text: str
    more_text: str
    steps: tuple[tuple[Piece, ...], ...]


class CaseGroup(Value):
    """Certificates that need a person, that are tried again, or that are well."""

    tone: str
    title: str
    causes: tuple[Cause, ...]
    certificates: tuple[CertificateRow, ...]


class View(Value):
    """Everything that the template names. `ran` is when a run last came to its end, `patience` in seconds."""

    host: str
    now: datetime
    ran: datetime | None
    patience: int
    tone: str
    verdict: str
    counts: tuple[tuple[str, int, str], ...]
    certificates: tuple[CertificateRow, ...]
    groups: tuple[CaseGroup, ...]
    watches: tuple[WatchRow, ...]
    history: tuple[HistoryRow, ...]
    older: bool
    notes: tuple[str, ...]


def of(status: Status, history: Sequence[Happening], *, ran: datetime | None, patience: timedelta) -> View:
    """The page of all that; `ran` is when a run last came to its end."""
    certificates = tuple(_certificate(row, status.at) for row in status.certificates)
    watches = tuple(map(_watch, status.watches))
    return View(
        host=status.host,
        now=status.at,
        ran=ran,
        patience=int(patience.total_seconds()),
        tone=words.tone(status.exit),
        verdict=verdict(status),
        counts=_counts([*(one.tone for one in certificates), *(one.tone for one in watches)]),
        certificates=certificates,
        groups=tuple(_group(tone, title, status, certificates) for tone, title in _GROUPS),
        watches=watches,
        history=tuple(_happening(one) for one in reversed(history[-SHOWN:])),
        older=len(history) > SHOWN,
        notes=tuple(_notes(status)),
    )


def verdict(status: Status) -> str:
    """The one line that answers whether all is well."""
    ill = [one for one in status.rows if not one.healthy]
    worst = max((one.exit for one in status.concerns), default=0)
    if not ill and worst:
        return "You must act: see what stands below" if worst == PERSON else "Not all is well: see below"
    if not status.rows:
        return "There is no certificate to look after"
    if not ill:
        return "All is well"
    urgent = sum(1 for one in ill if one.exit == PERSON)
    all_of_them = words.count(len(status.rows), "certificate")
    if urgent:
        itself = "itself" if urgent == 1 else "themselves"
        return f"You must act: {urgent} of {all_of_them} will not mend {itself}"
    return f"{len(ill)} of {all_of_them} not well; the agent tries again by itself"


def _notes(status: Status) -> list[str]:
    """What concerns no single certificate, what is not well first; each once."""
    concerns = sorted(status.concerns, key=lambda one: -one.exit)
    texts = [f"{one.text}. {one.hint}".removesuffix(". ") for one in concerns]
    told, served = {one.text for one in concerns}, {one.name for one in status.still_served}
    texts += [finding for finding in status.findings if finding not in told]
    return texts + [_orphan(name) for name in status.orphans if name not in served]


def _orphan(name: str) -> str:
    return f"On disk and in no configuration, never renewed and never deleted: {name}"


def _counts(tones: Sequence[str]) -> tuple[tuple[str, int, str], ...]:
    """How many are well, tried again, or wait for a person, as `status` counts them; none are hidden."""
    texts = (("bad", "need a person"), ("warn", "tried again"), ("ok", "well"))
    seen = ["ok" if tone == "none" else tone for tone in tones]  # a watch that was not looked at yet
    return tuple((tone, seen.count(tone), text) for tone, text in texts) if tones else ()


# --- groups, and what is wrong in each ----------------------------------------------------------------------

_GROUPS = (("bad", "Needs you"), ("warn", "Tried again"), ("ok", "Well"))


def _group(tone: str, title: str, status: Status, certificates: Sequence[CertificateRow]) -> CaseGroup:
    mine = tuple(one for one in certificates if one.tone == tone)
    ill = {one.name for one in mine} if tone != "ok" else set()
    rows = [row for row in status.certificates if row.name in ill]
    return CaseGroup(tone=tone, title=title, causes=tuple(_causes(rows, tone)), certificates=mine)


def _causes(rows: Sequence[CertificateStatus], tone: str) -> Iterator[Cause]:
    """Those with the same trouble together, each with what to type."""
    groups: dict[tuple[str, str], list[CertificateStatus]] = {}
    for row in rows:
        own = (row.name, *row.names)
        alike = together.alike(row.why, own), together.alike(row.hint, own)
        groups.setdefault(alike, []).append(row)
    for those in groups.values():
        names, first = [row.name for row in those], those[0]
        ways = {row.name: str(row.way_out) for row in those if row.way_out}
        asking = f"what happened: renewer log {names[0]} --last" if tone == "bad" else ""
        steps = [step for step in (first.hint, *together.ways_out(names, ways), asking) if step]
        if not any("renewer run" in step for step in steps):
            then = "then, without waiting" if tone == "bad" else "now, without waiting for the timer"
            steps.insert(len(steps) - bool(asking), f"{then}: renewer run {' '.join(names[:FEW])}")
        why = first.why or first.last_error or str(first.state)
        yield Cause(
            who=_who(names),
            text=why[:LONG],
            more_text=why[LONG:],
            steps=tuple(_pieces(step, names[: FEW + 1]) for step in steps),
        )


def _who(names: Sequence[str]) -> str:
    if len(names) <= FEW:
        return ", ".join(names)
    return f"{words.count(len(names), 'certificate')}, e.g. {names[0]}"


def _pieces(sentence: str, names: Sequence[str]) -> tuple[Piece, ...]:
    """A sentence with its commands apart."""
    known = "|".join(re.escape(name) for name in sorted(names, key=len, reverse=True))
    command = rf"(renewer [a-z][a-z-]*(?: (?:--?[\w-]+|[A-Z]+|…|{known}))*(?![\w-]))"
    parts = re.split(command, sentence) if known else [sentence]
    return tuple(Piece(text=part, typed=number % 2 == 1) for number, part in enumerate(parts) if part)


# --- a certificate ------------------------------------------------------------------------------------------


def _certificate(row: CertificateStatus, now: datetime) -> CertificateRow:
    tone = words.tone(row.exit, healthy=row.healthy)
    return CertificateRow(
        name=row.name,
        tone=tone,
        urgency={"bad": 0, "warn": 1, "ok": 2}[tone],
        state=words.state(row.state, healthy=row.healthy),
        names=row.names[:FEW],
        more_names=row.names[FEW:],
        life=_life(row, now),
        expires=row.not_after,
        late=_late(row.renew_at, row.not_after),
        renewal=_next(row, now),
        served=_served(row.endpoints),
        failures=row.failures,
        facts=_facts(row),
        hooks=tuple(map(_hook, row.deployments)),
        explanation=_link(row.renew_explanation),
    )


def _late(due: datetime | None, end: datetime | None) -> datetime | None:
    """When little enough is left to be a danger: half of what was left at the renewal's moment."""
    return end - (end - due) / 2 if end is not None and due is not None and due < end else end


def _life(row: CertificateStatus, now: datetime) -> LifeBar | None:
    begin, due, end = row.not_before, row.renew_at, row.not_after
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
    rest = None if planned is None else round(100 - planned, 2)
    return LifeBar(begin=begin, end=end, due=planned, rest=rest, now=lived, text=text)


def _next(row: CertificateStatus, now: datetime) -> Next:
    going_on = row.renewal
    if going_on is None:
        return Next(what="its renewal" if row.renew_at else "none planned", at=row.renew_at)
    attempt, step = going_on.next_attempt, going_on.step
    what = about(step).noun if step else str(step)
    if attempt is None or attempt <= now:
        return Next(what=f"{what}, at the next run", at=None)
    return Next(what=what, at=attempt)


def _served(endpoints: Sequence[EndpointStatus | UnseenEndpoint]) -> Ports:
    """Where it is looked at; what is wrong comes first."""
    shown = [
        Port(
            endpoint=one.endpoint.removesuffix(":443"),  # as in a browser's address bar
            address=one.address,
            tone=_endpoint_tone(one.state),
            state=words.ENDPOINTS.get(one.state, one.state),
            at=one.at,
        )
        for one in endpoints
    ]
    shown.sort(key=lambda one: ("bad", "none", "ok").index(one.tone))
    wrong = sum(1 for one in shown if one.tone == "bad")
    split = max(FEW, wrong)
    unseen = any(one.tone == "none" for one in shown)
    return Ports(first=tuple(shown[:split]), more=tuple(shown[split:]), wrong=wrong, unseen=unseen)


def _endpoint_tone(state: EndpointState) -> str:
    if state is EndpointState.VERIFIED:
        return "ok"
    return "none" if state is EndpointState.UNKNOWN else "bad"


def _facts(row: CertificateStatus) -> tuple[tuple[str, str], ...]:
    named = (
        ("failures in a row", str(row.failures) if row.failures else ""),
        ("authority", row.authority),
        ("profile", row.profile),
        ("key", row.key),
        ("serial", row.serial),
        ("live version", row.live),
        ("renewed by rule", row.renew_reason),
        ("held back", ", ".join(f"{one.version} by {one.by}: {one.why}" for one in row.held)),
    )
    return tuple((name, str(value)) for name, value in named if value)


def _hook(one: HookStatus) -> HookRow:
    match one.state:
        case DeploymentState.DONE:
            tone = "ok"
        case DeploymentState.FAILED:
            tone = "bad"
        case DeploymentState.PENDING | DeploymentState.LATER:
            tone = "warn"
    return HookRow(hook=one.hook, state=one.state, tone=tone, at=one.at, error=(one.error or "")[:LONG])


def _link(url: str | None) -> str | None:
    """An authority's page, if it may be linked: nothing but https is."""
    return url if url and url.startswith("https://") and not any(c in url for c in "\"'<> \n\t") else None


# --- the others ---------------------------------------------------------------------------------------------


def _watch(row: WatchStatus) -> WatchRow:
    unseen = row.not_after is None and row.healthy
    return WatchRow(
        name=row.name,
        target=row.target,
        tone="none" if unseen else words.tone(row.exit, healthy=row.healthy),
        state=words.WATCHES.get(row.state, row.state),
        expires=row.not_after,
        issuer=row.issuer,
        at=row.at,
        error=("" if row.healthy else row.why or row.error or "")[:LONG],
    )


def _happening(one: Happening) -> HistoryRow:
    return HistoryRow(
        at=one.at,
        certificate=one.certificate,
        tone=_EVENT_TONES.get(one.event, "none"),
        event=_EVENTS.get(one.event, one.event),
        text=happened(one.event, one.details)[:LONG],
    )


def happened(event: str, details: Mapping[str, object]) -> str:
    """A line of history, as far as its details go: they may be of another release."""
    say = details.get
    match event:
        case "renewed":
            text = "seen at its ports" if say("seen") else "in place"
            text += (
                f" {words.span(took)} after it was issued"
                if (took := _number(say("took"))) is not None
                else ""
            )
            if (margin := _number(say("margin"))) is not None:
                text += f", {words.span(margin)} {'before' if margin >= 0 else 'after'} the old one ended"
            return text
        case "recovered":
            took = _number(say("took"))
            text = f"after {words.span(took)}" if took is not None else ""
            return f"{text}; it had been: {say('error')}" if say("error") else text
        case "rolled-back":
            why = f": {say('error')}" if say("error") else ""
            return f"from version {say('from')} to {say('to')}{why}"
        case _:
            return str(say("error") or "")


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) else None


# --- as HTML ------------------------------------------------------------------------------------------------
# Its policy (CSP) allows the two inline texts named by their hashes, and no request at all.

TEMPLATES = os.path.join(os.path.dirname(os.path.abspath(__file__)), "templates")


def render(view: View, *, stamp: str) -> str:
    """The page as HTML; `stamp` says which facts it was made from (`files.stamp_of`)."""
    style, script = _own("page.css"), _own("page.js")
    policy = (
        "default-src 'none'; img-src data:; base-uri 'none'; form-action 'none'; "
        f"style-src '{_digest(style)}'; script-src '{_digest(script)}'"
    )
    return html.render(
        TEMPLATES,
        "page.html.j2",
        **msgspec.structs.asdict(view),
        style=Markup(style),  # noqa: S704  our own files, as they are hashed
        script=Markup(script),  # noqa: S704
        policy=policy,
        stamp=stamp,
        version=__version__,
    )


def _digest(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


@cache
def _own(name: str) -> str:
    """One of our own files; it goes into the page as it is, so that its hash is right."""
    with open(os.path.join(TEMPLATES, name), encoding="utf-8") as file:
        return file.read()
