"""What `renewer status` says, made from its document: verdict, rows, and what to know besides. Pure."""

from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from typing import NamedTuple

from renewer import words
from renewer.model.decision import about
from renewer.model.facts import EndpointState
from renewer.model.status import CertificateStatus, Status, WatchStatus
from renewer.report import together

HEADER = ("certificate", "state", "expires", "left", "renewal", "served")
"""The columns where nothing is drawn."""


class Life(NamedTuple):
    """Shares of a certificate's life: how much is over, and where its renewal is planned."""

    over: float
    due: float | None


class Row(NamedTuple):
    """A line of the table; `tone` is ok, warn or bad, or none for what was not looked at yet."""

    tone: str
    name: str
    state: str
    life: Life | None
    left: str
    expires: str
    next: str
    served: str
    seen: str
    seen_well: bool


class Note(NamedTuple):
    """What to know: whom it is about, a sentence, what to do about it; and the certificates that share it."""

    tone: str
    who: str
    text: str
    hints: tuple[str, ...] = ()
    whose: tuple[str, ...] = ()

    @property
    def head(self) -> str:
        """Whom it is about: of many how many they are."""
        many = words.count(len(self.whose), "certificate")
        return f"{many}: " if len(self.whose) > together.FEW else f"{self.who}: " if self.who else ""

    @property
    def body(self) -> str:
        """The sentence; of many with one of them."""
        return f"{self.text}, e.g. {self.whose[0]}" if len(self.whose) > together.FEW else self.text


def verdict(document: Status) -> str:
    """The one line that answers the question."""
    certificates = document.rows
    worst = max(document.concerns, key=lambda one: one.exit, default=None)
    if not certificates:
        return (
            f"{_CALLS[worst.exit]}: {worst.text}"
            if worst is not None and worst.exit
            else "the configuration has no certificate for this host"
        )
    ill = [one for one in certificates if not one.healthy]
    count = words.count(len(certificates), "certificate")
    ran = _ran(document)
    if not ill and worst is not None and worst.exit:
        return f"{_CALLS[worst.exit]}: {worst.text}; {count}, {ran}"
    if not ill:
        return f"all is well: {count}, {ran}{_following(document)}" if document.healthy else f"{count}, {ran}"
    text = f"{len(ill)} of {count} not well, {ran}"
    return f"YOU MUST ACT: {text}" if document.exit == 3 else f"not all is well: {text}; it will be retried"


_CALLS = {1: "not all is well", 3: "YOU MUST ACT"}


def _ran(document: Status) -> str:
    last = document.last_run
    return f"last run {words.exact((document.at - last).total_seconds())} ago" if last else "no run yet"


def _following(document: Status) -> str:
    """When the next renewal is."""
    planned = [(one.renew_at, one.name) for one in document.certificates if one.renew_at]
    at, name = min(planned, default=(None, ""))
    if at is None or at <= document.at:
        return ""
    return f", the next renewal in {words.brief(at - document.at)} ({name})"


def alarm(document: Status, wake: timedelta) -> Note | None:
    """That nobody runs us: then nothing else that stands here is worth much."""
    since = document.stopped_since
    if since is not None:
        quiet = words.exact((document.at - since).total_seconds())
        since_then = f"for {quiet}, since {words.stamp(since)}"
        text = f"RUNS STOPPED: none has come to its end {since_then}: nothing is renewed"
        every = f"expected every {words.exact(wake.total_seconds())}; is the timer on? renewer timer show"
        return Note("bad", "", text, (every, "and what happens now: renewer run"))
    if document.last_run is None and document.certificates:
        return Note("warn", "", "no run yet", ("renewer run, and to have it called: renewer timer install",))
    return None


def tone(one: CertificateStatus | WatchStatus) -> str:
    """Well, tried again, or waiting for a person."""
    return words.tone(one.exit, healthy=one.healthy)


def rows(document: Status) -> list[Row]:
    """The certificates, in the order of the document."""
    now = document.at
    return [
        Row(
            tone(one),
            one.name,
            str(one.state),
            _life(one.not_before, one.renew_at, one.not_after, now),
            _left(one.not_after, now),
            _day(one.not_after),
            _next(one, now),
            served(one),
            seen(one),
            all(each.state == EndpointState.VERIFIED for each in one.endpoints),
        )
        for one in document.certificates
    ]


def watched(document: Status) -> list[Row]:
    """What is only looked at."""
    now = document.at
    return [
        Row(
            "none" if one.not_after is None and one.healthy else tone(one),
            one.name,
            str(one.state),
            _life(one.not_before, None, one.not_after, now),
            _left(one.not_after, now),
            _day(one.not_after),
            "only watched",
            one.target,
            "-",
            bool(one.healthy),
        )
        for one in document.watches
    ]


def _life(begin: datetime | None, due: datetime | None, end: datetime | None, now: datetime) -> Life | None:
    if begin is None or end is None or end <= begin:
        return None
    planned = (due - begin) / (end - begin) if due is not None else None
    within = planned is not None and 0 < planned < 1
    return Life(min(max((now - begin) / (end - begin), 0.0), 1.0), planned if within else None)


