"""The hook for Apache, with real ones."""

from tests.hooks.bed import Bed
from tests.hooks.walk import Note, walk
from tests.hooks.web import Apache


def test_the_walk(bed: Bed, record_property: Note) -> None:
    """A running Apache takes every step of the table."""
    bed.serve(Apache(bed))
    walk(bed, record_property)
