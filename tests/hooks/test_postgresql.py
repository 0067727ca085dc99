"""The hook postgresql and a real PostgreSQL."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from renewer.hooks import HookVerdict
from renewer.model.desired import HookEvent
from tests.hooks.alone import DEPLOY, ROLLBACK, TEST
from tests.hooks.bed import Bed
from tests.hooks.laid import Laid, laid
from tests.hooks.standing import Standing
from tests.hooks.walk import Note, walk
from tests.servers.postgresql import USER, Postgresql


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


@pytest.fixture
def stand(place: Path) -> Iterator[Laid[Postgresql]]:
    """A PostgreSQL, not yet started, and its copies."""
    with laid(place, "postgresql", Postgresql, starttls="postgresql", owner=USER) as stand:
        yield stand


def test_its_own_rules_for_keys_are_known_before(stand: Laid[Postgresql]) -> None:
    """A key that others may read, or that its user may not, fails the test; PostgreSQL would only log it."""
    stand.server.start()
    for mode, owner, sentence in (
        (0o644, USER, "must be its user's with mode 0600, or root's with 0640"),
        (0o640, USER, "must be its user's with mode 0600, or root's with 0640"),
        (0o600, "root", "its user cannot read"),
    ):
        stand.owner = owner
        stand.lay(mode=mode)
        result = stand.call(TEST)
        assert (result.verdict, result.code) == (HookVerdict.FAILED, 1)
        assert sentence in (result.error or "")
    stand.server.key.chmod(0o640)  # root's, and its group's to read
    shutil.chown(stand.server.key, "root", USER)
    result = stand.call(TEST)
    assert (result.verdict, result.error) == (HookVerdict.DONE, None)


def test_what_it_refuses_silently_is_a_failure(stand: Laid[Postgresql], tmp_path: Path) -> None:
    """A pair that it only logs and does not load fails `deploy`; the old one is served."""
    before = stand.lay()
    stand.server.start()
    stand.lay()
    stand.break_it()

    (tmp_path / "sleep").symlink_to("/bin/true")  # it looks twenty times
    result = stand.call(DEPLOY, PATH=f"{tmp_path}:/usr/sbin:/usr/bin:/bin")

    assert (result.verdict, result.code) == (HookVerdict.FAILED, 1)
    assert "shows another certificate than" in (result.error or "")
    assert "key values mismatch" in (result.error or "")
    assert "key values mismatch" in stand.server.log.read_text()
    assert stand.served == before


def test_its_log_may_be_a_collectors(stand: Laid[Postgresql], tmp_path: Path) -> None:
    """Where it keeps its log itself, why it refused is read there; what is no certificate is no success."""
    stand.server.settings |= {"logging_collector": "on", "log_statement": "all", "log_filename": "own.log"}
    before = stand.lay()
    stand.server.start()
    (stand.tls / "fullchain.pem").write_text("no certificate\n")

    (tmp_path / "sleep").symlink_to("/bin/true")
    result = stand.call(DEPLOY, PATH=f"{tmp_path}:/usr/sbin:/usr/bin:/bin")

    assert (result.verdict, result.code) == (HookVerdict.FAILED, 1)
    assert "could not load server certificate file" in (result.error or "")
    assert "could not load server certificate file" in (stand.server.data / "log/own.log").read_text()
    assert stand.served == before


@pytest.mark.parametrize("event", [TEST, DEPLOY])
@pytest.mark.parametrize(
    ("added", "said"),
    [
        ("ssl on off", "syntax error in file"),
        ("ssl_cret_file = 'x'", 'unrecognized configuration parameter "ssl_cret_file"'),
        ("ssl_min_protocol_version = 'TLSv9'", 'invalid value for parameter "ssl_min_protocol_version"'),
        ("max_connections = 'many'", 'invalid value for parameter "max_connections"'),
        ("max_connections = 0", "is outside the valid range"),
        ("include 'missing.conf'", "missing.conf"),
    ],
    ids=["syntax", "unknown", "value", "text", "number", "include"],
)
def test_why_it_refuses_its_configuration(
    stand: Laid[Postgresql], added: str, said: str, event: HookEvent
) -> None:
    """PostgreSQL's own line that says why is the one that is shown, not the sum of it."""
    before = stand.lay()
    stand.server.start()
    stand.lay()
    with stand.server.config.open("a") as config:
        config.write(f"{added}\n")

    result = stand.call(event)

    assert (result.verdict, result.code) == (HookVerdict.FAILED, 1)
    assert said in (result.error or "")
    assert stand.served == before


def test_why_it_cannot_be_asked(stand: Laid[Postgresql]) -> None:
    """A configuration that is gone is named, with what the system said of it."""
    stand.server.start()
    stand.server.config.unlink()

    result = stand.call(TEST)

    assert (result.verdict, result.code) == (HookVerdict.FAILED, 1)
    assert str(stand.server.config) in (result.error or "")
    assert "No such file or directory" in (result.error or "")


@pytest.mark.parametrize("event", [TEST, DEPLOY, ROLLBACK])
def test_not_running_is_later(stand: Laid[Postgresql], event: HookEvent) -> None:
    """Whatever a stopped server left as its pid file, and whoever has its number: 75."""
    stand.server.data.mkdir(parents=True)
    for left in (None, "", "999999999\n", f"{os.getpid()}\n", "pid 1\n", "-1\n"):
        if left is not None:
            (stand.server.data / "postmaster.pid").write_text(left)
        result = stand.call(event)
        assert (result.verdict, result.code) == (HookVerdict.LATER, 75), left
        assert "PostgreSQL is not running" in (result.error or "")


def test_without_tls_there_is_nothing_to_load(stand: Laid[Postgresql]) -> None:
    """A cluster with ssl = off is passed over, whatever lies in its files."""
    stand.server.settings["ssl"] = "off"
    stand.server.start()
    stand.break_it()

    assert stand.call(TEST).verdict is HookVerdict.DONE
    assert stand.call(DEPLOY).verdict is HookVerdict.DONE
