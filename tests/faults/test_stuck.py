"""An order that leads nowhere ends: carried on while it may lead somewhere, then parked or let go.

The authority is bent, the agent is whole, its clock is set forward between the runs.
"""

from collections.abc import Callable
from datetime import timedelta

import pytest

from renewer.context import Context
from renewer.model.decision import Step
from tests.faults.host import ORDER_LIMIT, Host
from tests.servers import bends
from tests.servers.bendable import Bendable
from tests.servers.bends import Call, refusal, stays
from tests.servers.faultproxy import CHALLENGE, ORDER, Answer, FaultProxy
from tests.servers.pebble import Pebble

HOUR, DAY = timedelta(hours=1), timedelta(days=1)


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs that wait half a second for what does not come."""
    monkeypatch.setattr(Context, "order_limit", 0.5)


STUCK = stays("processing", retry_after="3600")


def issued_and_due(host: Host, authority: Bendable) -> None:
    """The first certificate is there, and its renewal is due."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Context, "order_limit", ORDER_LIMIT)
        assert host.run().exit == 0
    assert len(authority.orders) == 1
    host.clock.reach(authority.issued[0].not_after - 29 * DAY)


def go_on(host: Host, *, until: Callable[[], bool], step: timedelta = 12 * HOUR, most: int = 80) -> int:
    """Runs as a timer calls them, until it is so; how many it took."""
    for number in range(most):
        if until():
            return number
        host.clock.forward(step)
        host.run()
    raise AssertionError(f"not so after {most} runs: {host.situation().order}")


def is_there(host: Host) -> bool:
    """Whether there is a certificate that is no placeholder."""
    version = host.situation().live_version
    return version is not None and not version.placeholder


def renewed(host: Host, authority: Bendable, number: int) -> bool:
    """Whether what is live is what the order of that number brought."""
    serials = {one.serial for one in authority.issued if one.order.number == number}
    return host.live().leaf.serial.lstrip("0") in serials


def pending(host: Host) -> list[str]:
    """What lies in `pending`: keys of orders."""
    return sorted(path.name for path in host.state.glob("certificates/www/pending/*"))


# --- processing for ever ----------------------------------------------------------------------------------


def test_processing_for_ever_ends_in_the_emergency(bent_host: Host, bent: Bendable) -> None:
    """It may be a manual approval, so it is waited for; but not past the end of the certificate."""
    bent.order_life = 90 * DAY
    issued_and_due(bent_host, bent)
    bent.bend([Call.ORDER, Call.ORDER_POLL], STUCK, order=2)
    go_on(bent_host, until=lambda: renewed(bent_host, bent, 3))

    left = bent.issued[0].not_after - bent_host.clock.now()
    assert timedelta(0) < left <= 4.5 * DAY
    assert len(bent.orders) == 3
    assert bent_host.leftovers() == []


def test_processing_for_ever_ends_with_the_order(bent_host: Host, bent: Bendable) -> None:
    """Past its `expires` nothing can come of an order."""
    issued_and_due(bent_host, bent)
    bent.bend([Call.ORDER, Call.ORDER_POLL], STUCK, order=2)
    go_on(bent_host, until=lambda: renewed(bent_host, bent, 3))

    assert 7 * DAY < bent_host.clock.now() - bent.orders[1].at < 9 * DAY
    assert len(bent.orders) == 3


def test_force_ends_what_is_processed_for_ever(bent_host: Host, bent: Bendable) -> None:
    """`--force` means a new one, not the one that was tried in vain."""
    issued_and_due(bent_host, bent)
    bent.bend([Call.ORDER, Call.ORDER_POLL], STUCK, order=2)
    bent_host.run()
    bent_host.clock.forward(2 * HOUR)
    bent_host.run(force=True)

    assert renewed(bent_host, bent, 3)


@pytest.mark.usefixtures("impatient")
def test_processing_without_a_word_is_parked_after_a_day(bent_host: Host, bent: Bendable) -> None:
    """Nobody said that it takes long: after a day another is made, and of the first the key is kept."""
    issued_and_due(bent_host, bent)
    bent.bend([Call.ORDER, Call.ORDER_POLL], stays("processing"))
    go_on(bent_host, until=lambda: len(bent.orders) == 3, step=6 * HOUR)

    assert DAY <= bent_host.clock.now() - bent.orders[1].at < 2.5 * DAY
    assert len(pending(bent_host)) == 2
    bent.mend()
    bent.issue(bent.orders[1])  # the one that is parked
    go_on(bent_host, until=lambda: not bent_host.situation().order, most=10)
    assert renewed(bent_host, bent, 3)
    assert pending(bent_host) == []


