"""The hook vsftpd and a real vsftpd."""

from tests.hooks.bed import Bed
from tests.hooks.standing import Standing
from tests.hooks.walk import Note, walk
from tests.servers.vsftpd import Vsftpd


class Served(Standing):
    """A vsftpd."""

    hook = "vsftpd"
    starttls = "ftp"


def test_the_walk(bed: Bed, record_property: Note) -> None:
    """A running vsftpd takes every step of the table."""
    bed.serve(Served(bed, Vsftpd))
    walk(bed, record_property)
