"""What a run says where nobody reads stdout, as under cron: failures, and nothing else."""

from pathlib import Path

from tests.agent import Agent, at_pebble
from tests.command import renewer
from tests.servers.pebble import Pebble


def test_failures_go_to_stderr(tmp_path: Path, pebble: Pebble) -> None:
    """What failed stands on stderr with its cure, once; a run that only waits for its moment is silent."""
    agent = at_pebble(tmp_path, pebble)
    agent.tables["authority.pebble"]["directory"] = "https://127.0.0.1:9/dir"

    first = agent.cli("run")
    assert first.code == 1
    assert first.err.count("renewer: www: issue: ") == 1, first.err
    assert "127.0.0.1:9" in first.err

    waiting = agent.cli("run")
    assert (waiting.code, waiting.err) == (1, "")


def test_a_person_must_act(tmp_path: Path, pebble: Pebble) -> None:
    """With exit 3 each run says so on stderr, also one that did nothing."""
    agent = at_pebble(tmp_path, pebble)
    agent.tables["authority.pebble"]["profile"] = "none-such"

    first = agent.cli("run")
    assert first.code == 3
    assert "none-such" in first.err

    again = agent.cli("run")
    assert again.code == 3
    assert "a person must act" in again.err
    assert "renewer status" in again.err


def test_well_is_silent(tmp_path: Path, pebble: Pebble) -> None:
    """A run that issued, and one with nothing to do, say nothing on stderr."""
    agent = at_pebble(tmp_path, pebble, endpoints=[])
    assert (agent.cli("run").err, agent.cli("run").err) == ("", "")


def test_nothing_is_said_twice(tmp_path: Path, pebble: Pebble) -> None:
    """Where stdout and stderr lead to the same place, as under systemd, a failure stands there once."""
    agent: Agent = at_pebble(tmp_path, pebble)
    agent.tables["authority.pebble"]["directory"] = "https://127.0.0.1:9/dir"
    agent.cli("plan")
    ended = renewer("--config", tmp_path / "config.toml", "run", together=True)
    assert ended.code == 1
    assert ended.out.count("www: issue: ") == 1, ended.out