@pytest.mark.usefixtures("impatient")
def test_a_parked_order_that_becomes_valid_is_the_renewal(bent_host: Host, bent: Bendable) -> None:
    """It is looked at before another order is made: that certificate is taken, and none is ordered."""
    bent.order_life = 30 * DAY
    issued_and_due(bent_host, bent)
    bent.bend([Call.ORDER, Call.ORDER_POLL], stays("processing"))
    go_on(bent_host, until=lambda: len(bent.orders) == 3, step=6 * HOUR)
    go_on(bent_host, until=lambda: bool(bent_host.situation().parked), step=6 * HOUR, most=1)
    bent.mend()
    bent.issue(bent.orders[1])
    bent.bend([Call.ORDER, Call.ORDER_POLL], stays("processing"), order=3)
    go_on(bent_host, until=lambda: renewed(bent_host, bent, 2), step=6 * HOUR)

    assert len(bent.orders) == 3
    assert bent_host.leftovers() == []


# --- looks that lead nowhere ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "answer",
    [
        refusal("urn:example:odd", 400),
        refusal("serverInternal", 400),
        refusal("serverInternal", 500),
        bends.html(404)(None),
        bends.html(200)(None),
        bends.document({"status": "pending"}),
        bends.document({"status": {}}),
        bends.document({}),
    ],
    ids=["foreign", "internal-400", "internal-500", "html-404", "html-200", "thin", "odd", "empty"],
)
def test_an_order_that_cannot_be_looked_at_is_let_go(
    bent_host: Host, bent: Bendable, answer: bends.Answer
) -> None:
    """Whatever is said in its place, for two tries and a day: then another order is made."""
    bent.bend(Call.CHALLENGE, bends.error(503), order=1, times=1)
    bent.bend(Call.ORDER, bends.say(answer), order=1)
    bent_host.run()
    go_on(bent_host, until=lambda: len(bent.issued) == 1, step=4 * HOUR, most=16)

    assert bent_host.live().leaf.serial.lstrip("0") == bent.issued[0].serial
    assert len(bent.orders) <= 2
    assert bent_host.leftovers() == []


def test_alternating_causes_are_one_order_without_progress(bent_host: Host, bent: Bendable) -> None:
    """It is the order that counts, not that the same error comes again."""
    answers = [refusal("urn:example:odd", 400), refusal("serverInternal", 500), bends.html(200)(None)]
    bent.bend(Call.CHALLENGE, bends.error(503), order=1, times=1)
    bent.bend(Call.ORDER, lambda _: answers[len(bent.seen) % 3], order=1)
    bent_host.run()
    go_on(bent_host, until=lambda: len(bent.issued) == 1, step=4 * HOUR, most=16)

    assert len(bent.orders) == 2


def test_a_well_known_authority_that_fails_so(host: Host, proxy: FaultProxy, pebble: Pebble) -> None:
    """Pebble behind a broken network: the challenge is not taken, then that order answers 500 for ever."""
    mark = pebble.mark()
    proxy.inject(Answer(503, b"busy"), path=CHALLENGE, times=1)
    host.run()
    (order,) = [seen.url for seen in [host.situation().order] if seen is not None]
    assert order is not None
    proxy.inject(Answer(500, b"broken"), path=ORDER + order.rpartition("/")[2], times=None)
    go_on(host, until=lambda: bool(pebble.certificates_issued(mark)), step=4 * HOUR, most=16)

    assert host.run().exit == 0
    assert len(pebble.certificates_issued(mark)) == 1


def test_the_same_order_handed_back_is_ended_there(bent_host: Host, bent: Bendable) -> None:
    """Boulder hands a ready order back for the same names: its authorizations go, and another one is made."""
    issued_and_due(bent_host, bent)
    bent.bend(Call.FINALIZE, refusal_of("urn:example:odd"), order=2)
    go_on(bent_host, until=lambda: renewed(bent_host, bent, 3), step=6 * HOUR)

    assert len(bent.orders) == 3
    assert bent.orders[1].asked == 2
    assert bent.orders[1].status == "invalid"
    assert {one.status for one in bent.orders[1].authorizations} == {"deactivated"}


