"""What people are told, and what is remembered of it."""

from datetime import datetime
from typing import ClassVar

from renewer.model.desired import Topic
from renewer.model.facts import Record
from renewer.model.names import Identifier
from renewer.model.value import Value


class Matter(Value):
    """Something that a person should hear about one certificate, renewed or only watched.

    `subject` tells matters of one certificate apart, and `mark` a matter from an earlier one of its subject.
    `stage` falls as it grows worse, of what expires as the end comes nearer (days, or their share of a
    shorter lifetime): a channel is told once a stage. `not_after` is when what is served ends, `since` when
    it began to fail. `text` and `hint` are sentences, `output` is what a program of the operator's said; all
    three may come from strangers.
    """

    certificate: str
    topic: Topic
    subject: str
    mark: str = ""
    stage: int | None = None
    not_after: datetime | None = None
    since: datetime | None = None
    text: str = ""
    hint: str = ""
    output: str = ""

    @property
    def escalated(self) -> bool:
        """Whether nobody acted for so long that others are told too."""
        return self.topic is Topic.EXPIRING and self.stage is not None and self.stage <= ESCALATED


ESCALATED = 7
"""From this stage on `escalate_to` is told too."""

RENEWED = "renewed"
"""The subject of the notice that says how far a channel was told of renewals: all up to its `at`."""

OUTAGE = "outage"
"""The subject of notices that another channel fails: of no `certificate`, their `mark` is that channel."""


class Notice(Record):
    """What a channel took: the last of its subject, so that nothing is told there twice."""

    kind: ClassVar[str] = "notice"
    channel: str
    subject: str
    at: datetime
    mark: str = ""
    stage: int | None = None
    run: str = ""

    @property
    def key(self) -> str:
        """One record a channel and subject; of outages one for each channel that fails."""
        return f"{self.channel} {self.subject}" + (f" {self.mark}" if self.subject == OUTAGE else "")


class Ack(Record):
    """Somebody knows, and wants to hear no more of this trouble until then; never beyond the expiry."""

    kind: ClassVar[str] = "ack"
    at: datetime
    by: str
    until: datetime | None = None
    reason: str = ""


class Outage(Record):
    """A channel that does not take what it is given; gone once it does. `certificate` is ''."""

    kind: ClassVar[str] = "outage"
    channel: str
    since: datetime
    at: datetime
    error: str
    hint: str = ""
    failures: int = 1

    @property
    def key(self) -> str:
        """One record a channel."""
        return self.channel


class Ping(Record):
    """A heartbeat that did not get through; gone once one does. `certificate` is ''."""

    kind: ClassVar[str] = "ping"
    since: datetime
    at: datetime
    error: str
    failures: int = 1


class Watched(Record):
    """What the last look at a watched certificate showed; `certificate` is the watch's name.

    The facts of the leaf are those of the last look that showed one; `seen` is whether the last of all did,
    and `error` what it found wrong. `failures` counts looks in a row with something wrong, the first at
    `since`.
    """

    kind: ClassVar[str] = "watched"
    target: str
    at: datetime
    seen: bool = False
    not_before: datetime | None = None
    not_after: datetime | None = None
    serial: str | None = None
    fingerprint: str | None = None
    issuer: str | None = None
    names: tuple[Identifier, ...] = ()
    error: str | None = None
    failures: int = 0
    since: datetime | None = None


class SummaryTold(Record):
    """A summary that went out: `target` is a channel, or "" for a file; `until` is when its period ended."""

    kind: ClassVar[str] = "summary"
    target: str
    until: datetime
    at: datetime

    @property
    def key(self) -> str:
        """One record a target."""
        return self.target


class LeftName(Record):
    """A name that was taken out of a certificate, and that a server of this host still serves with it."""

    kind: ClassVar[str] = "left-name"
    host: str
    name: str
    endpoint: str
    address: str
    at: datetime

    @property
    def key(self) -> str:
        """One record a host and name."""
        return f"{self.host} {self.name}"


class Silenced(Record):
    """What had another client called on this host, and was switched off when it was taken over.

    `path` is a timer's link or a table of cron, `line` the line there, "" of a timer.
    """

    kind: ClassVar[str] = "silenced"
    host: str
    client: str
    path: str
    line: str = ""

    @property
    def key(self) -> str:
        """One record a host and call."""
        return f"{self.host} {self.path} {self.line}"
