"""`renewer discover` on a host with real servers: everything is named, and nothing invented."""

import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.agent import Agent
from tests.discover.nine import EXPIRED, NAMES, READABLE, STALE, NineServers, fingerprint
from tests.servers.certificates import Pair, ServerRoot
from tests.servers.own_host import emptied, own_host

TIMER = Path("/etc/systemd/system/timers.target.wants/certbot.timer")
pytestmark = pytest.mark.real


class Looked(NineServers):
    """Those servers, and what was said of them."""

    found: dict[str, Any]
    document: dict[str, Any]
    doctor: dict[str, Any]
    text: str

    def of(self, name: str) -> Any:
        """What was found of the certificate for a name."""
        return self.found[fingerprint(self.pairs[name])]


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Looked]:
    """All servers started, looked at once as a newcomer would: without a configuration."""
    # Others than root may enter it, unlike pytest's own: servers give up their rights before they read
    place = Path(tempfile.mkdtemp(prefix="rnw-"))
    place.chmod(0o755)
    host = Looked(place)
    expired = host.issue(EXPIRED, not_before=datetime.now(UTC) - timedelta(days=100))
    with own_host(tmp_path_factory.mktemp("scratch")), ExitStack() as stack:
        emptied()
        TIMER.parent.mkdir(parents=True, exist_ok=True)
        unit = Path("/etc/systemd/system/certbot.timer")
        unit.write_text("[Timer]\nOnCalendar=daily\n")
        TIMER.symlink_to(unit)
        host.start(stack)
        argv = (sys.executable, "-m", "renewer", "--config", "/nonexistent")
        host.text = _said([*argv, "discover", "--json", str(expired.cert.parent)], 0)
        host.document = json.loads(host.text)
        host.found = {one["fingerprint_sha256"]: one for one in host.document["certificates"]}
        host.doctor = json.loads(_said([*argv, "doctor", "--host", "--json"], 3))
        yield host
    shutil.rmtree(place)


def _said(argv: list[str], code: int) -> str:
    ended = subprocess.run(argv, capture_output=True, text=True, timeout=180, check=False)
    assert ended.returncode == code, ended.stderr
    return ended.stdout


@pytest.mark.parametrize("name", sorted(NAMES))
def test_each_server_is_named_with_its_line_and_its_port(name: str, host: Looked) -> None:
    """Who reads a certificate, where that is written, and that its port shows what is on disk."""
    one = host.of(name)
    assert {use["server"] for use in one["servers"]} == {NAMES[name]}
    assert all(use["line"] >= 1 and use["config"] for use in one["servers"])
    assert one["names"] == [name]
    assert one["renewed_by"] is None
    if name not in STALE:
        assert one["ports"]
        assert all(port["matches_disk"] for port in one["ports"])
    assert any(place.startswith(one["servers"][0]["config"]) for place in one["how"])


def test_everything_is_named_and_nothing_invented(host: Looked) -> None:
    """What is wrong is said of whom it concerns, and of nobody else; there are no certificates but those."""
    wanted = {name: ["nobody-renews"] for name in NAMES}
    wanted |= {name: ["port-differs", "nobody-renews"] for name in STALE}
    wanted |= {READABLE: ["key-readable", "nobody-renews"], EXPIRED: ["expired"]}
    codes = {name: [each["code"] for each in host.of(name)["findings"]] for name in wanted}
    assert codes == wanted
    shown = {print_: host.found[print_] for print_ in host.loaded.values()}
    assert [[port["matches_disk"] for port in one["ports"]] for one in shown.values()] == [[False], [False]]
    assert set(host.found) == {*map(fingerprint, host.pairs.values()), *shown}
    assert host.document["findings"] == []
    assert [one for one in host.document["unread"] if "in a container" not in one["place"]] == []
    assert "PRIVATE KEY" not in host.text


def test_the_doctor_of_that_host(host: Looked) -> None:
    """The same by what to do, and certbot's timer; each with why it matters."""
    found: dict[str, set[str]] = {}
    for one in host.doctor["findings"]:
        found.setdefault(one["code"], set()).add(one["about"])
        assert one["why"]
    found.pop("clock-alone", None)  # the machine's
    assert found.pop("nobody-renews") == set(NAMES)
    assert found == {
        "port-differs": set(STALE),
        "key-readable": {READABLE},
        "other-client": {"certbot"},
        "no-configuration": {""},
    }


def test_when_each_was_seen_is_remembered(tmp_path: Path) -> None:
    """First and last seen come from the ledger, where there is a state; the table has a line for each."""
    pair = ServerRoot().issue(tmp_path / "lying", "lying.example.org")
    agent = Agent(tmp_path / "agent", {})
    agent.state.mkdir(parents=True, mode=0o700)
    first = _only(agent.json("discover", "--json", str(pair.cert.parent)), pair)
    again = _only(agent.json("discover", "--json", str(pair.cert.parent)), pair)
    assert first["first_seen"] == first["last_seen"] == again["first_seen"] < again["last_seen"]
    table = agent.cli("discover", str(pair.cert.parent)).out
    assert any(line.startswith("lying.example.org\t") and "nobody" in line for line in table.splitlines())


@pytest.mark.parametrize(
    ("form", "says"), [("text", "ready for 47 days"), ("html", "<!doctype html>"), ("json", "first")]
)
def test_the_readiness_of_this_host(form: str, says: str, tmp_path: Path) -> None:
    """The report finds what is on this host, in each form, and needs no configuration for it."""
    live = tmp_path / "state" / "certificates" / "www" / "versions" / "1"
    ServerRoot().issue(live, "ready.example.org", stem="fullchain")
    agent = Agent(tmp_path, {})
    agent.state.chmod(0o700)
    (live.parents[1] / "live").symlink_to("versions/1")
    said = agent.cli("report", "--readiness", "--format", form).out
    assert "ready.example.org" in said
    if form == "json":
        document = json.loads(said)
        one = next(one for one in document["certificates"] if one["names"] == ["ready.example.org"])
        assert one["renewed_by"] == "renewer"
        assert one["ready"] == {"64d": True, "47d": True, "6d": True}
        assert one["reasons"] == []
    else:
        assert says in said


def _only(document: Any, pair: Pair) -> Any:
    return next(one for one in document["certificates"] if one["fingerprint_sha256"] == fingerprint(pair))