def test_pending_authorizations_are_given_up_before_the_next_order(bent_host: Host, bent: Bendable) -> None:
    """So it is not the same order that is handed back; nor do they count against the account."""
    issued_and_due(bent_host, bent)
    bent.bend(Call.CHALLENGE, refusal_of("urn:example:odd"), order=2)
    go_on(bent_host, until=lambda: renewed(bent_host, bent, 3), step=6 * HOUR)

    calls = [seen.call for seen in bent.seen]
    last = len(calls) - 1 - calls[::-1].index(Call.NEW_ORDER)
    assert calls.index(Call.DEACTIVATE) < last
    assert (len(bent.orders), bent.orders[1].asked) == (3, 1)


def test_an_authority_that_is_away_ends_no_order(bent_host: Host, bent: Bendable) -> None:
    """Nobody was asked about it: it is carried on as soon as somebody is there again."""
    bent.bend(Call.CHALLENGE, bends.error(503), times=1)
    bent_host.run()
    bent.stop()
    go_on(bent_host, until=lambda: bent_host.clock.now() - bent.orders[0].at > 3 * DAY)
    bent.start()
    go_on(bent_host, until=lambda: len(bent.issued) == 1, most=4)

    assert len(bent.orders) == 1


def test_a_rate_limit_ends_no_order(bent_host: Host, bent: Bendable) -> None:
    """Who is told to come later has not been told anything of the order."""
    bent.bend(Call.CHALLENGE, refusal_of("rateLimited", 429))
    bent_host.run()
    go_on(bent_host, until=lambda: bent_host.clock.now() - bent.orders[0].at > 3 * DAY)
    bent.mend()
    go_on(bent_host, until=lambda: len(bent.issued) == 1, most=4)

    assert len(bent.orders) == 1


def refusal_of(kind: str, status: int = 400) -> bends.Bend:
    """Always refused so."""
    return bends.say(refusal(kind, status))


# --- what was issued is not thrown away -------------------------------------------------------------------


@pytest.mark.parametrize(
    "bend",
    [
        bends.thin(),
        bends.thin("status"),
        bends.thin("nothing"),
        lambda request: bends.acted(request, bends.html(200)(request)),
        lambda request: bends.acted(request, refusal("serverInternal", 500)),
        lambda request: bends.acted(request, bends.error(502)(request)),
        bends.cut(20),
        bends.lost,
    ],
    ids=["thin", "status", "empty", "html", "internal", "502", "cut", "lost"],
)
@pytest.mark.parametrize("signing", [0, 1])
def test_after_finalize_the_orders_url_is_the_truth(
    bent_host: Host, bent: Bendable, bend: bends.Bend, signing: int
) -> None:
    """Whatever the answer to a finalize that succeeded: one order, one certificate, in that very run."""
    bent.signing = signing
    bent.bend(Call.FINALIZE, bend)

    assert bent_host.run().exit == 0
    assert (len(bent.orders), len(bent.issued)) == (1, 1)
    assert bent_host.live().leaf.serial.lstrip("0") == bent.issued[0].serial


@pytest.mark.parametrize(
    "bend",
    [
        bends.html(200),
        bends.html(502),
        bends.error(500),
        bends.error(503, retry_after="1"),
        bends.problem("serverInternal", 500),
        bends.say(bends.document({"status": {}})),
        bends.say(bends.document({"status": "valid"})),
        bends.thin("status"),
        bends.dropped,
    ],
    ids=["html", "html-502", "500", "503", "internal", "odd", "no-certificate", "thin", "dropped"],
)
def test_a_bad_poll_is_followed_by_the_next(bent_host: Host, bent: Bendable, bend: bends.Bend) -> None:
    """Once is no reason to leave: the certificate is ready in a moment, and installed in this run."""
    bent.bend(Call.ORDER_POLL, bend, times=1)

    assert bent_host.run().exit == 0
    assert (len(bent.orders), len(bent.issued)) == (1, 1)


