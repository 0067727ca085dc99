"""The hook unbound and a real Unbound."""


from tests.hooks.bed import Bed
from tests.hooks.standing import Standing
from tests.hooks.walk import Note, walk
from tests.servers.unbound import Unbound


class Served(Standing):
    """An Unbound."""

    hook = "unbound"


def test_the_walk(bed: Bed, record_property: Note) -> None:
    """A running Unbound takes every step of the table."""
    bed.serve(Served(bed, Unbound))
    walk(bed, record_property)
