"""The walk that every shipped hook takes with its real server: one row of the table of servers."""

from collections.abc import Callable

from renewer.hooks import EXITS, HookVerdict
from renewer.model.decision import Result
from renewer.model.facts import Version
from tests.hooks import table
from tests.hooks.bed import Bed
from tests.servers.handshake import wait_until

Note = Callable[[str, object], None]
"""The type of the fixture `record_property`."""


def walk(bed: Bed, note: Note) -> None:
    """First deployment, renewal, broken pair, failing and hanging hook, stopped server, rollback."""
    first = _first_deploy(bed)
    _cell(bed, note, "first deploy")
    second = _renewal(bed)
    _cell(bed, note, "renewal seen")
    _broken_pair(bed, second)
    _cell(bed, note, "broken pair refused")
    third = _hook_breaks(bed, second, "fail", "failed at deploy")
    _cell(bed, note, "hook failing")
    fourth = _hook_breaks(bed, third, "hang", "did not end its deploy within")
    _cell(bed, note, "hook hanging")
    fifth = _server_down(bed)
    _cell(bed, note, "server down")
    _rollback(bed, fourth, fifth)
    _cell(bed, note, "rollback")
    assert len({version.id for version in (first, second, third, fourth, fifth)}) == 5


def _cell(bed: Bed, note: Note, column: str) -> None:
    note(table.PROPERTY, (bed.server.hook, column))


def _sees(bed: Bed, version: Version) -> None:
    """The port shows that version, and it is live."""
    wait_until(
        lambda: bed.served() == version.leaf.serial, what=f"{version.id} at the port (now {bed.served()})"
    )
    assert bed.live_id() == version.id


def _first_deploy(bed: Bed) -> Version:
    """The server runs on what stood there before; the first version is deployed and seen."""
    version = bed.put()
    report = bed.run()
    assert report.exit == 0, report.outcomes
    _sees(bed, version)
    return version


def _renewal(bed: Bed) -> Version:
    """A renewed certificate is tested, deployed and seen, and then there is nothing to do."""
    before = len(bed.calls)
    version = bed.put()
    report = bed.run()
    assert report.exit == 0, report.outcomes
    _sees(bed, version)
    assert bed.calls[before:] == ["test", "deploy"]
    assert bed.run().outcomes == ()
    return version


def _broken_pair(bed: Bed, serving: Version) -> None:
    """Our own check refuses a key that does not fit; where the server can tell, so does the hook's test."""
    before = len(bed.calls)
    broken = bed.put_broken()
    report = bed.run()
    assert "its key does not belong to its certificate" in report.findings[0]
    assert report.outcomes == ()
    assert bed.calls[before:] == []
    _sees(bed, serving)
    if bed.server.notices:
        with bed.forced(broken):
            assert EXITS.get(bed.call("test"), HookVerdict.FAILED) is HookVerdict.FAILED
        _sees(bed, serving)
    bed.remove(broken)
    assert bed.run().exit == 0


def _hook_breaks(bed: Bed, serving: Version, mode: str, sentence: str) -> Version:
    """Even if the server has loaded the new one, the old one is served again; mended, the new one is."""
    version = bed.put()
    if mode == "hang":
        _shorten(bed)
    bed.mode.write_text(mode)
    before = len(bed.calls)
    report = bed.run()
    assert report.exit == 1, report.outcomes
    assert sentence in report.outcomes[0].detail
    assert bed.calls[before:] == ["test", "deploy", "rollback"]
    _sees(bed, serving)
    bed.mode.unlink()
    bed.write_config()
    bed.age()
    report = bed.run()
    assert report.exit == 0, report.outcomes
    _sees(bed, version)
    return version


def _shorten(bed: Bed) -> None:
    """A hook that hangs need not be waited for as long as one that works."""
    text = bed.config.read_text()
    assert 'timeout = "10s"' in text
    bed.config.write_text(text.replace('timeout = "10s"', f'timeout = "{bed.patience}s"'))


def _server_down(bed: Bed) -> Version:
    """A stopped server is no failure: the new one is there when it starts, and the next run sees it."""
    bed.server.stop()
    version = bed.put()
    report = bed.run()
    assert (report.exit, report.outcomes[0].result) == (1, Result.WAITING), report.outcomes
    assert bed.live_id() == version.id
    bed.server.start()
    bed.age()
    report = bed.run()
    assert report.exit == 0, report.outcomes
    _sees(bed, version)
    return version


def _rollback(bed: Bed, before: Version, serving: Version) -> None:
    """`renewer rollback` brings the version before back to the port, and runs leave it there."""
    bed.cli("rollback", "www")
    _sees(bed, before)
    assert bed.run().exit == 0
    _sees(bed, before)
    bed.cli("deploy", "www")
    _sees(bed, serving)
