"""Waiting: for all servers, by the configured rule, told with each one's answer, and never for ever."""

import math
import threading
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from typing import Any

import dns.flags
import dns.message
import dns.rcode
import pytest

from renewer import clock
from renewer.errors import RetryLater
from renewer.model.desired import Propagation, PropagationCheck, Unreachable
from renewer.network.dns import ask, messages, propagation, resolvers, zones
from renewer.network.dns.messages import RecordPlace
from renewer.network.dns.propagation import PropagationWatch
from renewer.network.dns.resolvers import Resolvers
from renewer.network.dns.zones import Zones
from tests.challenges.dns01.bed import BIND, LAGGING_ZONE, SECONDARY, Bed, tasks
from tests.servers.nameserver import txt_at
from tests.servers.ports import free_port
from tests.servers.scripted_dns import MOMENT, MUTE, Handler, ScriptedDns, patient, reply

RESOLVER, FIRST, SECOND = "127.0.0.21", "127.0.0.22", "127.0.0.23"
NAME = "_acme-challenge.example"
PLACE = RecordPlace(asked=NAME, name=NAME, zone="example")
VALUE = "V" * 43
SHORT = timedelta(seconds=0.5)  # for what fails whenever it ends


@pytest.fixture(autouse=True)
def _patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who is silent on purpose is given up after a moment, and nobody else."""
    monkeypatch.setattr(messages, "GRACE", 0.15)
    patient(monkeypatch, propagation, resolvers, zones)


@pytest.fixture
def port(monkeypatch: pytest.MonkeyPatch) -> int:
    """Where the scripted servers listen."""
    number = free_port()
    monkeypatch.setattr(messages, "PORT", number)
    return number


def resolver(query: dns.message.Message, second: str = SECOND) -> dns.message.Message:
    """A resolver that knows a zone with two name servers; of TXT it knows nothing."""
    name = query.question[0].name.to_text()
    known = {
        ("example.", "NS"): ("example. 60 NS ns1.example.", "example. 60 NS ns2.example."),
        ("ns1.example.", "A"): (f"ns1.example. 60 A {FIRST}",),
        ("ns2.example.", "A"): (f"ns2.example. 60 A {second}",),
    }
    lines = known.get((name, dns.rdatatype.to_text(query.question[0].rdtype)), ())
    message = reply(query, *lines[:1], authoritative=False)
    for line in lines[1:]:
        message.answer[0].add(dns.rdata.from_text("IN", "NS", line.split()[3]))
    return message


def shows(query: dns.message.Message) -> dns.message.Message:
    """A server that has the value."""
    return reply(query, f'{NAME}. 1 TXT "{VALUE}"')


def lacks(query: dns.message.Message) -> dns.message.Message:
    """A server that denies the name."""
    return reply(query, rcode=dns.rcode.NXDOMAIN)


def wait(
    port: int,
    first: Handler | None,
    second: Handler | None,
    *,
    at: str = SECOND,
    until: Callable[[], float] = lambda: math.inf,
    **rule: Any,
) -> list[str]:
    """Wait for the value at two scripted servers (None: nobody listens), and return what was warned of.

    `at` is where the second one listens.
    """
    warned: list[str] = []
    settings = {"timeout": timedelta(seconds=60), **rule}
    watch = PropagationWatch(Propagation(**settings), Zones(Resolvers((f"{RESOLVER}:{port}",))), until=until)
    with ScriptedDns(partial(resolver, second=at), address=RESOLVER, port=port):
        first_server = ScriptedDns(first, address=FIRST, port=port) if first else None
        second_server = ScriptedDns(second, address=at, port=port) if second else None
        try:
            for server in (first_server, second_server):
                if server:
                    server.__enter__()
            watch.wait({PLACE: frozenset({VALUE})}, warned.append)
        finally:
            for server in (first_server, second_server):
                if server:
                    server.__exit__()
    return warned


@pytest.mark.real
def test_lagging_secondary(bed: Bed) -> None:
    """A secondary that fetches the zone later is waited for, not guessed."""
    solver, ours = bed.solver(), tasks(f"lag.{LAGGING_ZONE}", f"*.lag.{LAGGING_ZONE}", run="lag")
    name = f"_acme-challenge.lag.{LAGGING_ZONE}"
    try:
        presented = solver.present_all(ours)
        assert txt_at(SECONDARY, bed.port, name) == set()
        later = threading.Timer(1.0, bed.secondary.fetch, [LAGGING_ZONE])
        later.start()
        solver.wait(presented, pytest.fail)
        later.join()
        assert txt_at(SECONDARY, bed.port, name) == txt_at(BIND, bed.port, name) != set()
    finally:
        assert solver.clean_up_all(ours) == []


def test_all_show_it(port: int) -> None:
    """When all servers show it, nothing is to be told."""
    assert wait(port, shows, shows) == []


def test_one_is_late(port: int) -> None:
    """It is asked again until the last one shows it."""
    asked: list[int] = []

    def late(query: dns.message.Message) -> dns.message.Message:
        asked.append(1)
        return shows(query) if len(asked) > 3 else lacks(query)

    assert wait(port, shows, late) == []
    assert len(asked) == 4


def test_one_never_shows_it(port: int) -> None:
    """The message tells what each server answers, and the name that failed."""
    asked: list[str] = []

    def none(query: dns.message.Message) -> dns.message.Message:
        asked.append("first")
        return lacks(query)

    def other(query: dns.message.Message) -> dns.message.Message:
        asked.append("second")
        return reply(query, f'{NAME}. 1 TXT "of other people"')

    def until() -> float:  # who is asked for the second time was understood
        return 0.0 if min(map(asked.count, ("first", "second"))) > 1 else math.inf

    with pytest.raises(RetryLater) as caught:
        wait(port, none, other, until=until)
    assert f"ns1.example ({FIRST}:{port}): {NAME} says that there is no such name" in caught.value.text
    assert (
        f"ns2.example ({SECOND}:{port}): {NAME} has other values there: “of other people”"
        in caught.value.text
    )
    assert caught.value.identifiers == ((NAME, "not seen"),)


def test_unreachable_and_ignored(port: int) -> None:
    """A server that is down is told and left out."""
    (warning,) = wait(port, shows, None)
    assert 'unreachable = "ignore"' in warning
    assert f"ns2.example ({SECOND}:{port})" in warning
    assert "Connection refused" in warning


@pytest.mark.parametrize(
    "script",
    [
        lambda _: None,
        lambda _: b"\xff" * 30,
        lambda query: reply(query, rcode=dns.rcode.SERVFAIL),
        lambda query: reply(query, f'{NAME}. 1 TXT "{VALUE}"', authoritative=False),
    ],
    ids=["silence", "nonsense", "servfail", "not its zone"],
)
def test_no_usable_answer(port: int, script: Handler) -> None:
    """Silence, nonsense, SERVFAIL and answers of somebody who does not serve the zone are all no answer."""
    assert len(wait(port, shows, script, at=MUTE)) == 1
    with pytest.raises(RetryLater, match="cannot be seen everywhere"):
        wait(port, shows, script, at=MUTE, unreachable=Unreachable.REQUIRE, timeout=SHORT)


def test_nobody_answers(port: int) -> None:
    """If no server can be asked at all, that is no success: the message proposes another check."""
    with pytest.raises(RetryLater) as caught:
        wait(port, None, None, timeout=SHORT)
    assert 'check = "resolvers"' in caught.value.hint


def test_oversized_answers(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Four hundred values of other people come over TCP, and ours is found among them."""
    by_tcp = ask._by_tcp
    monkeypatch.setattr(
        ask,
        "_by_tcp",
        lambda server, query, deadline: by_tcp(
            server, query, clock.monotonic() + MOMENT if server.address == SECOND else deadline
        ),
    )
    lines = " ".join(f'"{number:040d}"' for number in range(3))

    def crowd(query: dns.message.Message) -> dns.message.Message:
        message = reply(query, f'{NAME}. 1 TXT "{VALUE}"')
        for number in range(400):
            message.answer[0].add(dns.rdata.from_text("IN", "TXT", f'"{number:04d}" {lines}'))
        return message

    def cut(query: dns.message.Message) -> dns.message.Message:
        message = reply(query)
        message.flags |= dns.flags.TC
        return message

    warned: list[str] = []
    watch = PropagationWatch(
        Propagation(timeout=timedelta(seconds=60)),
        Zones(Resolvers((f"{RESOLVER}:{port}",))),
        until=lambda: math.inf,
    )
    with (
        ScriptedDns(resolver, address=RESOLVER, port=port),
        ScriptedDns(cut, address=FIRST, port=port, tcp=crowd),
        ScriptedDns(cut, address=SECOND, port=port, tcp=lambda _: None),
    ):
        watch.wait({PLACE: frozenset({VALUE})}, warned.append)
    (warning,) = warned
    assert "too long for UDP" in warning


