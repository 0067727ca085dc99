"""The hook mariadb and a real MariaDB."""

from tests.hooks.bed import Bed
from tests.hooks.standing import Standing
from tests.hooks.walk import Note, walk
from tests.servers.mariadb import Mariadb


class Served(Standing):
    """A MariaDB."""

    hook = "mariadb"
    starttls = "mysql"
    owner = "mysql"


def test_the_walk(bed: Bed, record_property: Note) -> None:
    """A running MariaDB takes every step of the table."""
    bed.serve(Served(bed, Mariadb))
    walk(bed, record_property)
