"""The hook dovecot and a real dovecot."""

from pathlib import Path

from renewer.hooks import Verdict
from tests.hooks.alone import TEST, Shelf
from tests.hooks.bed import NAME, Bed
from tests.hooks.standing import Standing
from tests.hooks.walk import Note, walk
from tests.servers.certificates import ServerRoot
from tests.servers.dovecot import Dovecot


class Served(Standing):
    """A dovecot."""

    hook = "dovecot"
    starttls = "imap"


def test_the_walk(bed: Bed, record_property: Note) -> None:
    """A running dovecot takes every step of the table."""
    bed.serve(Served(bed, Dovecot))
    walk(bed, record_property)


def test_the_pair_of_one_name_is_looked_at_too(place: Path) -> None:
    """A key that does not fit in a local_name block is refused; a block with a certificate alone is not."""
    root = ServerRoot()
    good, other = (root.issue(place, NAME, stem=stem) for stem in ("good", "other"))
    dovecot = Dovecot(place / "server", good.cert, good.key)
    shelf = Shelf(place)
    shelf.put()
    with dovecot:
        for key, verdict in ((good.key, Verdict.DONE), (other.key, Verdict.FAILED), (None, Verdict.DONE)):
            lines = f"ssl_cert = <{good.cert}\n" + (f"ssl_key = <{key}\n" if key else "")
            dovecot.extra = f"local_name {NAME} {{\n{lines}}}\n"
            dovecot.configure()
            assert shelf.call("dovecot", TEST, **dovecot.env).verdict is verdict


def test_a_config_with_a_fault_is_refused(place: Path) -> None:
    """What dovecot would not read at a reload, `test` refuses in dovecot's words."""
    pair = ServerRoot().issue(place, NAME)
    shelf = Shelf(place)
    shelf.put()
    with Dovecot(place / "server", pair.cert, pair.key) as dovecot:
        dovecot.config.write_text(dovecot.config.read_text() + "nonsense = yes\n")
        result = shelf.call("dovecot", TEST, **dovecot.env)
    assert result.verdict is Verdict.FAILED
    assert "Unknown setting: nonsense" in (result.error or "")
