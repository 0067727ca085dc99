"""The stuck matrix: each call of an order answered badly, for ever or for the first order only.

A row is a host with a certificate for each way to answer badly. Its runs are 13 hours apart by the agent's
clock. The certificate comes, by a later order if need be, without anybody's help, within the order budget; if
it cannot come while the fault lasts, every run ends in bounded time and tells so, and once the authority is
mended it comes.
"""

import time
from collections.abc import Callable
from datetime import datetime, timedelta

import pytest

from renewer.context import Context
from renewer.model.decision import Result, RunReport
from tests.faults.conftest import HostFactory
from tests.faults.host import Host, authority
from tests.faults.stuck_table import CALLS, ESSENTIAL, FAULTS, PROPERTY
from tests.servers import bends
from tests.servers.bendable import Bendable, OrderFact, Seen
from tests.servers.bends import Bend, Call
from tests.servers.ports import free_port

APART = timedelta(hours=13)
DAY = timedelta(days=1)
BOUND = 30.0  # seconds for a run, on a machine that has other things to do
PATIENT = 8  # runs in which an order that leads nowhere is let go, and another one made
MENDED = 4  # runs until it is there once all is well
BUDGET = 10  # orders in seven days

BENT: dict[str, Bend] = {
    "foreign 400": bends.problem("urn:example:errors:odd", 400),
    "404": bends.problem("malformed", 404),
    "404 HTML": bends.html(404),
    "500": bends.error(500),
    "thin": bends.say(bends.document({"status": "pending"})),
    "hang": bends.hang,
    "HTML 200": bends.html(200),
}


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A request that hangs is given up after half a second, an order that does not end after one."""
    monkeypatch.setattr(Context, "request_timeout", 0.5)
    monkeypatch.setattr(Context, "order_limit", 1.0)


def name_of(fault: str, lasts: str) -> str:
    """The certificate of a cell."""
    return f"{fault.lower().replace(' ', '-')}-{lasts}"


def orders_of(bent: Bendable, certificate: str) -> list[OrderFact]:
    """Its orders at the authority."""
    return [order for order in bent.orders if order.names == (f"{certificate}.example.org",)]


def is_of(bent: Bendable, certificate: str, *, first: bool) -> Callable[[Seen], bool]:
    """Whether a request is about an order of that certificate (its first one only)."""

    def answer(seen: Seen) -> bool:
        if seen.call is Call.RENEWAL_INFO:
            about = [one for one in bent.issued if seen.path.endswith(one.ari_id)]
            seen.order = about[0].order if about else None
        mine = orders_of(bent, certificate)
        return seen.order in (mine[:1] if first else mine)

    return answer


def bend_all(bent: Bendable, call: Call) -> None:
    """Each certificate's call is answered badly in its own way."""
    for fault, bend in BENT.items():
        if call is Call.ALTERNATE and fault == "thin":
            bend = bends.say(bends.document({}))  # noqa: PLW2901  a chain has no status
        for lasts in ("ever", "first"):
            when = is_of(bent, name_of(fault, lasts), first=lasts == "first")
            bent.bend(call, bend, when=when)
            if call is Call.ORDER:  # it is looked at only by the run after one that broke off
                broke = is_of(bent, name_of(fault, lasts), first=True)
                bent.bend(Call.CHALLENGE, bends.error(500), when=broke, times=1)


def is_there(host: Host, certificate: str) -> bool:
    """Whether there is a certificate that is no placeholder."""
    version = host.situation(certificate).live_version
    return version is not None and not version.placeholder


def step(host: Host) -> RunReport:
    """The next run; it ends in bounded time."""
    host.clock.forward(APART)
    began = time.monotonic()
    report = host.run()
    assert time.monotonic() - began < BOUND
    return report


class Row:
    """When each certificate of a host was there, on the agent's clock."""

    def __init__(self, host: Host) -> None:
        self.host = host
        self.began = host.clock.now()
        self.there: dict[str, datetime] = {}

    def look(self) -> None:
        """Note those that are there now."""
        for name in self.host.certificates:
            if name not in self.there and is_there(self.host, name):
                self.there[name] = self.host.clock.now()

    def all_of(self, lasts: str) -> bool:
        """Whether all certificates of that sort are there."""
        return all(name in self.there for name in self.host.certificates if name.endswith(lasts))

    def days(self, name: str, since: datetime) -> str:
        """How long it took."""
        return f"{max(self.there[name] - since, timedelta(0)) / DAY:.1f}"


@pytest.mark.parametrize("call", CALLS)
def test_no_order_is_stuck(
    make_host: HostFactory,
    bendable: Callable[..., Bendable],
    agents_clock: object,
    call: str,
    record_property: Callable[[str, object], None],
) -> None:
    """Whatever is answered, and for how long: it ends by itself, within the budget."""
    bent = bendable(clock=agents_clock.now)  # type: ignore[attr-defined]
    names = [name_of(fault, lasts) for fault in FAULTS for lasts in ("ever", "first")]
    table = authority(bent) | ({"chain": "Bendable Root 2"} if call == "alternate" else {})
    certificates = {name: {"names": [f"{name}.example.org"]} for name in names}
    host = make_host(free_port(), {"bent": table}, certificates=certificates)
    bend_all(bent, Call(call))
    row = Row(host)
    essential = call in ESSENTIAL

    report = host.run()
    row.look()
    for _ in range(PATIENT):
        if row.all_of("first") and (
            row.all_of("ever") or (essential and host.clock.now() - row.began > 3 * DAY)
        ):
            break
        report = step(host)
        row.look()

    assert sorted(name for name in names if name.endswith("first") and name not in row.there) == []
    missing = [name for name in names if name not in row.there]
    lasted = host.clock.now() - row.began
    for name in names:
        assert len(orders_of(bent, name)) <= BUDGET * max(1.0, lasted / (7 * DAY))
    if missing:
        assert essential, missing
        told = {outcome.certificate for outcome in report.outcomes if outcome.result is Result.FAILED}
        waiting = {one.certificate for one in report.plan.decisions if one.not_before is not None}
        assert set(missing) <= told | waiting
        assert report.exit == 1
    made = {name: len(orders_of(bent, name)) for name in names}

    mended = host.clock.now()
    bent.mend()
    for _ in range(MENDED):
        if not [name for name in names if name not in row.there]:
            break
        step(host)
        row.look()
    assert [name for name in names if name not in row.there] == []
    host.clock.forward(APART)
    assert host.run().exit == 0
    assert host.leftovers() == []

    cells = {}
    for fault in FAULTS:
        ever, first = name_of(fault, "ever"), name_of(fault, "first")
        since, mark = (mended, "*") if ever in missing else (row.began, "")
        cells[fault] = (
            f"{made[ever]}/{row.days(ever, since)}{mark} {made[first]}/{row.days(first, row.began)}"
        )
    record_property(PROPERTY, [call, cells])