def test_waiting_ends_when_the_run_is_told_to_stop(port: int) -> None:
    """The end of waiting comes nearer while it waits."""
    asked = [0]

    def until() -> float:
        asked[0] += 1
        return math.inf if asked[0] < 5 else 0.0

    with pytest.raises(RetryLater):
        wait(port, shows, lacks, until=until, timeout=timedelta(hours=1))


def test_no_check(monkeypatch: pytest.MonkeyPatch) -> None:
    """`check = "none"` asks nobody and waits as long as is stated."""
    slept: list[float] = []
    now = [0.0]

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        now[0] += seconds

    monkeypatch.setattr(clock, "sleep", sleep)
    monkeypatch.setattr(clock, "monotonic", lambda: now[0])
    rule = Propagation(check=PropagationCheck.NONE, wait=timedelta(seconds=60))
    PropagationWatch(rule, Zones(Resolvers(("127.0.0.29:1",))), until=lambda: math.inf).wait({}, pytest.fail)
    assert sum(slept) == 60


def test_resolvers_are_asked_last(port: int) -> None:
    """With `check = "resolvers"` these are asked when the zone's servers show it: they remember a denial."""
    order: list[str] = []

    def late(query: dns.message.Message) -> dns.message.Message:
        order.append("server")
        return shows(query) if len(order) > 3 else lacks(query)

    def remembering(query: dns.message.Message) -> dns.message.Message:
        if query.question[0].rdtype != dns.rdatatype.TXT:
            return resolver(query)
        order.append("resolver")
        return reply(query, f"{NAME}. 1 CNAME end.test.", f'end.test. 1 TXT "{VALUE}"', authoritative=False)

    with (
        ScriptedDns(remembering, address=RESOLVER, port=port),
        ScriptedDns(late, address=FIRST, port=port),
        ScriptedDns(shows, address=SECOND, port=port),
    ):
        rule = Propagation(check=PropagationCheck.RESOLVERS, timeout=timedelta(seconds=60))
        watch = PropagationWatch(rule, Zones(Resolvers((f"{RESOLVER}:{port}",))), until=lambda: math.inf)
        watch.wait({PLACE: frozenset({VALUE})}, pytest.fail)
    assert order == ["server"] * 4 + ["resolver"]
