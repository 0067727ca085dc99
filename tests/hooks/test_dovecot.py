"""The hook dovecot and a real dovecot."""

from tests.hooks.bed import Bed
from tests.hooks.standing import Standing
from tests.hooks.walk import Note, walk
from tests.servers.dovecot import Dovecot


class Served(Standing):
    """A dovecot."""

    hook = "dovecot"
    starttls = "imap"


def test_the_walk(bed: Bed, record_property: Note) -> None:
    """A running dovecot takes every step of the table."""
    bed.serve(Served(bed, Dovecot))
    walk(bed, record_property)
