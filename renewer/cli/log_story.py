"""The story of a renewal: what the log has of one certificate, from the order to the port. Pure."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from itertools import groupby
from typing import NamedTuple

from renewer import words
from renewer.model.decision import EventName, Result, Step

Event = Mapping[str, object]

_ACTS = frozenset(
    {
        EventName.ORDERED,
        EventName.CHALLENGE_PRESENTED,
        EventName.VALIDATED,
        EventName.ISSUED,
        EventName.INSTALLED,
        EventName.HOOK_RUN,
        EventName.DEPLOYED,
        EventName.ROLLED_BACK,
        EventName.FAILED,
        EventName.RENEWED,
    }
)
_BEGINS = frozenset({Step.RESUME, Step.ISSUE, Step.INSTALL, Step.DEPLOY})
_OUTPUT = 40  # lines of a hook's output


class Line(NamedTuple):
    """A line of the story: when, how long after the one before, what; `style` is for a terminal."""

    at: str
    gap: str
    text: str
    style: str = ""


class Tale(NamedTuple):
    """The story of one renewal. `before` and `after` are what was served, as far as the log knows."""

    events: tuple[Event, ...]
    before: Event | None
    after: Event | None

    @property
    def renewed(self) -> Event | None:
        """The event that ended it; None if it goes on."""
        return next((one for one in self.events if one.get("event") == EventName.RENEWED), None)


def last(events: Sequence[Event]) -> Tale | None:
    """The last renewal of the certificate that all these events are of; None if there was none."""
    ends = [index for index, one in enumerate(events) if one.get("event") == EventName.RENEWED]
    begin = _after_the_run_of(events, ends[-1]) if ends else 0
    if ends and not any(_starts(one) for one in events[begin:]):
        end, begin = begin, _after_the_run_of(events, ends[-2]) if len(ends) > 1 else 0
    else:
        end = len(events)
    first = next((index for index in range(begin, end) if _starts(events[index])), None)
    if first is None:
        return None
    story = tuple(events[first:end])
    return Tale(story, before=_serving(events[:first]), after=_serving(story))


def _after_the_run_of(events: Sequence[Event], index: int) -> int:
    """Where the next renewal may begin: what follows in the same run belongs to the one that ended."""
    run = events[index].get("run")
    return next((n for n in range(index + 1, len(events)) if events[n].get("run") != run), len(events))


def _starts(event: Event) -> bool:
    if event.get("event") == EventName.DECIDED:
        return event.get("step") in _BEGINS
    return event.get("event") in _ACTS and not (
        event.get("event") == EventName.FAILED and event.get("step") == Step.LOOK
    )


def _serving(events: Sequence[Event]) -> Event | None:
    """The last event that says which serial is in use, and where if it was seen."""
    kinds = (EventName.VERIFIED, EventName.RENEWED)
    found = [one for one in events if one.get("event") in kinds and one.get("serial")]
    return next((one for one in reversed(found) if one.get("endpoints")), found[-1] if found else None)


def headline(tale: Tale, name: str, now: datetime) -> Line:
    """How it went, in a sentence."""
    began, runs = moment(tale.events[0]), len({one.get("run") for one in tale.events})
    over = words.count(runs, "run")
    failed = sum(1 for one in tale.events if one.get("event") == EventName.FAILED)
    trouble = f", {words.count(failed, 'failure')} on the way" if failed else ""
    if (end := tale.renewed) is not None:
        took = _between(began, moment(end))
        return Line("", "", f"{name}: renewed, in {took} and {over}{trouble}", "bold green")
    ago = _between(began, now)
    if _deployed_only(tale):
        took = _between(began, moment(tale.events[-1]))
        return Line("", "", f"{name}: deployed again in {took}, {ago} ago; nothing was renewed", "bold green")
    text = f"{name}: not renewed yet; it began {ago} ago, {over} so far{trouble.replace(' on the way', '')}"
    return Line("", "", text, "bold red" if failed else "bold")


def _deployed_only(tale: Tale) -> bool:
    """A rollback, or a deployment by hand, that ended well: no renewal is under way."""
    kinds = {one.get("event") for one in tale.events}
    renewing = {EventName.ORDERED, EventName.ISSUED, EventName.INSTALLED, EventName.FAILED}
    return tale.events[-1].get("event") == EventName.VERIFIED and not kinds & renewing


def lines(tale: Tale) -> Iterator[Line]:
    """The story, a paragraph for each run; runs that only waited are told in one line."""
    waited: list[Event] = []
    for run, group in groupby(tale.events, key=lambda one: one.get("run")):
        events = list(group)
        if all(one.get("event") == EventName.DECIDED and one.get("step") == Step.WAIT for one in events):
            waited += events
            continue
        yield from _waited(waited)
        waited = []
        yield from _run(str(run), events)
    yield from _waited(waited)


def _run(run: str, events: Sequence[Event]) -> Iterator[Line]:
    began, ended = moment(events[0]), moment(events[-1])
    at = f"{began:%Y-%m-%d}" if began else "?"
    yield Line("", "", "")
    yield Line("", "", f"{at}, run {run} on {events[0].get('host')}, {_between(began, ended)}", "bold")
    before = began
    for event in events:
        now = moment(event)
        gap = f"+{_between(before, now)}" if event is not events[0] else ""
        yield Line(f"{now:%H:%M:%S}" if now else "?", gap, told(event), _style(event))
        before = now or before
        if event.get("output") and event.get("result") == "failed":
            for line in str(event["output"]).splitlines()[-_OUTPUT:]:
                yield Line("", "", f"| {line}", "dim")


def _style(event: Event) -> str:
    if event.get("event") == EventName.HOOK_RUN and event.get("result") == "failed":
        return "red"
    match event.get("event"):
        case EventName.FAILED:
            return "red"
        case EventName.ROLLED_BACK:
            return "yellow"
        case EventName.RENEWED:
            return "bold green"
        case EventName.RECOVERED | EventName.VERIFIED:
            return "green"
    return ""


def _waited(events: Sequence[Event]) -> Iterator[Line]:
    if not events:
        return
    first, until = moment(events[0]), moment(events[-1])
    when = f"{first:%Y-%m-%d %H:%M}" if first else "?"
    upto = f" to {until:%Y-%m-%d %H:%M}" if until and len(events) > 1 else ""
    count = words.count(len(events), "run")
    yield Line("", "", "")
    yield Line("", "", f"{when}{upto}: {count} waited, because {events[-1].get('because')}", "dim")


def ending(tale: Tale) -> Iterator[Line]:
    """What was served before and is now."""
    yield Line("", "", "")
    for label, event in (("before", tale.before), ("now   ", tale.after)):
        if event is None:
            known = "nothing that this log knows of" if label == "before" else "not seen yet"
            yield Line("", "", f"{label}  {known}")
        else:
            where = f" at {event['endpoints']}" if event.get("endpoints") else ""
            at = moment(event)
            seen = f", seen {at:%Y-%m-%d %H:%M:%S}Z" if at and where else ""
            yield Line("", "", f"{label}  serial {event['serial']}{where}{seen}")


def moment(event: Event) -> datetime | None:
    """When it was; None for an event that does not say it as we do."""
    try:
        found = datetime.fromisoformat(str(event.get("at")))
    except ValueError:
        return None
    return found if found.tzinfo else None


def _between(begin: datetime | None, end: datetime | None) -> str:
    if begin is None or end is None:
        return "?"
    seconds = (end - begin).total_seconds()
    if 1 <= seconds < 60:
        return f"{seconds:.1f}s"
    return words.brief(end - begin) if seconds >= 2 * 86400 else words.exact(seconds)


MARKS = {Result.DONE: "✓", Result.WAITING: "…", Result.FAILED: "✗"}
_QUIET = (EventName.RUN_STARTED, EventName.RUN_FINISHED, EventName.DECIDED)


def sentence(event: Mapping[str, object], *, verbose: bool) -> str | None:
    """One event for somebody who watches; None if it tells nothing new without -v."""
    name = event.get("event")
    if not verbose and name in _QUIET:
        return None
    certificate = f"{event['certificate']}: " if event.get("certificate") else ""
    return f"{certificate}{told(event)}"


def told(event: Mapping[str, object]) -> str:  # noqa: PLR0911  one sentence an event
    """What happened, without when and to whom."""
    say = event.get
    match say("event"):
        case EventName.RUN_STARTED:
            return f"run {say('run')} started"
        case EventName.RUN_FINISHED:
            return f"run {say('run')} finished with exit code {say('exit')}"
        case EventName.DECIDED:
            until = f" until {say('not_before')}" if say("not_before") else ""
            out = f"; {say('way_out')}" if say("way_out") else ""
            return f"decided: {say('step')}{until}, because {say('because')} [{say('reason')}]{out}"
        case EventName.ORDERED:
            text = "goes on with the order" if say("resumed") else f"ordered at {say('authority')}"
            profile = f", profile {say('profile')}" if say("profile") else ""
            refused = (
                f"; `replaces` was refused: {say('replaces_refused')}" if say("replaces_refused") else ""
            )
            return f"{text}{profile}: {say('url')}{refused}"
        case EventName.CHALLENGE_PRESENTED:
            return f"{say('type')} for {say('identifier')} presented at {say('where')}"
        case EventName.VALIDATED:
            return f"control proven of {say('names')}"
        case EventName.ISSUED:
            return f"{say('authority')} issued it ({say('took_ms')} ms)"
        case _:
            return _told_of_servers(event)


def _told_of_servers(event: Mapping[str, object]) -> str:  # noqa: PLR0911  one sentence an event
    """The same from the disk on: what is installed, served and said of it."""
    say = event.get
    match say("event"):
        case EventName.INSTALLED:
            return (
                f"installed version {say('version')}, serial {say('serial')}, valid until {say('not_after')}"
            )
        case EventName.HOOK_RUN:
            error = f": {say('error')}" if say("error") else ""
            return f"hook {say('hook')} {say('hook_event')}: {say('result')} ({say('took_ms')} ms){error}"
        case EventName.DEPLOYED:
            return f"version {say('version')} is live, deployed by {say('hooks')}"
        case EventName.VERIFIED:
            return f"seen at {say('endpoints')}: serial {say('serial')}"
        case EventName.RENEWED:
            where = "renewed, and seen at its ports" if say("seen") else "renewed"
            return f"{where}: serial {say('serial')}, valid until {say('not_after')}"
        case EventName.FAILED:
            hint = f" → {say('hint')}" if say("hint") else ""
            return f"FAILED to {say('step')}: {say('error')}{hint}"
        case EventName.RECOVERED:
            return f"well again; it had failed since {say('since')}"
        case EventName.TOLD:
            about = say("text") or say("topic")
            return f"told {say('channel')}: {about}" + (
                f" ({say('stage')})" if say("stage") is not None else ""
            )
        case EventName.ROLLED_BACK:
            return f"turned back to version {say('to')}"
        case _:
            return str(say("text") or say("event"))
