"""Our clock against the authorities': by a wrong one nothing is ordered, and no certificate is blamed."""

import json
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest

from renewer import clock
from renewer.model.decision import Result, RunReport
from renewer.model.facts import Failure, Order, Ordered, RunRecord
from tests.faults.conftest import HostFactory
from tests.faults.host import Clock, Host, authority
from tests.servers import bends
from tests.servers.bendable import Bendable, BendableFactory
from tests.servers.bends import Call
from tests.servers.ports import free_port

DAY, HOUR = timedelta(days=1), timedelta(hours=1)


class Kernel:
    """What it says of the host's clock."""

    def __init__(self) -> None:
        self.says: bool | None = True

    def synchronised(self) -> bool | None:
        """In place of the system's."""
        return self.says


@pytest.fixture
def kernel(monkeypatch: pytest.MonkeyPatch, agents_clock: Clock) -> Kernel:
    """One that says that all is well, unless told otherwise; what is added to the host's clock is a fault."""
    ours = Kernel()
    agents_clock.wrong = True
    monkeypatch.setattr(clock, "synchronised", ours.synchronised)
    return ours


@pytest.fixture
def one(make_host: HostFactory, bendable: BendableFactory, kernel: Kernel) -> tuple[Host, Bendable]:
    """A host with a certificate from an authority that has the real time."""
    assert kernel.says
    first = bendable()
    return make_host(free_port(), {"first": authority(first)}), first


@pytest.fixture
def two(one: tuple[Host, Bendable], bendable: BendableFactory) -> tuple[Host, Bendable, Bendable]:
    """The same with a second authority to fall back to."""
    host, first = one
    second = bendable()
    host.authorities["second"] = authority(second)
    host.write_config()
    return host, first, second


def dated(server: Bendable, by: timedelta) -> None:
    """Let its clock be wrong by so much."""
    server.mend()
    if by:
        date = format_datetime(datetime.now(UTC) + by, usegmt=True)
        server.bend((), bends.dated(date))


def orders(*servers: Bendable) -> list[int]:
    """How many orders each was asked for."""
    return [server.count(Call.NEW_ORDER) for server in servers]


def records(host: Host) -> list[Any]:
    """What must not be left of an order that was not made."""
    with host.context(write=False) as context:
        left = [*context.ledger.load(Failure), *context.ledger.load(Order), *context.ledger.load(Ordered)]
    return [*left, *host.state.glob("certificates/*/pending/*")]


def told(report: RunReport) -> str:
    """All that a run says."""
    return json.dumps([*report.findings, *[f"{one.detail} {one.hint}" for one in report.outcomes]])


@pytest.mark.parametrize("ahead", [200 * DAY, -200 * DAY])
def test_a_wrong_clock_orders_nothing(one: tuple[Host, Bendable], kernel: Kernel, ahead: timedelta) -> None:
    """No order, no failure, exit 3 and what to type; it ends by itself when the clock is right."""
    host, first = one
    kernel.says = False
    host.clock.ahead = ahead
    if ahead < timedelta(0):  # no finding of an earlier run, nor of this program's age
        host.clock.ahead = -3 * DAY
    report = host.run()
    assert (report.exit, orders(first), records(host)) == (3, [0], [])
    assert {outcome.result for outcome in report.outcomes} == {Result.WAITING}
    assert ("ahead of first" if ahead > timedelta(0) else "behind first") in told(report)
    assert "nothing is ordered until they agree" in report.findings[0]
    assert "timedatectl" in told(report)
    assert f"date -u -s '{datetime.now(UTC):%Y-%m-%d %H}" in told(report)
    host.clock.ahead = timedelta(0)
    assert host.run().exit == 0
    assert orders(first) == [1]


def test_a_clock_that_jumped_blames_no_certificate(one: tuple[Host, Bendable], kernel: Kernel) -> None:
    """200 days ahead the live one seems to have ended: nothing is left of it when the clock is back."""
    host, first = one
    assert host.run().exit == 0
    before, known = host.live().id, records(host)
    kernel.says = False
    host.clock.ahead = 200 * DAY
    for arguments in ({}, {"force": True}, {"asked": True, "only": frozenset({"www"})}):
        assert host.run(**arguments).exit == 3
        host.clock.forward(HOUR)
    host.clock.ahead = timedelta(0)
    report = host.run()
    assert (report.exit, orders(first), records(host), host.live().id) == (0, [1], known, before)
    assert host.status()["failures"] == 0


def test_status_says_it_until_the_next_run(one: tuple[Host, Bendable], kernel: Kernel) -> None:
    """What only a run can find is remembered with it."""
    host, _ = one
    kernel.says = False
    host.clock.ahead = 200 * DAY
    host.run()
    with host.context(write=False) as context:
        (run,) = context.ledger.load(RunRecord)
    assert "nothing is ordered" in run.unwell[0]


def test_two_that_agree_are_right(two: tuple[Host, Bendable, Bendable]) -> None:
    """Whatever the kernel says of our clock."""
    host, first, second = two
    host.clock.ahead = 3 * DAY
    report = host.run()
    assert (report.exit, orders(first, second), records(host)) == (3, [0, 0], [])
    assert "ahead of first's" in report.findings[0]
    assert "ahead of second's" in report.findings[0]


