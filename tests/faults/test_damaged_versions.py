"""A version on disk that is damaged and that nobody needs is told, and alarms nobody."""

from pathlib import Path

from tests.agent import Agent, at_pebble
from tests.servers.pebble import Pebble


def _versions(agent: Agent) -> list[Path]:
    return sorted((agent.state / "certificates/www/versions").iterdir())


def test_old_version_that_is_damaged(tmp_path: Path, pebble: Pebble) -> None:
    """The live one is whole: all is well, a note names the damage, and the next renewal takes it away."""
    agent = at_pebble(tmp_path, pebble, endpoints=[])
    assert agent.cli("run").code == 0
    assert agent.cli("run", "--force").code == 0
    old, _ = _versions(agent)
    (old / "privkey.pem").write_bytes(b"")

    ended = agent.cli("run")
    assert ended.code == 0, ended
    assert old.name in ended.err
    assert "is not a complete version" in ended.err
    status = agent.json("status")
    assert (status["exit"], status["certificates"][0]["healthy"]) == (0, True)

    assert agent.cli("run", "--force").code == 0
    assert old not in _versions(agent)
    assert agent.cli("run").err == ""


def test_live_version_that_is_damaged_is_not_well(tmp_path: Path, pebble: Pebble) -> None:
    """What servers are given matters, whatever else lies there."""
    agent = at_pebble(tmp_path, pebble, endpoints=[])
    assert agent.cli("run").code == 0
    live = agent.state / "certificates/www/live"
    (live / "privkey.pem").write_bytes(b"")

    status = agent.json("status", code=3)
    assert status["certificates"][0]["healthy"] is False
