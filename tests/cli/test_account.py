"""`renewer account` against a real Pebble, as an operator types it."""

from pathlib import Path

import pytest

from tests.agent import Agent, at_pebble
from tests.servers.pebble import Pebble


@pytest.fixture
def agent(tmp_path: Path, pebble: Pebble) -> Agent:
    """An agent that has done nothing yet."""
    return at_pebble(tmp_path, pebble)


def test_show_before_there_is_one(agent: Agent) -> None:
    """Nothing is registered by looking; it says how one comes to be."""
    (shown,) = agent.json("account", "show")["accounts"]
    assert (shown["authority"], shown["status"], shown["url"], shown["error"]) == (
        "pebble",
        "none",
        None,
        None,
    )
    assert shown["eab_needed"] is False
    assert shown["terms"]
    assert "renewer account register pebble" in agent.cli("account", "show").out
    assert not (agent.state / "authorities").exists()


def test_registered_shown_and_rolled_over(agent: Agent) -> None:
    """The account keeps its URL, its key changes, and what lies on disk is told."""
    made = agent.json("account", "register")
    assert made["new"] is True
    (shown,) = agent.json("account", "show", "pebble")["accounts"]
    assert (shown["url"], shown["status"], shown["thumbprint"]) == (made["url"], "valid", made["thumbprint"])
    assert shown["contact"] == ["mailto:ops@example.org"]
    assert shown["orders"]
    assert shown["disk"]["files"] == ["account.json", "key.pem"]
    rolled = agent.json("account", "rollover")
    assert rolled["url"] == made["url"]
    assert rolled["thumbprint"] != made["thumbprint"]
    assert agent.json("account", "register")["new"] is False
    text = agent.cli("account", "show").out
    for word in ("valid", made["url"], rolled["thumbprint"], "not needed", "mailto:ops@example.org"):
        assert word in text
    assert agent.json("run")["exit"] == 0


def test_deactivate_asks_and_says_what_follows(agent: Agent) -> None:
    """Nobody to answer: nothing is done. With --yes renewals fail with the way out, until it is taken."""
    agent.json("account", "register")
    ended = agent.cli("account", "deactivate")
    assert ended.code == 2
    assert "renewals of www at pebble will fail until a new one is registered" in ended.err
    assert "--yes" in ended.err
    assert agent.json("account", "show")["accounts"][0]["status"] == "valid"

    ended = agent.cli("account", "deactivate", "--yes")
    assert ended.code == 0
    assert "renewer account register pebble" in ended.err
    (shown,) = agent.json("account", "show", code=1)["accounts"]
    assert shown["status"] == "deactivated"
    document = agent.json("run", code=3)
    assert document["outcomes"][0]["hint"] == "make a new one: renewer account register pebble"

    assert agent.json("account", "register")["new"] is True
    assert agent.json("run", "--force")["exit"] == 0


def test_recover_with_a_key_of_a_backup(agent: Agent, tmp_path: Path) -> None:
    """A lost state directory and a saved key: the same account is used again."""
    made = agent.json("account", "register")
    (key,) = agent.state.glob("authorities/*/pebble/key.pem")
    saved = tmp_path / "saved.pem"
    saved.write_bytes(key.read_bytes())
    agent.state.rename(tmp_path / "lost")
    found = agent.json("account", "recover", "--key", str(saved))
    assert (found["url"], found["thumbprint"]) == (made["url"], made["thumbprint"])
    ended = agent.cli("account", "recover", "--key", str(tmp_path / "none.pem"))
    assert (ended.code, "cannot be read" in ended.err) == (2, True)


def test_nothing_to_recover(agent: Agent) -> None:
    """Without any key it says so, and what can be done."""
    ended = agent.cli("account", "recover")
    assert ended.code == 1
    assert "no key here opens an account at pebble" in ended.err
    assert "--key FILE" in ended.err


def test_which_authority(agent: Agent, pebble: Pebble) -> None:
    """With several authorities one is named; an unknown one is refused with those that there are."""
    agent.tables["authority.other"] = {**agent.tables["authority.pebble"], "directory": pebble.directory}
    for arguments in (["rollover"], ["rollover", "nobody"]):
        ended = agent.cli("account", *arguments)
        assert ended.code == 2
        assert "pebble, other" in ended.err
    assert len(agent.json("account", "show")["accounts"]) == 2


def test_an_authority_that_cannot_be_reached(agent: Agent) -> None:
    """The fault is part of the answer; what lies on disk is shown all the same."""
    agent.json("account", "register")
    agent.tables["authority.pebble"]["proxy"] = "http://127.0.0.1:9"
    (shown,) = agent.json("account", "show", code=1)["accounts"]
    assert "cannot be reached" in shown["error"]
    assert shown["disk"]["files"] == ["account.json", "key.pem"]
