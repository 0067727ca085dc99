"""From what is wrong to what people read: entries of a message, its subject, its plain text. Pure."""

import shlex
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from hashlib import sha256

from renewer import words
from renewer.model.decision import Decision, Step, about
from renewer.model.desired import Topic
from renewer.model.told import Matter
from renewer.model.value import Value
from renewer.notify.message import Entry, Message, TroubleLine

DETAILED = 25  # certificates told of at length, the most urgent; the others get a line each
LISTED = 1000  # and beyond that many lines only their number
_NAMES = 20  # names of a certificate that are listed
_WIDTH = 78
_USUAL_CONFIG = "/etc/renewer/config.toml"
_GOOD = (Topic.RECOVERED, Topic.RENEWED)


class About(Value):
    """A certificate beside its matters: its names, where it is seen and how, and what is decided about it.

    `decision` is None for one that is only watched.
    """

    names: tuple[str, ...] = ()
    served: tuple[str, ...] = ()
    decision: Decision | None = None


class Writer(Value):
    """What every message of a run has in common. `config` is the path of the config, for commands."""

    host: str
    run: str
    at: datetime
    wake: timedelta
    config: str = _USUAL_CONFIG

    def message(self, channel: str, matters: Sequence[Matter], about: Mapping[str, About]) -> Message:
        """One message of these matters, which come most urgent first."""
        by_name: dict[str, list[Matter]] = {}
        for matter in matters:
            by_name.setdefault(matter.certificate, []).append(matter)
        names = list(by_name)
        headlines = [f"{name}: {self.headline(by_name[name][0])}" for name in names]
        more = headlines[DETAILED : DETAILED + LISTED]
        if len(names) > DETAILED + LISTED:
            more.append(f"and {len(names) - DETAILED - LISTED} more: see `{self.command('status')}`")
        return self.note(
            channel,
            headlines[0] if len(names) == 1 else f"{len(names)} certificates; {headlines[0]}",
            entries=tuple(self.entry(by_name[name], about.get(name, About())) for name in names[:DETAILED]),
            more=more,
            news=(f"{one.certificate} {one.subject} {one.mark} {one.stage} {one.since}" for one in matters),
        )

    def note(  # noqa: PLR0913  each by its name
        self,
        channel: str,
        subject: str,
        notes: Sequence[str] = (),
        *,
        entries: tuple[Entry, ...] = (),
        more: Sequence[str] = (),
        news: Iterable[str] = (),
    ) -> Message:
        """A message as such; `news` is what makes it this one and no other."""
        seed = "\0".join([channel, self.host, f"{self.at:%Y-%m-%d}", *notes, *(list(news) or [subject])])
        return Message(
            id=sha256(seed.encode("utf-8", "replace")).hexdigest()[:32],
            channel=channel,
            host=self.host,
            run=self.run,
            at=self.at,
            subject=words.sentence(subject),
            entries=entries,
            more=tuple(more),
            notes=tuple(words.sentence(note) for note in notes),
        )

    def entry(self, matters: Sequence[Matter], about: About) -> Entry:
        """All that one message says of one certificate."""
        first, watched = matters[0], about.decision is None
        ends = [one.not_after for one in matters if one.not_after]
        bad = [one for one in matters if one.topic not in _GOOD]
        return Entry(
            certificate=first.certificate,
            topic=first.topic,
            headline=self.headline(first),
            names=tuple(words.sentence(name) for name in about.names),
            served=tuple(words.sentence(place) for place in about.served),
            not_after=min(ends, default=None),
            troubles=tuple(
                TroubleLine(text=words.sentence(one.text), since=one.since, output=words.ending(one.output))
                for one in bad
            ),
            agent=self._agent(about.decision),
            reader=_reader(bad, watched=watched),
            commands=tuple(dict.fromkeys(self._commands(first.certificate, bad, watched=watched))),
            escalated=any(one.escalated for one in matters),
        )

    def headline(self, matter: Matter) -> str:
        """One matter in a few words of our own, for subjects and lists."""
        seconds = (matter.not_after - self.at).total_seconds() if matter.not_after else None
        left = words.span(seconds) if seconds is not None and seconds > 0 else ""
        match matter.topic:
            case Topic.EXPIRING:
                return f"expires in {left}" if left else f"EXPIRED {words.span(seconds or 0)} ago"
            case Topic.RECOVERED:
                return "well again" + (f", good for {left}" if left else "")
            case Topic.RENEWED:
                return "renewed" + (f", good for {left}" if left else "")
            case Topic.DEGRADED:
                return "serves without some of its names" + (f", {left} left" if left else "")
            case Topic.FAILED:
                return "fails" + (f", {left} left" if left else "")

    def command(self, *argv: str) -> str:
        """What to type on this host."""
        given = [] if self.config == _USUAL_CONFIG else ["--config", self.config]
        return shlex.join(["renewer", *given, *argv])

    def _agent(self, decision: Decision | None) -> str:
        if decision is None:
            return "only watches it: it looks again, and does nothing else"
        because = words.sentence(decision.because)
        if decision.step is Step.KEEP:
            until = f" before {words.stamp(decision.look_again)}" if decision.look_again else ""
            return f"has nothing to do{until}: {because}"
        held = decision.held if decision.step is Step.WAIT else decision.step
        verb = about(held or Step.LOOK).verb
        if decision.step is Step.WAIT and decision.not_before:
            return f"{verb} at {words.stamp(decision.not_before)}: {because}"
        return f"{verb} with the next run, within {words.span(self.wake.total_seconds())}: {because}"

    def _commands(self, name: str, matters: Sequence[Matter], *, watched: bool) -> Iterable[str]:
        if not matters:
            yield self.command("status", *([] if watched else [name]))
            return
        subjects = [] if watched else [one.subject.partition(" ") for one in matters]
        for what, _, which in subjects:
            match what:
                case "order" | "expiring" | "degraded":
                    yield self.command("doctor", name)
                    yield self.command("run", "--only", name)
                case "hook":
                    yield self.command("deploy", name)
                case "port":
                    yield self.command("check", which.partition("/")[0])
                case _:
                    yield self.command("log", name)
        yield self.command("ack", name, "--until", "3d", "--reason", "who does what")


