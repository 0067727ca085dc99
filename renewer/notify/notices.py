"""Telling people: what policy says, by each channel that takes it, remembered once it did.

The order is: send, remember. A run that is killed in between repeats one message; none is ever lost.
"""

import os
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta

import msgspec

from renewer import clock, concerns, watches, words
from renewer.context import Context
from renewer.errors import OurFault, RenewerError
from renewer.ledger.contract import Happening
from renewer.model.decision import EventName
from renewer.model.desired import Channel, Config, Topic
from renewer.model.facts import EndpointState, Situation
from renewer.model.told import OUTAGE, Ack, Matter, Notice, Outage
from renewer.notify import channels
from renewer.notify.message import Message
from renewer.notify.writing import About, Writer
from renewer.policy import notices as policy
from renewer.policy import trouble
from renewer.policy.due import decide
from renewer.policy.health import assess
from renewer.policy.notices import Agenda, NoticeSubject, Renewals
from renewer.policy.terms import Terms

_REPEATED = timedelta(hours=6)  # between two tellings of the same where nothing can be remembered


def tell(
    context: Context, situations: Mapping[str, Situation], began: datetime, *, all_of_them: bool
) -> list[str]:
    """Tell every channel what it must hear now; returns what is wrong with channels, as findings.

    Whatever goes wrong here is a finding: what the run did stands. A run that was asked to stop leaves it to
    the next. `began` is when the run did; `all_of_them` whether `situations` has every certificate.
    """
    if not context.config.channels or context.stopping.is_set():
        return []
    if context.ledger.forgets and not _may_repeat(context):
        return []
    try:
        return _Round(context, situations, began, all_of_them=all_of_them).go()
    except RenewerError as error:
        fault = error
    except Exception as error:  # noqa: BLE001  a defect in telling must not undo a renewal
        context.journal.trace("", error)
        fault = OurFault.of(error)
    context.journal.tell(EventName.NOTICE, text=f"notices: {fault.text}", hint=fault.hint)
    return [f"notices could not be told: {fault.text}"]


def _may_repeat(context: Context) -> bool:
    """Whether it is time to tell again what nobody will remember that it was told.

    A moment needs no room: the ledger's file, which nobody can write, has it for its mtime.
    """
    path, now = f"{context.config.agent.state}/ledger.db", clock.now().timestamp()
    try:
        since = now - os.stat(path).st_mtime
        if 0 <= since < _REPEATED.total_seconds():
            return False
        os.utime(path, (now, now))
    except OSError:
        return True  # told too often rather than never
    return True