def test_one_that_is_odd_is_passed_over(two: tuple[Host, Bendable, Bendable]) -> None:
    """The next has its turn in the same run; nothing is held against the odd one, which is asked again."""
    host, first, second = two
    dated(first, 300 * DAY)
    report = host.run()
    assert (report.exit, orders(first, second)) == (0, [0, 1])
    assert host.live().authority == "second"
    assert "first is passed over in this run" in told(report)
    with host.context(write=False) as context:
        assert context.ledger.load(Failure) == []
    dated(first, timedelta(0))
    assert host.run(force=True).exit == 0
    assert (orders(first, second), host.live().authority) == ([1, 1], "first")


def test_a_forced_order_goes_to_the_next_as_well(two: tuple[Host, Bendable, Bendable]) -> None:
    """That nothing is due does not end it when the first is passed over."""
    host, first, second = two
    assert host.run().exit == 0
    dated(first, -300 * DAY)
    assert host.run(force=True).exit == 0
    assert (orders(first, second), host.live().authority) == ([1, 1], "second")


def test_the_only_one_is_waited_for(one: tuple[Host, Bendable]) -> None:
    """Told, exit 1, no failure; ordered as soon as its clock is right."""
    host, first = one
    dated(first, 300 * DAY)
    report = host.run()
    assert (report.exit, orders(first), records(host)) == (1, [0], [])
    assert len(report.outcomes) == 1
    assert "first is passed over in this run" in report.outcomes[0].detail
    assert report.outcomes[0].next_attempt is not None
    dated(first, timedelta(0))
    assert host.run().exit == 0


def test_an_open_order_waits_too(two: tuple[Host, Bendable, Bendable]) -> None:
    """It is not taken up by a wrong clock; at an odd authority another one has its turn."""
    host, first, second = two
    first.bend(Call.FINALIZE, lambda _: bends.Answer(500))
    first.bend(Call.ORDER_POLL, lambda _: bends.Answer(500))
    assert host.run().exit == 1
    host.clock.forward(2 * DAY)
    assert (host.run().exit, orders(first, second)) == (3, [1, 0])
    host.clock.ahead = timedelta(0)
    dated(first, 300 * DAY)
    assert host.run(asked=True, only=frozenset({"www"})).exit == 0
    assert (orders(first, second), host.live().authority) == ([1, 1], "second")


@pytest.mark.parametrize(
    ("by", "profile", "ordered"), [(20, "default", 1), (20, "short", 0), (-30, "default", 0)]
)
def test_how_much_is_tolerated(one: tuple[Host, Bendable], by: int, profile: str, ordered: int) -> None:
    """A day, or a tenth of a short lifetime: as much does no harm."""
    host, first = one
    host.authorities["first"]["profile"] = profile
    host.write_config()
    assert host.run().exit == 0
    dated(first, by * HOUR)
    host.run(force=True)
    assert orders(first) == [1 + ordered]


def test_what_caches_hand_out_says_nothing(one: tuple[Host, Bendable]) -> None:
    """A directory with an old Date, and an authority without any."""
    host, first = one
    first.bend(Call.DIRECTORY, bends.dated("Mon, 01 Jan 2024 00:00:00 GMT"))
    assert host.run().exit == 0
    first.mend()
    first.bend((), bends.dated(""))
    assert host.run(force=True).exit == 0
    assert orders(first) == [2]


@pytest.mark.parametrize(("synchronised", "code"), [(True, 1), (False, 3)])
@pytest.mark.parametrize("start", [-100 * DAY, 50 * DAY], ids=["expired", "not-yet-valid"])
def test_tls_out_of_its_time_is_no_failure_of_the_certificate(
    one: tuple[Host, Bendable],
    kernel: Kernel,
    start: timedelta,
    synchronised: bool,  # noqa: FBT001  the case
    code: int,
) -> None:
    """Neither in TLS: it is our clock's, or the authority's; never the certificate's."""
    host, first = one
    kernel.says = synchronised
    retimed(first, start)
    report = host.run()
    assert (report.exit, orders(first), records(host)) == (code, [0], [])
    assert "TLS certificate of first" in told(report)
    assert "timedatectl" in told(report)
    retimed(first, -DAY)
    assert host.run().exit == 0


def test_another_answers_for_one_whose_tls_has_expired(two: tuple[Host, Bendable, Bendable]) -> None:
    """It vouches for our clock, and issues."""
    host, first, second = two
    retimed(first, -100 * DAY)
    assert host.run().exit == 0
    assert orders(first, second) == [0, 1]


def retimed(server: Bendable, start: timedelta) -> None:
    """Let it come back with a TLS certificate that is valid for 30 days from then."""
    server.retime(datetime.now(UTC) + start, timedelta(days=30))


def test_the_kernel_is_asked() -> None:
    """It says yes or no here, or refuses to say; nothing is changed by it."""
    assert clock.synchronised() in (True, False, None)
