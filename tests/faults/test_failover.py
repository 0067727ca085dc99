"""Several authorities: the next one when the first refuses, the first again later; and with none at all."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from renewer.model.decision import Result, Step
from renewer.model.facts import EndpointState
from tests.faults.conftest import HostFactory
from tests.faults.host import Host, authority, failed
from tests.servers import faultproxy as faults
from tests.servers.faultproxy import FaultProxy
from tests.servers.handshake import served_serial
from tests.servers.pebble import Pebble, PebbleFactory

DAY = timedelta(days=1)


@pytest.fixture
def second(pebble: Pebble, pebble_factory: PebbleFactory) -> Pebble:
    """Another authority, that validates at the same port."""
    return pebble_factory(http_port=pebble.http_port)


@pytest.fixture
def two(host: Host, second: Pebble) -> Host:
    """A host that asks Pebble through the proxy first, and then the second authority."""
    host.authorities["second"] = authority(second)
    host.write_config()
    return host


def accounts(server: Pebble, mark: int) -> int:
    """How often somebody asked for an account."""
    return sum(one.path == faults.NEW_ACCOUNT for one in server.requests(mark))


def test_the_second_is_asked_after_three_failures(
    two: Host, proxy: FaultProxy, pebble: Pebble, second: Pebble
) -> None:
    """On the ladder the first is asked three times; then the second, where an account is made on demand."""
    mark, there = second.mark(), pebble.mark()
    proxy.inject(faults.Answer(500), path=faults.NEW_ORDER, times=None)
    for count in (1, 2, 3):
        report = two.run_when_due()
        assert {outcome.result for outcome in report.outcomes} <= {Result.FAILED, Result.DONE}
        if count < 3:
            assert (report.exit, two.failure().count, second.requests(mark)) == (1, count, ())
    if report.exit:
        report = two.run_when_due()
    assert report.exit == 0
    assert (two.live().authority, accounts(second, mark) > 0) == ("second", True)
    assert len(proxy.requests(faults.NEW_ORDER)) == 3
    assert (len(second.certificates_issued(mark)), len(pebble.certificates_issued(there))) == (1, 0)
    assert two.leftovers() == []

    # The next regular renewal begins with the first again.
    proxy.clear()
    two.clock.forward(61 * DAY)
    report = two.run()
    assert failed(report) == []
    assert two.live().authority == "pebble"
    assert len(second.certificates_issued(mark)) == 1


def test_a_final_refusal_needs_no_three(two: Host, proxy: FaultProxy) -> None:
    """What the first refuses for good is the second's at once, in the same run."""
    proxy.inject(faults.problem("rejectedIdentifier", 403, "no"), path=faults.NEW_ORDER, times=None)
    report = two.run()
    assert report.exit == 0
    assert two.live().authority == "second"


def test_in_an_emergency_the_second_is_asked_at_once(two: Host, proxy: FaultProxy) -> None:
    """A day before the end one failure is enough: the same run asks everybody."""
    two.run()
    two.clock.forward(89 * DAY)
    proxy.inject(faults.Answer(500), path=faults.NEW_ORDER, times=None)
    report = two.run()
    assert [(one.step, one.result) for one in report.outcomes][:2] == [
        (Step.ISSUE, Result.FAILED),
        (Step.ISSUE, Result.DONE),
    ]
    assert two.live().authority == "second"


def test_what_is_installed_does_not_depend_on_any_authority(
    pebble_factory: PebbleFactory, make_host: HostFactory, tmp_path: Path
) -> None:
    """Both authorities are gone, the certificate is due: the deployment is finished, ports are looked at."""
    first = pebble_factory()
    second = pebble_factory(http_port=first.http_port)
    tables: dict[str, dict[str, Any]] = {"first": authority(first), "second": authority(second)}
    host = make_host(first.http_port, tables)
    with host.open_port("www") as port:
        hook = tmp_path / "hook.sh"
        hook.write_text(f"#!/bin/sh\n[ -e {tmp_path}/mended ] || exit 1\necho $1 >> {tmp_path}/calls\n")
        hook.chmod(0o755)
        host.hooks["mine"] = {"run": hook}
        host.certificates["www"]["hooks"] = ["mine"]
        host.write_config()
        assert host.run().exit != 0  # issued, and the hook failed
        (deployment,) = host.situation().deployments
        assert deployment.failures == 1
        serial = host.situation().versions[0].leaf.serial

        first.kill()
        second.kill()
        (tmp_path / "mended").touch()
        host.clock.forward(61 * DAY)
        report = host.run()
        results = {(one.step, one.result) for one in report.outcomes}
        assert (Step.DEPLOY, Result.DONE) in results
        assert (Step.LOOK, Result.DONE) in results
        assert (Step.ISSUE, Result.FAILED) in results
        assert report.ended_at - report.at < timedelta(seconds=10)
        assert (tmp_path / "calls").read_text().split() == ["deploy"]
        assert served_serial(port.port, "www.example.org") == serial.lstrip("0")
        (seen,) = host.situation().sightings
        assert seen.state is EndpointState.VERIFIED

        # An hour later only ports are looked at: the authorities are left to their backoff.
        before = seen.at
        host.clock.forward(timedelta(hours=1, minutes=1))
        host.run()
        (seen,) = host.situation().sightings
        assert seen.at > before
        assert seen.state is EndpointState.VERIFIED
