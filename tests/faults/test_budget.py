"""However badly things go, an authority is sent few orders: what a person sees of the order budget."""

from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509

from renewer.errors import StateError
from renewer.ledger.sqlite import SqliteLedger
from renewer.model.decision import Reason, Step
from renewer.model.facts import Ordered, Record, Revoked
from tests.faults.conftest import HostFactory
from tests.faults.host import Host, failed
from tests.servers.bendable import Bendable, BendableFactory
from tests.servers.bends import Answer, Call, problem

MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)


class World:
    """A host and the authority that it asks; both have one clock."""

    def __init__(self, host: Host, authority: Bendable) -> None:
        self.host, self.authority = host, authority
        self.orders: list[datetime] = []

    def run(self, **limits: Any) -> Any:
        """One pass; when its orders were made is noted."""
        before = len(self.authority.orders)
        report = self.host.run(**limits)
        self.orders += [self.host.clock.now()] * (len(self.authority.orders) - before)
        return report

    def live_through(self, span: timedelta, every: timedelta = HOUR, **limits: Any) -> int:
        """The runs of so long a time; how many orders they made."""
        before, over = len(self.authority.orders), self.host.clock.now() + span
        while self.host.clock.now() < over:
            self.host.clock.forward(every)
            self.run(**limits)
        return len(self.authority.orders) - before


def of(authority: Bendable) -> dict[str, Any]:
    """The config's table for it."""
    return {"directory": authority.directory, "ca_bundle": authority.ca_bundle, "roots": authority.roots()}


@pytest.fixture
def make_world(make_host: HostFactory, bendable: BendableFactory, agents_clock: Any) -> Callable[..., World]:
    """Makes a host with an authority that can be bent; settings are those of the authority."""

    def make(certificates: dict[str, dict[str, Any]] | None = None, **settings: Any) -> World:
        authority = bendable(clock=agents_clock.now)
        authority.reuse_orders = False
        for name, value in settings.items():
            setattr(authority, name, value)
        more = {"certificates": certificates} if certificates else {}
        return World(make_host(0, {"f": of(authority)}, **more), authority)

    return make


@pytest.fixture
def world(make_world: Callable[..., World]) -> World:
    """One of them."""
    return make_world()


def last_week(_: x509.Certificate, now: datetime) -> tuple[datetime, datetime]:
    """A window that was over a week before anybody asked."""
    return now - 8 * DAY, now - 7 * DAY


def now_open(_: x509.Certificate, now: datetime) -> tuple[datetime, datetime]:
    """A window that is always nearly over."""
    return now - HOUR, now + MINUTE


# --- windows ----------------------------------------------------------------------------------------------


def test_a_window_that_was_over_before_is_none(make_world: Callable[..., World]) -> None:
    """A window last week, also for what was just issued, renews nothing: its share of time decides."""
    world = make_world(window=last_week)
    assert world.run().exit == 0
    assert world.live_through(2 * DAY, 6 * HOUR) == 0
    assert world.host.decision().step is Step.KEEP
    assert len(world.orders) == 1


def test_a_window_that_is_always_now(make_world: Callable[..., World]) -> None:
    """It is obeyed once, then every second day, though it moves each time; who is to blame is told."""
    world = make_world(window=now_open)
    world.run()
    assert world.live_through(7 * DAY, 6 * HOUR) <= 5
    decision = world.host.decision()
    assert (decision.step, decision.reason) == (Step.WAIT, Reason.ORDER_BUDGET)
    assert decision.not_before is not None
    report = world.run()
    assert any("f " in text and "again" in text for text in report.findings)
    assert report.exit == 0


def test_two_certificates_with_the_same_names(make_world: Callable[..., World]) -> None:
    """Each has a budget of its own; neither is renewed in turn with the other."""
    names = {"names": ["www.example.org"]}
    world = make_world({"one": names, "two": names}, window=now_open)
    world.run()
    assert world.live_through(7 * DAY, 6 * HOUR) <= 2 * 5


# --- servers that cannot load it --------------------------------------------------------------------------


def test_a_hook_that_fails_makes_no_orders(make_world: Callable[..., World], tmp_path: Path) -> None:
    """One order a run at most, whatever else fails in it."""
    world = make_world(window=now_open)
    hook = tmp_path / "hook.sh"
    hook.write_text("#!/bin/sh\nexit 1\n")
    hook.chmod(0o755)
    world.host.hooks["bad"] = {"run": hook}
    world.host.certificates["www"]["hooks"] = ["bad"]
    world.host.write_config()
    made = []
    for _ in range(4):
        made.append(-len(world.authority.orders))
        world.run()
        made[-1] += len(world.authority.orders)
        world.host.clock.forward(HOUR)
    assert max(made) <= 1
    assert sum(made) <= 2


