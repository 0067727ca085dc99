"""Every call of ACME against everything that a network and an authority can do to it.

Each cell is a host of its own. The fault lasts for a whole run; that run ends in bounded time, with an
outcome that says who failed, and leaves no challenge behind. Then the fault is lifted, and the run at the
moment that the plan names (the agent's clock is set forward to it) brings the certificate.
"""

import dataclasses
import time
from collections.abc import Callable

import pytest

from renewer.context import Context
from renewer.model.facts import EndpointState
from tests.faults.host import Host, failed
from tests.faults.table import CALLS, FAULTS, PROPERTY
from tests.servers import faultproxy as faults
from tests.servers.faultproxy import Fault, FaultProxy
from tests.servers.handshake import served_serial
from tests.servers.pebble import Pebble

STALLED = 3.0  # seconds for a request while an authority stalls
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
    "ARI": faults.RENEWAL_INFO,
}
INJECTED: dict[str, Fault] = {
    "refused": faults.Refuse(),
    "reset": faults.Reset(),
    "stall": faults.Delay(STALLED + 7),
    "truncated": faults.Truncate(),
    "HTML": faults.html(),
    "500": faults.Answer(500, b"internal error\n", {"Content-Type": "text/plain"}),
    "503": faults.unavailable(retry_after="120"),
    "429": faults.problem("rateLimited", 429, "too many requests", retry_after="120"),
    "badNonce": faults.problem("badNonce", 400, "no such nonce"),
    "lost": faults.Reset(acted=True),
}
BOUND = 60.0  # seconds for a run: a few requests and their pauses, on a machine that has other things to do
# What needs no next run: a HEAD has no body to cut off, a refused nonce brings another, no certificate needs
# renewal information; and what became of a lost answer to a challenge, or of a lost finalising, authorization
# and order tell, unless a nonce was refused.
HEALED = {*((("ARI", fault)) for fault in FAULTS), ("nonce", "truncated"), ("nonce", "badNonce")}
OFTEN_HEALED = {(call, fault) for call in ("challenge", "finalise") for fault in ("lost", "truncated")}


def struck(call: str, fault: str) -> Fault:
    """The fault of a cell. A nonce is refused not where it is fetched, but where it is used."""
    given = INJECTED[fault]
    if call == "nonce" and isinstance(given, faults.Answer):
        return faults.SwapNonce() if fault == "badNonce" else dataclasses.replace(given, nonce=False)
    return given


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("call", CALLS)
def test_a_fault_delays_and_never_doubles(  # noqa: PLR0917  fixtures are arguments
    host: Host,
    proxy: FaultProxy,
    pebble: Pebble,
    call: str,
    fault: str,
    record_property: Callable[[str, object], None],
) -> None:
    """The run ends, says who failed, and the next one finishes: one certificate, and nothing left behind."""
    with host.open_port("www") as port:
        mark = pebble.mark()
        proxy.inject(struck(call, fault), path=PATHS[call], times=None)
        began = time.monotonic()
        with pytest.MonkeyPatch.context() as patch:
            if fault == "stall":
                patch.setattr(Context, "request_timeout", STALLED)
            if fault == "badNonce" and (call, fault) not in HEALED:  # for so long each is refused
                patch.setattr(Context, "request_timeout", 2 * STALLED)
            if call == "order poll":  # for whom it is tried to the end
                patch.setattr(Context, "order_limit", 2 * STALLED)
            first = host.run()
        took = time.monotonic() - began
        said = [*failed(first)]
        if call == "ARI":
            said += [event["text"] for event in host.events() if event["event"] == "notice"][-1:]
        assert proxy.struck, "the fault was never met"
        record_property(PROPERTY, [call, fault, first.exit, round(took, 1), " / ".join(said)])

        assert took < BOUND
        assert host.challenge_files() == []
        if (call, fault) in HEALED or ((call, fault) in OFTEN_HEALED and not first.exit):
            assert (first.exit, failed(first)) == (0, [])
        else:
            assert first.exit == 1
            (sentence,) = said
            assert "pebble" in sentence or f"127.0.0.1:{proxy.port}" in sentence
            assert host.failure().text == sentence

        proxy.clear()
        proxy.listen()
        second = host.run_when_due() if first.exit else first
        assert (second.exit, failed(second)) == (0, [])
        serials = pebble.certificates_issued(mark)
        assert len(serials) == 1
        assert pebble.orders_created(mark) <= 2  # at most one unfinalised order lost a fault
        assert (
            host.live().leaf.serial.lstrip("0") == serials[0] == served_serial(port.port, "www.example.org")
        )
        (seen,) = host.situation().sightings
        assert seen.state is EndpointState.VERIFIED
        assert host.leftovers() == []
        if call == "ARI":
            host.clock.reach(host.window().ask_again)
            host.run()
            assert host.window().start is not None
        assert host.run().plan.idle
