"""The look before a first order: it warns in the renewal log, in seconds, and the order leaves anyway."""

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from renewer import inventory
from renewer.config.load import load
from renewer.context import Context
from renewer.doctor import preflight
from renewer.doctor.examination import Doors
from renewer.doctor.preflight import FirstOrders
from renewer.model.decision import Result
from renewer.model.desired import FirstLook
from renewer.run import Limits, run
from renewer.store.lock import Lock
from tests.agent import Agent, at_pebble, listen
from tests.doctor.conftest import Bed
from tests.servers.bendable import BendableFactory
from tests.servers.pebble import Pebble
from tests.servers.ports import free_port
from tests.servers.scripted_dns import zone

ZONE = zone("example.org", "ns1.example.org 127.0.0.1")
Look = Callable[..., list[dict[str, Any]]]


@pytest.fixture
def look(bed: Bed, tmp_path: Path) -> Look:
    """Looks at a certificate that has no version, as a run does; returns what the log says."""

    def run(times: int = 1, mode: FirstLook = FirstLook.WARN) -> list[dict[str, Any]]:
        config = bed.config("www.example.org")
        agent = msgspec.structs.replace(
            config.agent, state=str(tmp_path / "state"), host="web-1", preflight=mode
        )
        config = msgspec.structs.replace(config, agent=agent)
        with Lock(agent.state), Context(config, write=True) as context:
            (situation,) = inventory.take(context, None).values()
            looking = FirstOrders(context, doors=Doors(dns=bed.dns_port))
            for _ in range(times):
                looking.look(situation)
        log = Path(agent.log_path)
        return [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []

    return run


def test_errors_and_warnings_are_told(bed: Bed, look: Look) -> None:
    """As `notice`, with code and hint; what is merely good to know is not."""
    bed.world(*ZONE, "example.org NS gone.example.org.", '_acme-challenge.www.example.org TXT "x"')

    (event,) = look()

    assert (event["event"], event["certificate"], event["severity"]) == ("notice", "www", "warning")
    assert event["code"] == "server-without-address"
    assert event["hint"]


def test_without_dns_it_is_over_in_a_second(look: Look) -> None:
    """No resolver answers: said once for the whole run, and nobody waits."""
    begun = time.monotonic()
    events = look(times=5)

    assert time.monotonic() - begun < 20
    (event,) = events
    assert "no DNS resolver answers" in event["text"]


def test_all_looks_of_a_run_share_their_time(bed: Bed, look: Look, monkeypatch: pytest.MonkeyPatch) -> None:
    """Silent name servers: many new certificates lose no more than one."""
    monkeypatch.setattr(preflight, "LIMIT", 2.0)
    bed.world(*ZONE, "www.example.org A 127.0.0.1", serving=())
    bed.serve(lambda _: None)

    begun = time.monotonic()
    look(times=10)

    assert time.monotonic() - begun < 15


def test_a_defect_of_the_look_stops_nothing(bed: Bed, look: Look, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is a kindness: if it breaks, that is told, and the order leaves."""
    bed.world(*ZONE)

    def broken(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("renewer.doctor.examination.judge", broken)

    (event,) = look()
    assert "broke: ZeroDivisionError" in event["text"]


def test_it_can_be_switched_off(bed: Bed, look: Look) -> None:
    """Then nobody is asked anything."""
    resolver = bed.resolver(lambda _: None)

    assert look(mode=FirstLook.OFF) == []
    assert resolver.asked == []


def test_a_real_first_order_leaves_after_it(
    bed: Bed, pebble: Pebble, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The name does not exist in our DNS: told before the order, which Pebble then fulfils by its own DNS."""
    bed.world(*ZONE)
    agent = at_pebble(tmp_path, pebble)
    agent.tables["agent"] = {"preflight": "warn", "resolvers": [f"127.0.0.1:{bed.resolver_port}"]}

    agent.json("config", "check")
    monkeypatch.setattr(preflight, "LIMIT", 30.0)  # a busy machine is no reason to see less
    config = load(str(tmp_path / "config.toml"))
    with Lock(config.agent.state), Context(config, write=True) as context:
        assert [one.result for one in run(context, Limits()).outcomes][:2] == [Result.DONE, Result.DONE]

    events = [json.loads(line) for line in (agent.state / "renewal.log").read_text().splitlines()]
    words = [event["event"] for event in events]
    told = [event for event in events if event.get("code")]
    assert told
    assert words.index("notice") < words.index("ordered") < words.index("installed")

    assert agent.cli("run", "--force").code == 0
    events = [json.loads(line) for line in (agent.state / "renewal.log").read_text().splitlines()]
    assert [event for event in events if event.get("code")] == told  # it had a version by then


def test_what_was_seen_from_here_stands_beside_the_authoritys_words(
    bed: Bed, bendable: BendableFactory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The name does not exist, and the authority only says that it found nothing: the screen shows both."""
    bed.world(*ZONE)
    here = Doors(dns=bed.dns_port)
    monkeypatch.setattr(preflight, "LIMIT", 30.0)
    monkeypatch.setattr("renewer.doctor.examination.Doors", lambda: here)
    authority = bendable()
    authority.validate = lambda *_: "nothing there"
    bent = {"directory": authority.directory, "ca_bundle": str(authority.ca_bundle), "agree_terms": True}
    names = {"names": ["www.example.org"], "authority": "bent", "challenge": listen(free_port())}
    looking = {"preflight": "warn", "resolvers": [f"127.0.0.1:{bed.resolver_port}"]}
    agent = Agent(tmp_path, {"agent": looking, "authority.bent": bent, "certificate.www": names})
    agent.json("config", "check")
    config = load(str(tmp_path / "config.toml"))

    with Lock(config.agent.state), Context(config, write=True) as context:
        (failed,) = [one for one in run(context, Limits()).outcomes if one.result is Result.FAILED]

    assert "nothing there" in failed.detail
    assert failed.hint.startswith("seen from here: ")
    assert "www.example.org" in failed.hint
