"""The hook for Caddy, with real ones."""

from tests.hooks.bed import Bed
from tests.hooks.walk import Note, walk
from tests.hooks.web import Caddy


def test_the_walk(bed: Bed, record_property: Note) -> None:
    """A running Caddy takes every step of the table."""
    bed.serve(Caddy(bed))
    walk(bed, record_property)