def _left(end: datetime | None, now: datetime) -> str:
    return "-" if end is None else words.brief(end - now)


def _day(when: datetime | None) -> str:
    return "-" if when is None else f"{when:%Y-%m-%d %H:%MZ}"


def _next(one: CertificateStatus, now: datetime) -> str:
    """What happens next, and in how long."""
    if one.renewal is None:
        planned = one.renew_at
        if planned is None:
            return "-"
        return f"renewal in {words.brief(planned - now)}" if planned > now else "renewal due"
    step, at = one.renewal.step, one.renewal.next_attempt
    what = about(step).word if step else str(step)
    return f"{what} in {words.brief(at - now)}" if at is not None and at > now else f"{what}, next run"


def renewal(one: CertificateStatus) -> str:
    """The same with its moment, as it stands where nothing is drawn."""
    if one.renewal is None:
        return words.stamp(one.renew_at)
    step, at = one.renewal.step, one.renewal.next_attempt
    return f"{step} at {words.stamp(at)}" if at else f"{step} at the next run"


def served(one: CertificateStatus) -> str:
    """Where it is seen, in a few words."""
    endpoints = one.endpoints
    if not endpoints:
        return "not looked at"
    if all(endpoint.state == EndpointState.UNKNOWN for endpoint in endpoints):
        return "not looked at yet"
    bad = [endpoint for endpoint in endpoints if endpoint.state != EndpointState.VERIFIED]
    if bad:
        return words.several((f"{endpoint.state} at {endpoint.endpoint}" for endpoint in bad), 2)
    return f"{len(endpoints)} of {len(endpoints)} verified"


def seen(one: CertificateStatus) -> str:
    """The same in numbers."""
    endpoints = one.endpoints
    well = sum(1 for endpoint in endpoints if endpoint.state == EndpointState.VERIFIED)
    return f"{well}/{len(endpoints)}" if endpoints else "-"


def notes(document: Status, names: frozenset[str] | None = None) -> Iterator[Note]:
    """What to know besides; of certificates only what concerns one of `names`, if given."""
    certificates = [one for one in document.certificates if names is None or one.name in names]
    yield from _troubles([one for one in document.certificates if not one.healthy], names)
    for watch in document.watches:
        if not watch.healthy and (names is None or watch.name in names):
            why, place = str(watch.why or watch.state), f"{watch.target}: "
            yield Note(tone(watch), watch.name, place + why.removeprefix(place))
    for one in certificates:
        if one.held:
            yield _rolled_back(one)
        if one.healthy and one.waits_because:
            yield Note("none", one.name, one.waits_because, tuple(filter(None, [one.way_out])))
    yield from _explained(certificates)
    yield from _at_large(document)
    served = {one.name for one in document.still_served}
    orphans = [name for name in document.orphans if name not in served]
    if orphans:
        text = f"on disk, in no configuration, never renewed: {', '.join(orphans)}"
        yield Note(
            "none", "", text, ("renamed? renewer rename OLD NEW; not needed any more? renewer forget NAME",)
        )


def _at_large(document: Status) -> Iterator[Note]:
    """What concerns no single certificate, each once; where some are asked for, what of it is theirs."""
    told = {one.text for one in document.concerns}
    for one in document.concerns:
        kind = {0: "none", 1: "warn"}.get(one.exit, "bad")
        yield Note(kind, "note", one.text, (one.hint,) if one.hint else ())
    for finding in (*document.unread, *document.findings):
        if finding not in told:
            yield Note("warn", "note", finding)


def _troubles(ill: Iterable[CertificateStatus], about: frozenset[str] | None) -> Iterator[Note]:
    """Those with the same trouble together."""
    groups: dict[tuple[str, str, str], list[CertificateStatus]] = {}
    ways = {one.name: str(one.way_out) for one in ill if one.way_out}
    for one in ill:
        own = (one.name, *one.names)
        alike = together.alike(one.why, own), together.alike(one.hint, own)
        groups.setdefault((tone(one), *alike), []).append(one)
    for (kind, _, _), those in groups.items():
        names, why, hint = [one.name for one in those], those[0].why, those[0].hint
        if about is not None and about.isdisjoint(names):
            continue
        asking = f"renewer log {names[0]} --last" if kind == "bad" else ""
        hints = (hint, *together.ways_out(names, ways), asking)
        yield Note(kind, words.several(names), why, tuple(text for text in hints if text), tuple(names))


def _rolled_back(one: CertificateStatus) -> Note:
    """That somebody went back, and how that ends."""
    first = one.held[0]
    why = f": {first.why}" if first.why else ""
    text = f"rolled back to version {one.live} by {first.by} at {words.stamp(first.at)}{why}"
    return Note("warn", one.name, f"{text}; until a newer one is issued, or: renewer deploy {one.name}")


def _explained(certificates: Iterable[CertificateStatus]) -> Iterator[Note]:
    pages: dict[str, list[str]] = {}
    for one in certificates:
        if one.renew_explanation:
            pages.setdefault(one.renew_explanation, []).append(one.name)
    for url, names in pages.items():
        text = f"the authority explains its renewal window at {url}"
        yield Note("none", words.several(names), text, (), tuple(names))
