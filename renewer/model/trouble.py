"""What is wrong with a certificate, as a value; `policy.diagnosis` says what is."""

from datetime import datetime
from enum import StrEnum

from renewer.model.facts import EndpointState
from renewer.model.value import Printed, Value

RETRIED, PERSON = 1, 3


class Kind(StrEnum):
    """What sort of trouble it is; the most telling first."""

    DISK = "disk"  # something of it cannot be read
    ACCOUNT = "account"  # none of its authorities has an account for it any more
    ORDER = "order"  # an authority did not issue it
    HOOK = "hook"  # a hook or a copy failed
    LATER = "later"  # a hook put it off
    POST = "post"  # what a pre hook stopped was not started again
    REFUSED = "refused"  # clients would refuse what was issued, and a good one stays live
    PORT = "port"  # a port shows something else, or nothing
    ABSENT = "absent"
    REVOKED = "revoked"
    DEGRADED = "degraded"
    EXPIRED = "expired"
    OVERDUE = "overdue"  # it should have been replaced by now
    WINDOW = "window"  # nobody here can tell when its deploy window opens
    MODES = "modes"  # files may be read by others than configured
    TEST = "test"  # of an authority that only tests
    PENDING = "pending"  # it is on its way, and not everywhere yet


FAILING = frozenset({Kind.DISK, Kind.ORDER, Kind.HOOK, Kind.POST, Kind.REFUSED, Kind.PORT})
"""What begins a series of failures in the history; it ends when nothing at all is wrong."""


class Trouble(Value):
    """One thing that is wrong with a certificate; `text` is a sentence, `hint` what somebody can do.

    `where` names the authority, hook, endpoint or version that it is about, `mark` tells it from an earlier
    one there. `exit` is 1 if it will be retried, 3 if a person must act. `at` is when it last failed, `since`
    when it began, `count` how many times in a row. `more` is what belongs to the sentence in full, `output`
    what a program of the operator's said. `not_after` is when what is served ends; of a port, `state` is how
    it stands and `shown` the fingerprint of what it shows.
    """

    kind: Kind
    text: str
    where: str = ""
    mark: str = ""
    hint: str = ""
    exit: int = RETRIED
    since: datetime | None = None
    at: datetime | None = None
    count: int = 0
    more: str = ""
    output: str = ""
    not_after: datetime | None = None
    state: EndpointState | None = None
    shown: str = ""

    @property
    def final(self) -> bool:
        """Whether only a person can mend it."""
        return self.exit == PERSON


WELL = 0


class Concern(Printed):
    """One thing to know: `subject` tells them apart, `text` is a sentence, `hint` what somebody can do.

    `exit` is 0 for a note, 1 for what is not well, 3 if a person must act.
    """

    subject: str
    text: str
    hint: str = ""
    exit: int = RETRIED
