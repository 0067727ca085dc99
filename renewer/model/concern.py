"""What is wrong with this host's renewing as a whole, rather than with one certificate."""

from renewer.model.trouble import RETRIED
from renewer.model.value import Printed

WELL = 0


class Concern(Printed):
    """One thing to know: `subject` tells them apart, `text` is a sentence, `hint` what somebody can do.

    `exit` is 0 for a note, 1 for what is not well, 3 if a person must act.
    """

    subject: str
    text: str
    hint: str = ""
    exit: int = RETRIED
