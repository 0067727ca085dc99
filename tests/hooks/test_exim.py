"""The hook exim and a real exim."""

from tests.hooks.bed import Bed
from tests.hooks.standing import Standing
from tests.hooks.walk import Note, walk
from tests.servers.exim import Exim


class Served(Standing):
    """A exim."""

    hook = "exim"
    starttls = "smtp"
    owner = "Debian-exim"


def test_the_walk(bed: Bed, record_property: Note) -> None:
    """A running exim takes every step of the table."""
    bed.serve(Served(bed, Exim))
    walk(bed, record_property)
