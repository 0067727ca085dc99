"""What a channel is given: one message a run, about however many certificates, its texts cleaned."""

from datetime import datetime

from renewer.model.desired import Topic
from renewer.model.value import Value


class TroubleLine(Value):
    """One thing wrong: a sentence, since when, and what a program of the operator's said."""

    text: str
    since: datetime | None = None
    output: str = ""


class Entry(Value):
    """One certificate: what it is about, how long it has, and what happens next.

    `served` is where it is served and how it is seen there; `agent` what renewer will do and when, `reader`
    what the reader should do, `commands` what to type.
    """

    certificate: str
    topic: Topic
    headline: str
    names: tuple[str, ...] = ()
    served: tuple[str, ...] = ()
    not_after: datetime | None = None
    troubles: tuple[TroubleLine, ...] = ()
    agent: str = ""
    reader: str = ""
    commands: tuple[str, ...] = ()
    escalated: bool = False


class Digest(Value):
    """A report that goes with a message, in the forms that a mail has room for."""

    text: str
    html: str
    csv: str


class Message(Value):
    """What is told at once. `id` is the same for the same news on the same day, also after a crash.

    `more` has a line for each certificate that is not told of at length; `notes` are about renewer itself.
    A `report` stands in a mail in place of all these; other channels are told its notes.
    """

    id: str
    channel: str
    host: str
    run: str
    at: datetime
    subject: str
    entries: tuple[Entry, ...] = ()
    more: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    report: Digest | None = None

    @property
    def escalated(self) -> bool:
        """Whether those are told too who are asked when nobody acts."""
        return any(entry.escalated for entry in self.entries)
