"""The hook vsftpd and a real vsftpd."""

from pathlib import Path

from renewer.hooks import Verdict
from tests.hooks.alone import DEPLOY, ROLLBACK, TEST, Shelf
from tests.hooks.bed import NAME, Bed
from tests.hooks.standing import Standing
from tests.hooks.walk import Note, walk
from tests.servers.certificates import ServerRoot
from tests.servers.vsftpd import Vsftpd


class Served(Standing):
    """A vsftpd."""

    hook = "vsftpd"
    starttls = "ftp"


def test_the_walk(bed: Bed, record_property: Note) -> None:
    """A running vsftpd takes every step of the table."""
    bed.serve(Served(bed, Vsftpd))
    walk(bed, record_property)


def test_started_for_each_session(place: Path) -> None:
    """Without `listen` there is no process and nothing to do, but the pair is judged all the same."""
    root = ServerRoot()
    good, other = (root.issue(place, NAME, stem=stem) for stem in ("good", "other"))
    shelf = Shelf(place)
    shelf.put()
    vsftpd = Vsftpd(place, good.cert, good.key)
    vsftpd.configure()
    vsftpd.config.write_text(vsftpd.config.read_text().replace("listen=YES", "listen=NO"))
    for event in (TEST, DEPLOY, ROLLBACK):
        assert shelf.call("vsftpd", event, **vsftpd.env).verdict is Verdict.DONE
    good.key.write_bytes(other.key.read_bytes())
    assert shelf.call("vsftpd", TEST, **vsftpd.env).verdict is Verdict.FAILED
    assert vsftpd.listeners() == []