def test_another_orders_body_is_no_answer(bent_host: Host, bent: Bendable) -> None:
    """What is shown at the order's URL must be that order; else the next look is waited for."""
    other = {"type": "dns", "value": "other.example.org"}
    body = {"status": "valid", "certificate": f"{bent.base}/cert/7", "identifiers": [other]}
    bent.bend(Call.ORDER_POLL, bends.members(**body), times=1)

    assert bent_host.run().exit == 0
    assert bent.count(Call.CERTIFICATE) == 1


@pytest.mark.parametrize(
    "call", [Call.NEW_ORDER, Call.AUTHORIZATION, Call.CHALLENGE, Call.FINALIZE, Call.CERTIFICATE]
)
def test_a_moment_out_of_order_is_waited_out(bent_host: Host, bent: Bendable, call: Call) -> None:
    """A 503 that says to come back in a second is no reason for another run."""
    bent.bend(call, bends.error(503, retry_after="1"), times=1)

    assert bent_host.run().exit == 0
    assert (len(bent.orders), len(bent.issued)) == (1, 1)


@pytest.mark.parametrize("days", [1, 3])
def test_a_certificate_that_is_not_handed_out_is_fetched_later(
    bent_host: Host, bent: Bendable, days: int
) -> None:
    """It was issued: as long as the order lives it is asked for, also when it is parked meanwhile."""
    issued_and_due(bent_host, bent)
    bent.bend(Call.CERTIFICATE, bends.error(500))
    began = bent_host.clock.now()
    go_on(bent_host, until=lambda: bent_host.clock.now() - began > days * DAY, step=6 * HOUR)
    ordered = len(bent.orders)
    assert ordered <= 1 + days
    bent.mend()
    go_on(bent_host, until=lambda: any(renewed(bent_host, bent, n) for n in range(2, ordered + 1)), most=4)

    assert len(bent.orders) == ordered


def test_ready_for_ever(bent_host: Host, bent: Bendable) -> None:
    """An authority that takes the CSR and shows the order as ready again: told, bounded, another order."""
    issued_and_due(bent_host, bent)
    bent.bend([Call.FINALIZE, Call.ORDER, Call.ORDER_POLL], stays("ready"), order=2)
    assert bent_host.run().exit == 1
    assert "ready as before" in bent_host.failure().text
    go_on(bent_host, until=lambda: renewed(bent_host, bent, 3), step=6 * HOUR)

    assert len(bent.orders) == 3


def test_retry_after_of_years_in_a_poll(bent_host: Host, bent: Bendable) -> None:
    """At most half of what is left is waited for."""
    bent.order_life = 60 * DAY
    issued_and_due(bent_host, bent)
    bent.bend(Call.ORDER_POLL, stays("processing", retry_after=str(10 * 365 * 86400)), times=1)
    bent_host.run()
    go_on(bent_host, until=lambda: renewed(bent_host, bent, 2))

    assert bent.issued[0].not_after > bent_host.clock.now()


def test_an_expired_order_is_replaced_at_once(bent_host: Host, bent: Bendable) -> None:
    """Nothing was sent, its time is over: the next run makes another one."""
    bent.order_life = HOUR
    bent.bend(Call.CHALLENGE, bends.error(500), times=1)
    bent_host.run()
    bent_host.clock.forward(2 * HOUR)

    assert bent_host.decision().step is Step.ISSUE
    bent_host.run()
    assert (len(bent.orders), len(bent.issued)) == (2, 1)


@pytest.mark.parametrize("call", [Call.AUTHORIZATION, Call.CERTIFICATE])
def test_what_the_authority_knows_no_more_is_nobodys_duty(
    bent_host: Host, bent: Bendable, call: Call
) -> None:
    """Authorizations or a certificate that vanish: exit 1, and another order in its time."""
    bent.bend(call, refusal_of("malformed", 404), order=1)
    assert bent_host.run().exit == 1
    go_on(bent_host, until=lambda: is_there(bent_host), step=6 * HOUR, most=14)

    assert len(bent.orders) == 2


def test_an_intent_whose_order_cannot_be_found_out(bent_host: Host, bent: Bendable) -> None:
    """The reply to newOrder was lost, and the account is not shown either: it ends all the same."""
    bent.bend(Call.NEW_ORDER, bends.dropped, times=1)
    bent.bend(Call.ACCOUNT, bends.error(500))
    bent_host.run()
    go_on(bent_host, until=lambda: len(bent.issued) == 1, step=6 * HOUR, most=14)

    assert bent_host.leftovers() == []
