"""The hook prosody and a real prosody."""

from tests.hooks.bed import Bed
from tests.hooks.standing import Standing
from tests.hooks.walk import Note, walk
from tests.servers.prosody import Prosody


class Served(Standing):
    """A prosody."""

    hook = "prosody"
    starttls = "xmpp"
    owner = "prosody"


def test_the_walk(bed: Bed, record_property: Note) -> None:
    """A running prosody takes every step of the table."""
    bed.serve(Served(bed, Prosody))
    walk(bed, record_property)
