"""The hook for Lighttpd, with real ones."""

from tests.hooks.bed import Bed
from tests.hooks.walk import Note, walk
from tests.hooks.web import Lighttpd


def test_the_walk(bed: Bed, record_property: Note) -> None:
    """A running Lighttpd takes every step of the table."""
    bed.serve(Lighttpd(bed))
    walk(bed, record_property)
