"""The hook postfix and a real postfix."""

from pathlib import Path

import pytest

from renewer.hooks import Verdict
from tests.hooks.alone import TEST, Shelf
from tests.hooks.bed import NAME, Bed
from tests.hooks.standing import Standing
from tests.hooks.walk import Note, walk
from tests.servers.certificates import ServerRoot
from tests.servers.postfix import Postfix


class Served(Standing):
    """A postfix."""

    hook = "postfix"
    starttls = "smtp"


def test_the_walk(bed: Bed, record_property: Note) -> None:
    """A running postfix takes every step of the table."""
    bed.serve(Served(bed, Postfix))
    walk(bed, record_property)


class OldStyle(Postfix):
    """As before postfix 3.4: a certificate and a key by names of their own."""

    def settings(self) -> str:
        """What main.cf has on certificates."""
        return f"smtpd_tls_cert_file = {self.cert}\nsmtpd_tls_key_file = {self.key}\n"


class OneFile(Postfix):
    """One file with key and chain."""

    def settings(self) -> str:
        """What main.cf has on certificates."""
        both = self.directory / "both.pem"
        both.write_bytes(self.key.read_bytes() + self.cert.read_bytes())
        return f"smtpd_tls_chain_files = {both}\n"


@pytest.mark.parametrize("kind", [OldStyle, OneFile])
def test_other_ways_to_name_the_pair(place: Path, kind: type[Postfix]) -> None:
    """The pair is found and judged in each form that main.cf has for it."""
    root = ServerRoot()
    good, other = (root.issue(place, NAME, stem=stem) for stem in ("good", "other"))
    shelf = Shelf(place)
    shelf.put()
    with kind(place / "server", good.cert, good.key) as postfix:
        assert shelf.call("postfix", TEST, **postfix.env).verdict is Verdict.DONE
        postfix.key = other.key
        postfix.configure()
        result = shelf.call("postfix", TEST, **postfix.env)
    assert result.verdict is Verdict.FAILED
    assert "is not the key of" in (result.error or "")
