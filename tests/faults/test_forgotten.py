"""A state that is lost at every start, as in a container without a volume: said, before a limit is met."""

import shutil
from pathlib import Path

import pytest

from tests.faults.host import Host, failed
from tests.servers.bendable import Bendable
from tests.servers.bends import Call

ACCOUNTS, LOST = "authorities", "nothing in"


def forget(host: Host) -> None:
    """All but the account."""
    for path in host.state.iterdir():
        if path.name != ACCOUNTS:
            shutil.rmtree(path) if path.is_dir() else path.unlink()


def told(host: Host) -> list[str]:
    """What the renewal log says of it."""
    return [event["text"] for event in host.events() if LOST in event.get("text", "")]


@pytest.mark.parametrize("known_by", ["authorizations that are valid still", "the list of orders"])
def test_a_host_that_forgets_hears_of_it(bent_host: Host, bent: Bendable, known_by: str) -> None:
    """The second start says that these names were ordered within days, and what to do."""
    bent.reuse_authorizations = known_by.startswith("auth")
    bent.lists_orders = not bent.reuse_authorizations
    assert bent_host.run().exit == 0
    assert told(bent_host) == []
    forget(bent_host)
    report = bent_host.run()
    assert (report.exit, failed(report), bent.count(Call.NEW_ORDER)) == (0, [], 2)
    (text,) = told(bent_host)
    assert str(bent_host.state) in text
    assert any("a volume" in outcome.hint for outcome in report.outcomes)


def test_a_host_that_remembers_hears_nothing(bent_host: Host, bent: Bendable) -> None:
    """Nor does one whose account is new, or whose names were proved for another of its certificates."""
    bent.reuse_authorizations = bent.lists_orders = True
    bent_host.run()
    bent_host.run(force=True)
    bent_host.certificates["other"] = {"names": ["other.example.org", "www.example.org"]}
    bent_host.write_config()
    bent_host.run()
    forget(bent_host)
    shutil.rmtree(bent_host.state / ACCOUNTS)
    assert bent_host.run().exit == 0
    log = Path(bent_host.state / "renewal.log").read_text()
    assert LOST not in log
    assert bent.count(Call.NEW_ORDER) == 5


def test_what_it_ordered_long_ago_is_no_matter(bent_host: Host, bent: Bendable) -> None:
    """An order whose own time is over says nothing of this week."""
    bent.lists_orders = True
    bent_host.run()
    forget(bent_host)
    bent_host.clock.forward(bent.order_life * 2)
    assert bent_host.run().exit == 0
    assert told(bent_host) == []
