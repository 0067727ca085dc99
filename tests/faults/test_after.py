"""A listener's `after` that fails: what it should have closed is told until it is closed."""

from pathlib import Path

from renewer.model.facts import Debris
from tests.agent import at_pebble, listen
from tests.servers.pebble import Pebble


def test_a_failing_after_is_told_and_called_again(pebble: Pebble, tmp_path: Path) -> None:
    """The certificate is issued all the same; each run tells of the open port and tries, until it worked."""
    closed, mended = tmp_path / "closed", tmp_path / "mended"
    after = tmp_path / "after.sh"
    after.write_text(f"#!/bin/sh\n[ -e {mended} ] || {{ echo 'no way' >&2; exit 3; }}\necho x >>{closed}\n")
    after.chmod(0o755)
    challenge = {**listen(pebble.http_port), "after": [str(after)]}
    agent = at_pebble(tmp_path / "agent", pebble, challenge=challenge)

    first = agent.json("run")

    place = f"127.0.0.1:{pebble.http_port} (http-01 after)"
    expected = f"left behind by a challenge: {place}; each run tries again to remove it"
    assert [outcome["result"] for outcome in first["outcomes"]][:1] == ["done"]
    assert expected in first["findings"]
    assert "`after` failed" in agent.cli("log").out
    assert "exit code 3, it said: no way" in agent.cli("log").out
    assert expected in agent.cli("run").err
    assert expected in agent.cli("status").out

    mended.touch()

    assert agent.json("run")["findings"] == []
    assert agent.remembered(Debris) == []
    assert closed.read_text() == "x\n"
    assert agent.json("run")["findings"] == []
    assert closed.read_text() == "x\n"
