"""What goes wrong with one certificate, foreseen or not, ends no run; one that has to end begins nothing."""

from typing import Any

import pytest

from renewer import run
from renewer.accounts.session import Session
from renewer.context import Context
from renewer.errors import RetryLater, StateError
from renewer.issue.proof import Proof
from renewer.model.decision import Result, Step
from renewer.run import Limits
from renewer.store.disk import DiskStore
from tests.faults.conftest import HostFactory
from tests.faults.host import authority
from tests.servers.pebble import Pebble, PebbleFactory


def test_a_damaged_key_of_an_open_order(
    make_host: HostFactory, pebble: Pebble, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The order is given up, the others are issued meanwhile, the next order has its own key."""
    host = make_host(pebble.http_port, {"pebble": authority(pebble)}, certificates={"a": {}, "b": {}})
    host.web.broken.add("b.example.org")

    def lost(*_: object) -> None:
        raise RetryLater("the connection broke")

    with monkeypatch.context() as broken:
        broken.setattr(Session, "finalize", lost)
        host.run()
    (key,) = host.state.glob("certificates/a/pending/*/privkey.pem")
    key.write_bytes(b"")
    host.web.broken.clear()

    report = host.run_when_due()

    assert "damaged" in host.failure("a").text
    assert host.live("b").leaf.serial
    assert report.exit == 1
    assert host.run_when_due().exit == 0
    assert host.live("a").leaf.serial


def test_a_defect_that_one_certificate_meets(
    make_host: HostFactory, pebble: Pebble, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is that certificate's failure, with backoff; its trace is in the log; the other is issued."""
    host = make_host(pebble.http_port, {"pebble": authority(pebble)}, certificates={"a": {}, "b": {}})
    real = Proof.run

    def broken(self: Proof, *given: Any) -> None:
        if self.wish.name == "a":
            raise ZeroDivisionError("by chance")
        real(self, *given)

    monkeypatch.setattr(Proof, "run", broken)
    report = host.run()

    assert report.exit == 1
    assert host.failure("a").text == "a defect of this program: ZeroDivisionError: by chance"
    assert host.live("b").leaf.serial
    assert any("ZeroDivisionError" in event.get("trace", "") for event in host.events("a"))


def test_stopped_with_a_long_queue(make_host: HostFactory, pebble: Pebble) -> None:
    """What stands in line when the run is told to end is not ordered: only what is in flight goes on."""
    names: dict[str, dict[str, object]] = {f"c{number:02}": {} for number in range(24)}
    host = make_host(pebble.http_port, {"pebble": authority(pebble)}, certificates=names)
    kits: list[Context] = []

    def stop(event: dict[str, object]) -> None:
        if event["event"] == "ordered":
            kits[0].stop()

    host.listener = stop
    mark = pebble.mark()
    with host.context() as context:
        kits.append(context)
        report = run.run(context, Limits())

    assert pebble.orders_created(mark) <= context.config.agent.workers
    left = [one for one in report.outcomes if one.detail.startswith("not begun")]
    assert len(left) >= len(names) - context.config.agent.workers
    assert all(one.result is Result.WAITING for one in left)
    host.listener = None
    assert host.run().exit == 0


def test_a_renewal_that_cannot_be_installed(
    make_host: HostFactory, pebble: Pebble, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A disk that is full at that moment is no success, though all is well; nothing is ordered twice."""
    host = make_host(pebble.http_port, {"pebble": authority(pebble)})
    assert host.run().exit == 0

    def full(*_: object, **__: object) -> None:
        raise StateError("no space left on device", kind="enospc")

    mark = pebble.mark()
    with monkeypatch.context() as broken:
        broken.setattr(DiskStore, "put", full)
        assert host.run(force=True).exit == 1

    assert host.run().exit == 0
    assert pebble.orders_created(mark) == 1


def test_an_open_order_at_another_place(
    make_host: HostFactory,
    pebble: Pebble,
    pebble_factory: PebbleFactory,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """From staging to production under the same name: the order begun at the one is not sent to the other."""
    staging = pebble_factory(nonce_reject=0)
    host = make_host(pebble.http_port, {"pebble": authority(staging)})

    def lost(*_: object) -> None:
        raise RetryLater("the connection broke")

    with monkeypatch.context() as broken:
        broken.setattr(Session, "finalize", lost)
        broken.setattr(Session, "answer", lost)
        host.run()
    assert list(host.state.glob("certificates/www/pending/*"))
    host.authorities["pebble"] = authority(pebble)
    host.write_config()

    assert host.run().exit == 0


def test_killed_between_the_placeholder_and_its_link(
    make_host: HostFactory, pebble: Pebble, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next run puts one at `live`: a server that names the paths can start."""
    host = make_host(pebble.http_port, {"pebble": authority(pebble)})
    with monkeypatch.context() as broken:
        broken.setattr(DiskStore, "turn", lambda *_: None)
        host.run(steps=frozenset({Step.INSTALL}))
    assert host.situation().live is None

    host.run(steps=frozenset({Step.INSTALL}))

    live = host.situation().live_version
    assert live is not None
    assert live.placeholder
