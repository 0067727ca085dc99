"""The hook redis and a real Redis."""

from tests.hooks.bed import Bed
from tests.hooks.standing import Standing
from tests.hooks.walk import Note, walk
from tests.servers.redis import Redis


class Served(Standing):
    """A Redis."""

    hook = "redis"


def test_the_walk(bed: Bed, record_property: Note) -> None:
    """A running Redis takes every step of the table."""
    bed.serve(Served(bed, Redis))
    walk(bed, record_property)