# --- authorities that refuse or spoil ---------------------------------------------------------------------


def test_a_name_that_never_validates(world: World) -> None:
    """Every five minutes a run: three orders, then one a day."""
    world.authority.refused = {"www.example.org"}
    assert world.live_through(DAY, 5 * MINUTE) <= 4
    assert world.live_through(3 * DAY) <= 3


def test_it_comes_soon_once_it_would_work(world: World) -> None:
    """From the moment that all would succeed, at most a day and a run pass until the certificate is there."""
    world.authority.refused = {"www.example.org"}
    world.live_through(2 * DAY)
    world.authority.refused = set()
    world.live_through(DAY + HOUR)
    assert world.host.live().leaf.names
    assert world.host.run().exit == 0


def test_a_chain_that_is_refused(world: World) -> None:
    """What cannot be installed is ordered anew every second day at most."""
    world.authority.bend(Call.CERTIFICATE, lambda request: _twice_the_leaf(request.usual()))
    world.run()
    assert world.live_through(5 * DAY, 3 * HOUR) <= 2
    assert world.host.status()["exit"] == 1 or world.host.status()["exit"] == 3


def _twice_the_leaf(answer: Answer) -> Answer:
    """An answer without any leaf for our key: its issuers alone."""
    first = answer.body.index(b"-----END CERTIFICATE-----") + len(b"-----END CERTIFICATE-----\n")
    return Answer(answer.status, answer.body[first:], answer.headers)


def test_a_certificate_that_is_never_handed_out(world: World) -> None:
    """Issued and refused at the download: it counts as issued."""
    world.authority.bend(Call.CERTIFICATE, problem("malformed", 404))
    world.run()
    assert world.live_through(4 * DAY, 3 * HOUR) <= 3


def test_a_key_that_is_lost_each_time(world: World) -> None:
    """An order whose key goes between two runs is ordered again within the budget."""
    world.authority.bend(Call.FINALIZE, problem("serverInternal", 503))
    for _ in range(30):
        world.run()
        for key in world.host.state.glob("certificates/*/pending/*/privkey.pem"):
            key.unlink()
        world.host.clock.forward(HOUR)
    assert len(world.authority.orders) <= 5


def test_a_short_life_and_a_run_a_minute(make_world: Callable[..., World]) -> None:
    """Ninety seconds long: no more than its lifetime needs, also when nothing validates."""
    world = make_world(profiles={"default": timedelta(seconds=90)}, window=None)
    world.run()
    world.authority.refused = {"www.example.org"}
    assert world.live_through(HOUR, MINUTE) <= 61


# --- what people do ---------------------------------------------------------------------------------------


def test_by_hand_there_is_more(world: World) -> None:
    """A person has five orders, and one more an hour; `--force` as many as it is typed."""
    world.authority.refused = {"www.example.org"}
    world.live_through(5 * HOUR)
    mark = len(world.authority.orders)
    for _ in range(8):
        world.run(only=frozenset({"www"}), asked=True)
    assert len(world.authority.orders) - mark == 5
    decision = world.host.decision(only=frozenset({"www"}), asked=True)
    assert decision.reason is Reason.ORDER_BUDGET
    assert decision.not_before is not None
    assert decision.not_before - world.host.clock.now() <= HOUR
    world.run(force=True)
    assert len(world.authority.orders) - mark == 6


def test_force_in_a_timer(world: World) -> None:
    """It orders each time, as somebody wants it; once that is often, each run says that it should not."""
    assert world.run(force=True).exit == 0
    reports = []
    for _ in range(5):
        world.host.clock.forward(HOUR)
        reports.append(world.run(force=True))
    assert len(world.authority.orders) == 6
    often = [[one for one in report.findings if "leave --force out" in one] for report in reports]
    assert [bool(one) for one in often] == [False, False, True, True, True]
    assert "f was sent 6 orders of it by --force" in often[-1][0]
    world.host.clock.forward(25 * HOUR)
    assert not any("--force" in one for one in world.run().findings)


