"""The hook prosody and a real prosody."""

import shutil
from pathlib import Path

from renewer.hooks import HookVerdict
from tests.hooks.alone import TEST, Shelf
from tests.hooks.bed import NAME, Bed
from tests.hooks.standing import Standing
from tests.hooks.walk import Note, walk
from tests.servers.certificates import ServerRoot
from tests.servers.prosody import USER, Prosody


class Served(Standing):
    """A prosody."""

    hook = "prosody"
    starttls = "xmpp"
    owner = "prosody"


def test_the_walk(bed: Bed, record_property: Note) -> None:
    """A running prosody takes every step of the table."""
    bed.serve(Served(bed, Prosody))
    walk(bed, record_property)


def test_a_key_that_prosody_may_not_read_is_refused(place: Path) -> None:
    """The check is made as prosody's user: root alone could read this key, and TLS would be gone."""
    pair = ServerRoot().issue(place, NAME)
    shutil.chown(pair.key, USER)
    shelf = Shelf(place)
    shelf.put()
    with Prosody(place / "server", pair.cert, pair.key) as prosody:
        assert shelf.call("prosody", TEST, **prosody.env).verdict is HookVerdict.DONE
        shutil.chown(pair.key, "root")
        result = shelf.call("prosody", TEST, **prosody.env)
    assert result.verdict is HookVerdict.FAILED
    assert "error" in (result.error or "").lower()


def test_a_host_without_a_certificate_is_no_reason(place: Path) -> None:
    """What `check certs` says of other hosts than those with a pair does not hold up a deployment."""
    pair = ServerRoot().issue(place, NAME)
    shutil.chown(pair.key, USER)
    shelf = Shelf(place)
    shelf.put()
    with Prosody(place / "server", pair.cert, pair.key) as prosody:
        prosody.config.write_text(prosody.config.read_text() + 'VirtualHost "bare.example.org"\n')
        result = shelf.call("prosody", TEST, **prosody.env)
    assert (result.verdict, result.error) == (HookVerdict.DONE, None), result.output
