"""The hook opensmtpd and a real OpenSMTPD."""

from tests.hooks.bed import Bed
from tests.hooks.standing import Standing
from tests.hooks.walk import Note, walk
from tests.servers.opensmtpd import Opensmtpd


class Served(Standing):
    """An OpenSMTPD."""

    hook = "opensmtpd"
    starttls = "smtp"


def test_the_walk(bed: Bed, record_property: Note) -> None:
    """A running OpenSMTPD takes every step of the table."""
    bed.serve(Served(bed, Opensmtpd))
    walk(bed, record_property)
