"""Some names fail, on whatever side: a certificate for the others comes, and the full set is tried on."""

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any, cast

import pytest

from renewer.model.decision import Reason, Step
from renewer.model.facts import Version
from tests.faults.conftest import HostFactory
from tests.faults.host import Host, authority
from tests.servers.pebble import Pebble, PebbleFactory

HOUR = timedelta(hours=1)


def both(host: Host, bad: dict[str, Any]) -> None:
    """One certificate of two names, the second of which is proved in a way of its own."""
    host.certificates["www"] = {
        "names": ["good.example.org", "bad.example.org"],
        "challenges": {"bad.example.org": {"preflight": "off"} | bad if bad["type"] == "http-01" else bad},
    }
    host.write_config()


def issued(host: Host) -> list[Version]:
    """Every version but the placeholder."""
    return [one for one in host.situation().versions if not one.placeholder]


def names(host: Host) -> set[str]:
    """Those of what is live."""
    return {str(name) for name in host.live().leaf.names}


@pytest.mark.parametrize("pace", [HOUR, timedelta(minutes=5)])
def test_a_first_issue_with_a_name_that_the_authority_refuses(host: Host, pace: timedelta) -> None:
    """After the second failure and an hour the good name is served, marked degraded; bad is tried on."""
    host.certificates["www"] = {"names": ["good.example.org", "bad.example.org"]}
    host.write_config()
    host.web.broken.add("bad.example.org")
    assert host.run().exit in (1, 3)
    assert issued(host) == []
    started = host.clock.now()
    while not issued(host) and host.clock.now() - started < timedelta(days=1):
        host.clock.forward(pace)
        host.run()
    assert names(host) == {"good.example.org"}
    assert host.clock.now() - started <= timedelta(hours=2, minutes=30)
    assert host.clock.now() - started >= timedelta(minutes=50)
    status = host.status()
    assert (status["degraded"], status["healthy"]) == (True, False)
    host.web.broken.clear()
    for _ in range(30):
        host.clock.forward(HOUR)
        host.run()
        if names(host) != {"good.example.org"}:
            break
    assert host.status()["exit"] == 0
    assert names(host) == {"good.example.org", "bad.example.org"}
    assert not host.status()["degraded"]


@pytest.mark.parametrize(
    "bad",
    [
        lambda at: {"type": "http-01", "webroot": f"{at}/missing"},
        lambda at: {"type": "http-01", "script": [f"{at}/missing"]},
        lambda _at: {"type": "http-01", "listen": "192.0.2.7:80"},
        lambda at: {"type": "dns-01", "provider": "script", "options": {"run": f"{at}/missing"}},
        lambda _at: {
            "type": "dns-01",
            "provider": "rfc2136",
            "server": "127.0.0.1:1",
            "propagation": {"resolvers": ["127.0.0.1:1"]},
        },
    ],
    ids=["webroot", "script", "port", "provider", "DNS"],
)
def test_a_first_issue_with_a_name_that_cannot_be_proved_here(
    host: Host, tmp_path: Path, bad: Callable[[Path], dict[str, Any]]
) -> None:
    """Whatever the cause is on our own side: the failure carries the name, and the other is served."""
    both(host, bad(tmp_path))
    host.run()
    assert [name for name, _ in host.failure().identifiers] == ["bad.example.org"]
    host.clock.forward(2 * HOUR)
    host.run()
    host.clock.forward(timedelta(minutes=5))
    host.run()
    assert names(host) == {"good.example.org"}
    assert host.live().degraded


def test_not_before_the_second_failure_and_an_hour(host: Host, tmp_path: Path) -> None:
    """Twenty quick failures are no hour."""
    both(host, {"type": "http-01", "webroot": tmp_path / "missing"})
    for _ in range(5):
        host.run()
        host.clock.forward(timedelta(minutes=10))
    assert issued(host) == []


def test_of_no_name_there_is_no_certificate(host: Host, pebble: Pebble, tmp_path: Path) -> None:
    """If all fail, nothing is ordered however long it lasts."""
    mark = pebble.mark()
    host.certificates["www"] = {
        "names": ["a.example.org", "b.example.org"],
        "challenge": {"type": "http-01", "webroot": tmp_path / "missing"},
    }
    host.write_config()
    for _ in range(5):
        host.run()
        host.clock.forward(timedelta(hours=5))
    assert (pebble.orders_created(mark), issued(host)) == (0, [])
    assert host.decision().reason is Reason.ABSENT


def test_six_days_and_a_webroot_that_was_removed(
    pebble_factory: PebbleFactory, make_host: HostFactory, tmp_path: Path
) -> None:
    """Hourly runs from the moment it is due: in part in time, nothing expires, and no order in vain."""
    pebble = pebble_factory(profiles={"mine": timedelta(days=6)})
    table: dict[str, Any] = {**authority(pebble), "profile": "mine"}
    host = make_host(pebble.http_port, {"pebble": table})
    second = tmp_path / "second"
    second.symlink_to(host.web.webroot)
    both(host, {"type": "http-01", "webroot": second})
    assert host.run().exit == 0
    full = host.live()
    pebble.kill()  # its clock is the real one: what it issues from now on must live longer
    profiles: dict[str, dict[str, object]] = cast("Any", pebble._config["profiles"])
    profiles["mine"]["validityPeriod"] = 90 * 86400
    pebble.start()
    second.unlink()
    host.clock.reach(full.leaf.not_before + 120 * HOUR)
    mark = pebble.mark()
    while host.clock.now() < full.leaf.not_after + 3 * HOUR:
        host.run()
        assert host.live().leaf.not_after > host.clock.now()
        host.clock.forward(HOUR)
    assert names(host) == {"good.example.org"}
    assert pebble.orders_created(mark) == 1
    second.symlink_to(host.web.webroot)
    assert host.decision().step is Step.ISSUE
    assert host.run().exit == 0
    assert names(host) == {"good.example.org", "bad.example.org"}