@pytest.mark.parametrize(("days", "told"), [(100, True), (89, False)])
def test_renewing_earlier_than_it_lives(
    make_world: Callable[..., World],
    days: int,
    told: bool,  # noqa: FBT001  the case
) -> None:
    """Longer than the lifetime it is ignored, and told; a day less and it is due daily, within the budget."""
    world = make_world({"www": {"names": ["www.example.org"], "renew_before": f"{days}d"}}, window=None)
    report = world.run()
    assert report.exit == 0
    assert world.live_through(7 * DAY, 6 * HOUR) <= (0 if told else 5)
    findings = world.run().findings
    assert any("counts for nothing" in one for one in findings) is told


def test_an_authority_that_revokes_each_certificate(make_world: Callable[..., World]) -> None:
    """It says so by a window that is over as soon as anybody asks: within the budget, and told."""
    world = make_world(
        window=lambda leaf, _: (leaf.not_valid_before_utc, leaf.not_valid_before_utc + 2 * HOUR)
    )
    world.run()
    assert world.live_through(7 * DAY, 3 * HOUR) <= 5
    assert any("again" in one for one in world.run().findings)


def test_certificates_that_are_revoked_by_hand(world: World) -> None:
    """Each is replaced, and after three they are replaced by the day."""
    world.run()
    for _ in range(28):
        world.host.clock.forward(6 * HOUR)
        live = world.host.situation().live_version
        if live is not None and live.id not in world.host.situation().revoked:
            with world.host.context() as context:
                context.ledger.save(
                    Revoked(
                        certificate="www",
                        version=live.id,
                        serial=live.leaf.serial,
                        reason="superseded",
                        at=world.host.clock.now(),
                        done=True,
                    )
                )
        world.run()
    assert 4 <= len(world.authority.orders) <= 10


def test_a_configuration_that_changes_each_run(world: World) -> None:
    """A key type that is toggled is a new wish each time, and the same budget."""
    for number in range(24):
        world.host.certificates["www"]["key"] = ("ecdsa-p256", "ecdsa-p384")[number % 2]
        world.host.write_config()
        world.run()
        world.host.clock.forward(HOUR)
    assert len(world.authority.orders) <= 4


def test_a_ledger_that_is_deleted(make_world: Callable[..., World]) -> None:
    """Then the versions on disk tell what was ordered of late."""
    world = make_world(window=now_open)
    for _ in range(24):
        world.run()
        for file in world.host.state.glob("ledger.db*"):
            file.unlink()
        world.host.clock.forward(2 * HOUR)
    assert len(world.authority.orders) <= 5


# --- clocks -----------------------------------------------------------------------------------------------


def test_a_clock_that_jumps_to_and_fro(world: World) -> None:
    """Orders of a time to come count as now; a clock that goes there again finds its own orders."""
    world.authority.refused = {"www.example.org"}
    for _ in range(12):
        world.host.clock.ahead += 20 * DAY
        world.run()
        world.host.clock.ahead += HOUR - 20 * DAY
        world.run()
    assert len(world.authority.orders) <= 7
    world.authority.refused = set()
    world.live_through(DAY + HOUR)
    assert world.host.live().leaf.names


# --- what cannot be written down --------------------------------------------------------------------------


@pytest.fixture
def unwritable(monkeypatch: pytest.MonkeyPatch) -> set[type[Record]]:
    """Kinds of record that the ledger cannot take, as with a full disk."""
    kinds: set[type[Record]] = set()
    save = SqliteLedger.save

    def saved(self: SqliteLedger, *records: Record) -> None:
        if any(type(record) in kinds for record in records):
            raise StateError("the ledger: no space left on device", kind="enospc")
        save(self, *records)

    monkeypatch.setattr(SqliteLedger, "save", saved)
    return kinds


def test_what_cannot_be_recorded_is_not_ordered(world: World, unwritable: set[type[Record]]) -> None:
    """The authority hears nothing, and what is wrong is told."""
    unwritable.add(Ordered)
    report = world.run()
    assert world.authority.orders == []
    assert any("no space left" in text for text in failed(report))
    unwritable.clear()
    world.host.clock.forward(2 * HOUR)
    assert world.run().exit == 0


def test_room_is_asked_for_first(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the disk has no room for what an order brings, none is made."""
    from renewer.store.disk import DiskStore

    def full(_: DiskStore, size: int) -> None:
        raise StateError(f"no room for {size} octets", kind="enospc")

    with monkeypatch.context() as patched:
        patched.setattr(DiskStore, "demand_room", full)
        report = world.run()
    assert world.authority.orders == []
    assert any("no room" in text for text in failed(report))
    world.host.clock.forward(2 * HOUR)
    assert world.run().exit == 0