class _Round:
    """One run's telling."""

    def __init__(
        self, context: Context, situations: Mapping[str, Situation], began: datetime, *, all_of_them: bool
    ) -> None:
        self.context = context
        self.situations = situations
        self.now = clock.now()
        self.told = context.ledger.load(Notice)
        self.acks = {ack.certificate: ack for ack in context.ledger.load(Ack)}
        self.outages = {one.channel: one for one in context.ledger.load(Outage)}
        self.all_of_them = all_of_them
        self.standings = self._standings()
        self.history = self._history(began)
        self.began = began
        agent = context.config.agent
        self.writer = Writer(
            host=context.host, run=context.run, at=self.now, wake=agent.wake, config=context.config.path
        )

    def go(self) -> list[str]:
        """Every channel once; then those that work hear of those that do not."""
        wishes = self.context.config.channels
        agendas = [self._agenda(channel) for channel in wishes.values()]
        self._tidy(agendas)
        refusing: set[str] = set()
        for one in agendas:
            if one.matters and not self._deliver(wishes[one.channel], one):
                refusing.add(one.channel)
        for channel in wishes.values():
            if self.outages and channel.name not in refusing:
                self._tell_outages(channel)
        return [_sentence(one) for one in self.outages.values() if one.channel in wishes]

    def _standings(self) -> list[NoticeSubject]:
        """Every certificate of this run; what is only watched in a run over all of them."""
        shared = concerns.also_renewed(self.context.config) if self.all_of_them else {}
        found = [
            NoticeSubject(
                name=name,
                well=assess(situation, self.now).healthy,
                matters=(*trouble.of(situation, self.now), *trouble.of_rivals(name, shared, self.now)),
                notify=situation.wish.notify,
                not_after=_end(situation),
            )
            for name, situation in self.situations.items()
        ]
        if self.all_of_them:
            for name, fact in watches.take(self.context).items():
                watch = self.context.config.watches[name]
                matters = trouble.of_watch(watch, fact, self.now)
                well = fact is not None and fact.target == watch.target and not fact.error
                end = fact.not_after if fact else None
                found.append(
                    NoticeSubject(name=name, well=well, matters=matters, notify=watch.notify, not_after=end)
                )
        return found

    def _history(self, began: datetime) -> list[tuple[datetime, Matter]]:
        """Renewals that some channel has not heard of."""
        since = policy.heard_until(self.context.config.channels.values(), self.told, began)
        if since is None:
            return []
        happenings = self.context.ledger.history(since=min(since, began))
        return [(one.at, _renewal(one)) for one in happenings if one.event == EventName.RENEWED]

    def _agenda(self, channel: Channel) -> Agenda:
        renewals = [
            (moment, matter)
            for moment, matter in self.history
            if (wish := self.context.config.certificates.get(matter.certificate))
            and policy.hears(channel, wish.notify)
        ]
        return policy.agenda(
            channel,
            self.standings,
            Renewals(began=self.began, told=tuple(renewals)),
            [one for one in self.told if one.channel == channel.name],
            self.acks,
            now=self.now,
            run=self.context.run,
        )

    def _tidy(self, agendas: Iterable[Agenda]) -> None:
        """Write down what is no news, and forget what is about nothing any more."""
        before = [one for agenda in agendas for one in agenda.before]
        gone: list[Notice | Ack | Outage] = [one for agenda in agendas for one in agenda.quiet]
        gone += policy.over(self.standings, self.acks, self.now)
        if self.all_of_them:
            names = {*self.context.config.certificates, *self.context.config.watches, ""}
            wishes = self.context.config.channels
            gone += [n for n in self.told if n.certificate not in names or n.channel not in wishes]
            gone += [one for one in self.outages.values() if one.channel not in wishes]
        if before:
            self.context.ledger.save(*before)
        if gone:
            self.context.ledger.drop(*gone)

    def _deliver(self, channel: Channel, agenda: Agenda) -> bool:
        """Whether the channel took it; remembered if so."""
        about = {matter.certificate: self._about(matter.certificate) for matter in agenda.matters}
        message = self.writer.message(channel.name, agenda.matters, about)
        if not self._send(channel, message):
            return False
        self.context.ledger.save(*agenda.remember) if agenda.remember else None
        self.context.ledger.drop(*agenda.forget) if agenda.forget else None
        for matter in agenda.matters:
            self.context.journal.tell(
                EventName.TOLD,
                matter.certificate,
                channel=channel.name,
                topic=matter.topic.value,
                stage=matter.stage,
                escalated=matter.escalated or None,
                message=message.id,
            )
        return True

    def _tell_outages(self, channel: Channel) -> None:
        """Once a day, as long as it lasts."""
        mine = [one for one in self.told if one.channel == channel.name]
        due = policy.outages(channel, self.outages.values(), mine, self.now)
        if not due:
            return
        names = ", ".join(one.channel for one in due)
        command = self.writer.command("notify", "test")
        notes = [*(_sentence(one) for one in due), f"Put it right, then try it with: {command}"]
        message = self.writer.note(channel.name, f"the channel {names} takes no notices", notes)
        if self._send(channel, message):
            told = [policy.outage_notice(channel, one, self.now, self.context.run) for one in due]
            self.context.ledger.save(*told)
            self.context.journal.tell(
                EventName.TOLD, channel=channel.name, topic=OUTAGE, text=f"about {names}"
            )

    def _send(self, channel: Channel, message: Message) -> bool:
        """Give it to the channel; that it fails is a fact, and that it works again ends that fact."""
        before = self.outages.get(channel.name)
        try:
            note = channels.send(channel, message, self.context.config.agent.proxy)
        except RenewerError as error:
            outage = Outage(
                certificate="",
                channel=channel.name,
                since=before.since if before else self.now,
                at=self.now,
                error=error.text,
                hint=error.hint,
                failures=before.failures + 1 if before else 1,
            )
            self.outages[channel.name] = outage
            self.context.ledger.save(outage)
            self.context.journal.tell(EventName.NOTICE, text=_sentence(outage), hint=error.hint)
            return False
        if note:
            self.context.journal.tell(EventName.NOTICE, text=f"channel {channel.name}: {note}")
        if before is not None:
            del self.outages[channel.name]
            others = [one for one in self.told if one.subject == OUTAGE and one.mark == channel.name]
            self.context.ledger.drop(before, *others)
        return True

    def _about(self, name: str) -> About:
        situation = self.situations.get(name)
        if situation is None:
            fact = watches.take(self.context).get(name)
            watch = self.context.config.watches.get(name)
            names = tuple(str(one) for one in fact.names) if fact else ()
            return About(names=names, served=(watch.target,) if watch else ())
        terms = Terms(now=self.now, wake=self.context.config.agent.wake, begun=True)
        return About(
            names=tuple(str(one) for one in situation.wish.names),
            served=tuple(_served(situation)),
            decision=decide(situation, terms),
        )


def _served(situation: Situation) -> Iterable[str]:
    """Each place where it must be served, and how it was seen there last."""
    for endpoint in situation.wish.endpoints:
        seen = [one for one in situation.sightings if one.endpoint == str(endpoint)]
        state = next((one.state for one in seen if one.state is not EndpointState.VERIFIED), None)
        word = state or (seen[0].state if seen else EndpointState.UNKNOWN)
        yield f"{endpoint} ({word.value})"
    for hook in situation.wish.hooks:
        if not situation.wish.endpoints:
            yield f"by {hook}"


def _end(situation: Situation) -> datetime | None:
    live = situation.live_version
    return live.leaf.not_after if live and not live.placeholder else None


def _renewal(one: Happening) -> Matter:
    """A line of history as something to tell."""
    given = one.details.get("not_after")
    return Matter(
        certificate=one.certificate,
        topic=Topic.RENEWED,
        subject=f"renewed {one.details.get('version', '')}",
        not_after=msgspec.convert(given, datetime, strict=False) if given else None,
    )


def _sentence(one: Outage) -> str:
    return (
        f"the channel {one.channel} takes no notices since {one.since:%Y-%m-%d %H:%M:%SZ} "
        f"(tried {one.failures} times): {words.sentence(one.error)}"
    )


def sample(config: Config, run: str, channel: Channel) -> Message:
    """What `renewer notify test` sends."""
    agent = config.agent
    writer = Writer(host=agent.host, run=run, at=clock.now(), wake=agent.wake, config=config.path)
    notes = (
        f"This is a sample: somebody on {agent.host} typed `renewer notify test`. Nothing is wrong.",
        f"What comes this way: {', '.join(sorted(channel.on))}.",
    )
    return writer.note(channel.name, "a sample, nothing is wrong", notes, news=(run,))
