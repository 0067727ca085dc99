"""The hook postfix and a real postfix."""

from tests.hooks.bed import Bed
from tests.hooks.standing import Standing
from tests.hooks.walk import Note, walk
from tests.servers.postfix import Postfix


class Served(Standing):
    """A postfix."""

    hook = "postfix"
    starttls = "smtp"


def test_the_walk(bed: Bed, record_property: Note) -> None:
    """A running postfix takes every step of the table."""
    bed.serve(Served(bed, Postfix))
    walk(bed, record_property)