def text(message: Message) -> str:
    """The whole message as plain text."""
    parts = [_fill(note) for note in message.notes]
    parts += [_entry(entry) for entry in message.entries]
    if message.more:
        parts.append("\n".join(["Also:", *(f"  {line}" for line in message.more)]))
    parts.append(f"-- \n{footer(message)}")
    return "\n\n".join(parts) + "\n"


def footer(message: Message) -> str:
    """Where it comes from, and what joins it with the log."""
    return f"renewer on {message.host}, run {message.run}, {words.stamp(message.at)}"


def rows(entry: Entry) -> list[tuple[str, str]]:
    """What is known of one certificate, as label and text; in the order in which it is asked."""
    found: list[tuple[str, str]] = []
    if entry.names:
        found.append(("Names", words.several(entry.names, _NAMES)))
    if entry.served:
        found.append(("Served", "; ".join(entry.served)))
    if entry.not_after:
        found.append(("Good until", words.stamp(entry.not_after)))
    for trouble in entry.troubles:
        since = f" (since {words.stamp(trouble.since)})" if trouble.since else ""
        found.append(("Wrong", f"{trouble.text}{since}"))
    if entry.agent:
        found.append(("renewer", entry.agent))
    if entry.reader:
        found.append(("You", entry.reader))
    return found


def _entry(entry: Entry) -> str:
    lines = [f"{entry.certificate}: {entry.headline}"]
    for label, said in rows(entry):
        lines.append(_fill(said, f"  {label + ':':<12}", " " * 14))
    for trouble in entry.troubles:
        lines += [f"    | {line}" for line in trouble.output.splitlines()]
    lines += [f"  {'Type:' if not index else '':<12}{line}" for index, line in enumerate(entry.commands)]
    return "\n".join(lines)


def _fill(said: str, first: str = "", rest: str = "") -> str:
    return textwrap.fill(
        said,
        _WIDTH,
        initial_indent=first,
        subsequent_indent=rest,
        break_long_words=False,
        break_on_hyphens=False,
    )


def _reader(matters: Sequence[Matter], *, watched: bool) -> str:
    if not matters:
        return ""
    if hint := next((one.hint for one in matters if one.hint), ""):
        return words.sentence(hint)
    if watched:
        return "have it replaced where it comes from"
    return "find out why it was not renewed: the commands below say what is wrong, and try again"
