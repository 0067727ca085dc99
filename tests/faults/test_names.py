"""Names and certificates fail alone, many at once, and with half of all nonces refused."""

import threading
from datetime import timedelta
from pathlib import Path

import pytest

from renewer import reconcile
from renewer.context import Context
from renewer.model.decision import Result, Step
from tests.faults.conftest import HostFactory
from tests.faults.host import Host, authority, failed
from tests.servers import faultproxy as faults
from tests.servers.bendable import Bendable
from tests.servers.bends import Call, members
from tests.servers.faultproxy import FaultProxy
from tests.servers.pebble import Pebble, PebbleFactory


@pytest.mark.parametrize("authz_reuse", [0, 100])
@pytest.mark.parametrize("nonce_reject", [0, 20, 50])
def test_ten_at_once_whatever_becomes_of_the_nonces(
    pebble_factory: PebbleFactory, make_host: HostFactory, nonce_reject: int, authz_reuse: int
) -> None:
    """Strict, a share of the nonces refused, authorizations used again or not: all are issued, twice."""
    pebble = pebble_factory(nonce_reject=nonce_reject, authz_reuse=authz_reuse, strict=True)
    wishes: dict[str, dict[str, object]] = {f"c{number}": {} for number in range(10)}
    host = make_host(pebble.http_port, {"pebble": authority(pebble)}, certificates=wishes)
    for round_ in (1, 2):
        mark = pebble.mark()
        report = host.run(force=round_ == 2)
        assert (report.exit, failed(report)) == (0, [])
        assert len(pebble.certificates_issued(mark)) == pebble.orders_created(mark) == 10
        assert len({host.live(name).leaf.serial for name in wishes}) == 10
        challenged = sum(one.path.startswith(faults.CHALLENGE) for one in pebble.requests(mark))
        assert (challenged > 0) == (round_ == 1 or authz_reuse == 0)
    assert host.leftovers() == []


def test_one_fails_one_is_slow_and_nobody_waits(
    make_host: HostFactory, pebble: Pebble, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of five certificates three are issued and deployed while one is still being validated; one fails."""
    monkeypatch.setattr(reconcile, "STRAGGLERS", 0.2)
    wishes = {name: {"names": [f"{name}.example.org"]} for name in ("a", "b", "c", "slow")}
    wishes["bad"] = {"names": ["good.example.org", "bad.example.org"]}
    host = make_host(pebble.http_port, {"pebble": authority(pebble)}, certificates=wishes)
    host.web.broken.add("bad.example.org")
    held = host.web.slow["slow.example.org"] = threading.Event()
    deployed: set[object] = set()

    def watch(event: dict[str, object]) -> None:
        if event["event"] == "deployed":
            deployed.add(event["certificate"])
        if deployed >= {"a", "b", "c"}:
            held.set()

    host.listener = watch
    report = host.run()
    assert held.is_set()  # so the three were deployed before the slow one was validated
    assert report.exit == 1
    assert {name: host.status(name)["state"] for name in wishes} == {
        **dict.fromkeys(("a", "b", "c", "slow"), "installed"),
        "bad": "absent",
    }
    (outcome,) = [one for one in report.outcomes if one.result is Result.FAILED]
    assert (outcome.certificate, outcome.step) == ("bad", Step.ISSUE)
    assert "bad.example.org" in outcome.detail
    assert "good.example.org" not in outcome.detail
    assert "http-01" in outcome.detail
    assert "404" in outcome.detail  # what the authority saw
    assert "webroot" in outcome.hint  # what to do
    (name, said), *others = host.failure("bad").identifiers
    assert (name, others) == ("bad.example.org", [])
    assert "http-01" in said
    assert host.challenge_files() == []

    host.web.broken.clear()
    mark = pebble.mark()
    host.clock.forward(timedelta(hours=1))
    assert host.run().exit == 0
    assert len(pebble.certificates_issued(mark)) == 1
    assert host.leftovers() == []


def test_what_is_pending_of_a_failed_order_is_given_up(
    pebble_factory: PebbleFactory, make_host: HostFactory, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """One name failed, another is not judged in time: that one is told, this one's authorization given up."""
    monkeypatch.setattr(Context, "order_limit", 5.0)
    # A Pebble of its own: 2.10 answers no POST any more once an authorization under validation is given up.
    pebble = pebble_factory()
    wishes = {"www": {"names": ["bad.example.org", "good.example.org", "slow.example.org"]}}
    with FaultProxy(pebble, tmp_path / "proxy") as proxy:
        table = authority(pebble, directory=proxy.directory, ca_bundle=proxy.ca_bundle)
        host = make_host(pebble.http_port, {"pebble": table}, certificates=wishes)
        host.web.broken.add("bad.example.org")
        host.web.slow["slow.example.org"] = threading.Event()
        report = host.run()
    (outcome,) = report.outcomes
    assert report.exit == 1
    assert "bad.example.org" in outcome.detail
    assert "slow.example.org" not in outcome.detail
    given_up = [
        one
        for one in proxy.requests(faults.AUTHORIZATION, "POST")
        if one.payload.get("status") == "deactivated" and one.status == 200
    ]
    assert len(given_up) == 1
    assert host.situation().order is None
    assert [name for name, _ in host.failure().identifiers] == ["bad.example.org"]
    assert host.challenge_files() == []


def test_names_that_are_still_valid_shorten_the_next_try(
    pebble_factory: PebbleFactory, make_host: HostFactory
) -> None:
    """Only the name that failed is proved again, where the authority remembers the others."""
    pebble = pebble_factory(authz_reuse=100)
    wishes = {"www": {"names": ["bad.example.org", "good.example.org", "well.example.org"]}}
    host = make_host(pebble.http_port, {"pebble": authority(pebble)}, certificates=wishes)
    host.web.broken.add("bad.example.org")
    assert host.run().exit == 1
    host.web.broken.clear()
    host.clock.forward(timedelta(hours=1))
    mark = len(host.events())
    assert host.run().exit == 0
    presented = [one["identifier"] for one in host.events()[mark:] if one["event"] == "challenge-presented"]
    assert presented == ["bad.example.org"]


@pytest.mark.parametrize(
    ("name", "wildcard"), [("bank.example", False), ("example.org.evil.example", False), ("xample.org", True)]
)
def test_a_name_that_nobody_ordered(bent_host: Host, bent: Bendable, name: str, *, wildcard: bool) -> None:
    """An authority cannot have us show its answers where it likes; the next order is as usual."""
    bent.bend(
        Call.AUTHORIZATION, members(identifier={"type": "dns", "value": name}, wildcard=wildcard), order=1
    )
    (said,) = failed(bent_host.run())
    assert f"{name} to be proved, which was not ordered" in said
    assert bent_host.failure().hint
    assert [one for one in bent_host.events() if one["event"] == "challenge_presented"] == []
    bent.mend()
    assert bent_host.run_when_due().exit == 0


def test_a_name_above_the_one_that_was_ordered(bent_host: Host, bent: Bendable) -> None:
    """That one may be asked for: who has a domain has its hosts (RFC 8555 §7.1.3)."""
    bent.bend(Call.AUTHORIZATION, members(identifier={"type": "dns", "value": "example.org"}))
    assert bent_host.run().exit == 0
