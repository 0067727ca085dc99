"""A certificate of three names of which one stops validating: rather two at the end than none.

The full certificate lives for six days; then the authority is another: certificates live for ninety from now
on, and the account is forgotten, as when an authority loses its memory. The agent's clock is set forward.
"""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any, cast

import pytest

from renewer.model.decision import Reason, RunReport, Step
from renewer.model.names import Identifier
from tests.faults.conftest import HostFactory
from tests.faults.host import Host, authority, failed
from tests.servers.handshake import served_leaf
from tests.servers.pebble import Pebble, PebbleFactory

HOUR = timedelta(hours=1)
LIFE = timedelta(days=6)
NAMES = ["www.example.org", "b.example.org", "c.example.org"]
BROKEN = "c.example.org"


class Story:
    """The host, its authority, and when the full certificate ends."""

    def __init__(self, host: Host, pebble: Pebble) -> None:
        """Issue the full certificate; from then on the authority gives ninety days."""
        self.host, self.pebble = host, pebble
        self.port = host.ports["www"]
        assert self.run().exit == 0
        self.full = host.live()
        self.end = self.full.leaf.not_after
        pebble.kill()
        profiles: dict[str, dict[str, object]] = cast("Any", pebble._config["profiles"])
        profiles["mine"]["validityPeriod"] = 90 * 86400
        pebble.start()

    def run(self) -> RunReport:
        """One pass."""
        return self.host.run()

    def at(self, left: timedelta) -> RunReport:
        """A pass with so much of the full certificate left; the runs before it kept the timer's pace."""
        self.host.clock.reach(self.end - left - HOUR)
        self.run()
        self.host.clock.reach(self.end - left)
        return self.run()

    def served(self) -> set[str]:
        """The names of what is served at the port."""
        from cryptography import x509

        leaf = served_leaf(self.port.port, "www.example.org")
        found = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        return set(found.get_values_for_type(x509.DNSName))


@pytest.fixture
def story(pebble_factory: PebbleFactory, make_host: HostFactory) -> Iterator[Story]:
    """A host with a certificate of three names, and an authority of its own."""
    pebble = pebble_factory(profiles={"mine": LIFE})
    table: dict[str, Any] = {**authority(pebble), "profile": "mine"}
    host = make_host(pebble.http_port, {"pebble": table}, certificates={"www": {"names": NAMES}})
    with host.open_port("www"):
        yield Story(host, pebble)


def parts(host: Host) -> list[set[str]]:
    """The names of every version on disk, newest first."""
    return [{str(name) for name in version.leaf.names} for version in host.situation().versions]


def test_in_part_at_the_very_end_and_whole_again(story: Story) -> None:
    """Issued with little left, served at the end, marked everywhere, replaced when the name is well again."""
    host, pebble = story.host, story.pebble
    good = {*NAMES} - {BROKEN}
    host.web.broken.add(BROKEN)

    # With sixteen hours left: told, tried, and nothing else is ordered yet. (Pebble's window for six days is
    # two days wide, so it may be within the warning window or not.)
    mark = pebble.mark()
    report = story.at(16 * HOUR)
    assert report.exit in (1, 3)
    assert any(BROKEN in text for text in failed(report)) or BROKEN in str(host.status()["last_error"])
    assert pebble.certificates_issued(mark) == ()

    # With less than a tenth left, one for the others is issued; the full one still serves.
    report = story.at(10 * HOUR)
    assert report.exit == 3
    assert len(pebble.certificates_issued(mark)) == 1
    assert parts(host)[0] == good
    newest = host.situation().versions[0]
    assert newest.degraded
    assert host.live().id == story.full.id
    assert story.served() == {*NAMES}
    events = host.events()
    assert any(event.get("reason") == Reason.NAMES_FAIL for event in events)
    assert BROKEN in [event.get("without") for event in events if event["event"] == "ordered"]

    # With less than two wakes left it is made live, and says what it is.
    report = story.at(HOUR)
    assert report.exit == 3
    assert host.live().id == newest.id
    assert story.served() == good
    status = host.status()
    assert (status["degraded"], status["exit"], status["state"]) == (True, 3, "expiring")
    assert BROKEN in status["last_error"]
    assert len(pebble.certificates_issued(mark)) == 1

    # The full set is tried again on its own schedule: after 1, 3 and 6 hours (which are over), then daily.
    tried = [event["at"] for event in host.events() if event["event"] == "failed"]
    for _ in range(48):
        host.clock.forward(HOUR)
        report = story.run()
        assert report.exit == 3
    again = [event for event in host.events() if event["event"] == "failed"][len(tried) :]
    assert 1 <= len(again) <= 3
    assert len(pebble.certificates_issued(mark)) == 1
    assert story.served() == good

    # The name is well again: the full certificate is issued, and the mark goes.
    host.web.broken.clear()
    decision = host.decision()
    assert decision.step in (Step.WAIT, Step.ISSUE)
    report = host.run_when_due()
    assert (report.exit, failed(report)) == (0, [])
    assert story.served() == {*NAMES}
    status = host.status()
    assert (status["degraded"], status["exit"], status["healthy"]) == (False, 0, True)
    assert len(pebble.certificates_issued(mark)) == 2
    assert {Identifier.parse(name) for name in NAMES} == set(host.live().leaf.names)


def test_a_name_that_is_well_in_time_needs_no_part(story: Story) -> None:
    """What failed in the last day and is mended then is renewed whole; nothing in part was ordered."""
    host = story.host
    host.web.broken.add(BROKEN)
    assert story.at(16 * HOUR).exit in (1, 3)
    host.web.broken.clear()
    host.run_when_due()
    assert parts(host) == [{*NAMES}, {*NAMES}]
    assert (host.status()["healthy"], host.status()["degraded"]) == (True, False)


def test_all_names_failing_is_no_reason_for_a_part(story: Story) -> None:
    """Where nothing validates there is nothing to be issued in part: the full one serves to its end."""
    host = story.host
    host.web.broken.update(NAMES)
    mark = story.pebble.mark()
    assert story.at(5 * HOUR).exit == 3
    assert story.pebble.certificates_issued(mark) == ()
    assert story.served() == {*NAMES}
