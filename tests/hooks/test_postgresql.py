"""The hook postgresql and a real PostgreSQL."""

from tests.hooks.bed import Bed
from tests.hooks.standing import Standing
from tests.hooks.walk import Note, walk
from tests.servers.postgresql import Postgresql


class Served(Standing):
    """A PostgreSQL."""

    hook = "postgresql"
    starttls = "postgresql"
    owner = "postgres"
    mode = "0600"  # it refuses more


def test_the_walk(bed: Bed, record_property: Note) -> None:
    """A running PostgreSQL takes every step of the table."""
    bed.serve(Served(bed, Postgresql))
    walk(bed, record_property)
