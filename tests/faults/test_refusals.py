"""What an authority says with its refusals: when to come back, that a person must act, that we are paused."""

from collections.abc import Callable
from datetime import timedelta

import pytest

from renewer.model.decision import Reason, Step
from renewer.network.acme.hints import FINAL
from tests.faults.host import Host, failed
from tests.servers import faultproxy as faults
from tests.servers.faultproxy import FaultProxy
from tests.servers.pebble import Pebble

PATHS = {
    "directory": faults.DIRECTORY,
    "nonce": faults.NEW_NONCE,
    "account": faults.NEW_ACCOUNT,
    "order": faults.NEW_ORDER,
    "authorization": faults.AUTHORIZATION,
    "challenge": faults.CHALLENGE,
    "finalise": faults.FINALIZE,
    "order poll": faults.ORDER,
    "certificate": faults.CERTIFICATE,
}
SECOND = timedelta(seconds=1)
MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)


def refusal(status: int, retry_after: str) -> faults.Answer:
    """A 503 of a load balancer, or a 429 of the authority, with Retry-After."""
    if status == 503:
        return faults.unavailable(retry_after=retry_after)
    text, kind = b'{"type":"urn:ietf:params:acme:error:rateLimited","detail":"too many"}', "problem+json"
    return faults.Answer(429, text, {"Content-Type": f"application/{kind}", "Retry-After": retry_after})


@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize("call", PATHS)
def test_retry_after_is_obeyed_at_every_endpoint(
    host: Host, proxy: FaultProxy, pebble: Pebble, call: str, status: int
) -> None:
    """RFC 8555, section 6.6: what was asked for is on record, and nobody asks earlier, `--force` neither."""
    proxy.inject(refusal(status, "10800"), path=PATHS[call], times=None)
    began, before = host.clock.now(), pebble.mark()
    assert host.run().exit == 1
    asked = host.failure().not_before
    assert asked is not None
    assert 0 <= (asked - began - 3 * HOUR).total_seconds() < 10

    proxy.clear()
    mark = pebble.mark()
    host.clock.reach(asked - 10 * MINUTE)
    for force in (False, True):
        decision = host.decision(force=force)
        assert decision.step is Step.WAIT
        assert decision.not_before is not None
        assert abs(decision.not_before - asked) < SECOND
        report = host.run(force=force)
        assert (report.exit, report.outcomes) == (1, ())
    assert pebble.requests(mark) == ()

    host.clock.reach(asked)
    assert host.run().exit == 0
    assert len(pebble.certificates_issued(before)) == 1


@pytest.mark.parametrize("status", [429, 503])
def test_retry_after_of_the_renewal_window_is_obeyed(host: Host, proxy: FaultProxy, status: int) -> None:
    """RFC 9773, section 4.3: the window is asked for again when the authority says, and not before."""
    proxy.inject(refusal(status, "10800"), path=faults.RENEWAL_INFO, times=None)
    assert host.run().exit == 0
    again = host.window().ask_again
    assert abs((again - host.clock.now() - 3 * HOUR).total_seconds()) < 10
    proxy.clear()
    host.clock.reach(again - 10 * MINUTE)
    asked = len(proxy.requests(faults.RENEWAL_INFO))
    host.run()
    assert len(proxy.requests(faults.RENEWAL_INFO)) == asked
    host.clock.reach(again)
    host.run()
    assert host.window().start is not None


@pytest.mark.parametrize(("asked", "least", "most"), [("1", 60, 70), ("2592000", 6 * 3600, 6 * 3600 + 10)])
def test_retry_after_has_bounds_where_nothing_is_left(
    host: Host, proxy: FaultProxy, asked: str, least: int, most: int
) -> None:
    """A second becomes a minute, a month becomes six hours while there is no certificate."""
    proxy.inject(refusal(503, asked), path=faults.NEW_ORDER, times=None)
    host.run()
    moment = host.decision().not_before
    assert moment is not None
    assert least <= (moment - host.failure().at).total_seconds() <= most


def test_retry_after_takes_half_of_what_is_left_at_most(host: Host, proxy: FaultProxy) -> None:
    """An authority that wants to be left alone for a year must not let a certificate expire by it."""
    host.certificates["www"]["profile"] = "shortlived"
    host.write_config()
    host.run()
    end = host.window().end
    assert end is not None
    host.clock.reach(end)
    proxy.inject(refusal(429, str(365 * 86400)), path=faults.NEW_ORDER, times=None)
    assert host.run().exit in (1, 3)
    failure, left = host.failure(), host.live().leaf.not_after - host.failure().at
    moment = host.decision().not_before
    assert moment is not None
    assert abs(moment - failure.at - left / 2) < 2 * SECOND


def test_a_paused_account_shows_where_to_go_and_stops(host: Host, proxy: FaultProxy, pebble: Pebble) -> None:
    """Let's Encrypt's answer to 1,152 failures in a row: a person is told the page, nothing more is tried."""
    url = "https://portal.example.org/sfe/v1/unpause?jwt=abc"
    text = f"Your account is temporarily prevented from requesting certificates (paused). Visit: {url}."
    proxy.inject(faults.problem("rateLimited", 429, text), path=faults.NEW_ORDER, times=None)
    report = host.run()
    (outcome,) = report.outcomes
    assert report.exit == 3
    assert url in outcome.detail
    assert url in outcome.hint
    (event,) = [one for one in host.events() if one["event"] == "failed"]
    assert url in event["hint"]
    assert url in str(host.status()["last_error"])

    proxy.clear()
    mark = pebble.mark()
    for force in (False, True):
        host.clock.forward(6 * HOUR)
        report = host.run(force=force)
        assert (report.exit, report.outcomes) == (3, ())
    assert pebble.orders_created(mark) == 0
    host.clock.forward(DAY)
    assert host.run().exit == 0


PLACES: dict[str, tuple[str, ...]] = {
    faults.NEW_ACCOUNT: (
        "agreementRequired",
        "badPublicKey",
        "badSignatureAlgorithm",
        "externalAccountRequired",
        "invalidContact",
        "malformed",
        "unsupportedContact",
        "userActionRequired",
    ),
    faults.NEW_ORDER: (
        "accountDoesNotExist",
        "agreementRequired",
        "badSignatureAlgorithm",
        "invalidProfile",
        "malformed",
        "rejectedIdentifier",
        "unsupportedIdentifier",
        "userActionRequired",
    ),
    faults.FINALIZE: ("badCSR", "badPublicKey", "rejectedIdentifier", "unsupportedIdentifier"),
}


def test_every_type_has_its_place() -> None:
    """No type of problem that is a matter of configuration is left out below."""
    placed = {kind for kinds in PLACES.values() for kind in kinds}
    assert placed == {*FINAL, "malformed"} - {"badRevocationReason"}


@pytest.mark.parametrize(("path", "kind"), [(path, kind) for path, kinds in PLACES.items() for kind in kinds])
def test_a_matter_of_configuration_is_told_at_once_and_tried_daily(
    host: Host, proxy: FaultProxy, pebble: Pebble, path: str, kind: str
) -> None:
    """A person must act: exit 3 with what to do; the next try is a day away, unless the config changes."""
    proxy.inject(faults.problem(kind, 403 if kind != "malformed" else 400, "no"), path=path, times=None)
    report = host.run()
    (outcome,) = report.outcomes
    assert report.exit == 3
    assert kind in outcome.detail
    assert outcome.hint
    failure = host.failure()
    assert (failure.final, failure.problem) == (True, kind)
    decision = host.decision()
    assert (decision.step, decision.reason) == (Step.WAIT, Reason.BACKOFF)
    assert decision.not_before is not None
    assert DAY * 0.9 <= decision.not_before - failure.at <= DAY
    assert host.status()["exit"] == 3
    assert host.challenge_files() == []

    mark = pebble.mark()
    proxy.clear()
    assert host.run().outcomes == ()
    assert pebble.requests(mark) == ()
    host.certificates["www"]["key"] = "ecdsa-p384"
    host.write_config()
    report = host.run()
    assert (report.exit, failed(report)) == (0, [])
    assert len(pebble.certificates_issued(mark)) == 1


@pytest.mark.parametrize(
    "change",
    [
        lambda host: host.authorities["pebble"].update(contact=["else@example.org"]),
        lambda host: host.certificates["www"].update(names=["www.example.org", "more.example.org"]),
        lambda host: host.certificates["www"].update(profile="shortlived"),
    ],
    ids=["authority", "names", "profile"],
)
def test_a_changed_config_forgets_the_backoff(
    host: Host, proxy: FaultProxy, change: Callable[[Host], None]
) -> None:
    """Whoever corrects the certificate's table, or its authority's, need not wait nor force."""
    proxy.inject(faults.problem("rejectedIdentifier", 403, "no"), path=faults.NEW_ORDER, times=1)
    assert host.run().exit == 3
    change(host)
    host.write_config()
    assert host.decision().step is Step.ISSUE
    assert host.run().exit == 0


def test_force_overrules_our_own_backoff_only(host: Host, proxy: FaultProxy) -> None:
    """A failure without Retry-After: a person need not wait for the ladder."""
    proxy.inject(faults.Answer(500), path=faults.NEW_ORDER, times=1)
    assert host.run().exit == 1
    assert host.run().outcomes == ()
    assert host.run(force=True).exit == 0
