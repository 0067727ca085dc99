"""`renewer revoke` against a real Pebble, whose own lists say what is revoked."""

from pathlib import Path

import pytest

from renewer.model.facts import Revoked
from tests.agent import Agent, at_pebble
from tests.servers.pebble import Pebble


@pytest.fixture
def agent(tmp_path: Path, pebble: Pebble) -> Agent:
    """An agent with an issued certificate."""
    made = at_pebble(tmp_path, pebble)
    assert made.json("run")["exit"] == 0
    return made


def versions(agent: Agent) -> list[str]:
    """The versions on disk, oldest first."""
    return sorted(one.name for one in (agent.state / "certificates/www/versions").iterdir())


def test_revoked_and_replaced(agent: Agent, pebble: Pebble) -> None:
    """The authority has it revoked, a new one is live at once, and the revoked one never comes back."""
    first = agent.serial()
    document = agent.json("revoke", "www", "--reason", "superseded", "--yes")
    assert [(one["serial"].lstrip("0"), one["by"]) for one in document["revoked"]] == [(first, "account")]
    assert [one["step"] for one in document["outcomes"]] == ["issue", "install", "deploy"]
    assert document["steps"][0]["reason"] == "revoked"
    assert pebble.cert_status(first) == "Revoked"
    assert pebble.cert_status(agent.serial()) == "Valid"
    (fact,) = agent.remembered(Revoked)
    assert (fact.done, fact.reason) == (True, "superseded")
    assert agent.json("run")["outcomes"] == []


def test_kept_for_the_next_run(agent: Agent, pebble: Pebble) -> None:
    """--keep orders nothing now and says so: what is served stays, status warns, the next run replaces it."""
    first = agent.serial()
    mark = pebble.mark()
    ended = agent.cli("revoke", "www", "--keep", "--yes")
    assert ended.code == 0
    assert "until the next run replaces it" in ended.err
    assert agent.serial() == first
    assert pebble.orders_created(mark) == 0
    status = agent.json("status", code=3)["certificates"][0]
    assert status["healthy"] is False
    assert "is revoked" in status["why"]
    assert agent.json("plan", code=3)["steps"][0]["reason"] == "revoked"
    assert agent.json("run")["exit"] == 0
    assert agent.serial() != first


def test_an_older_version_does_not_come_back(agent: Agent, pebble: Pebble) -> None:
    """The newest is revoked while an older one is still valid: it stays served until the new one is there."""
    agent.json("run", "--force")
    older, newest = agent.serial(), None
    agent.json("run", "--force")
    newest = agent.serial()
    agent.cli("revoke", "www", "--keep", "--yes")
    plan = agent.json("plan", code=3)
    assert next(step["step"] for step in plan["steps"]) == "issue"
    assert agent.serial() == newest
    assert pebble.cert_status(older) == "Valid"


def test_revoking_an_old_version_replaces_nothing(agent: Agent, pebble: Pebble) -> None:
    """The live one is not concerned, so nothing is ordered."""
    first, version = agent.serial(), versions(agent)[-1]
    agent.json("run", "--force")
    live, mark = agent.serial(), pebble.mark()
    document = agent.json("revoke", "www", "--version", version, "--yes")
    assert "outcomes" not in document
    assert pebble.cert_status(first) == "Revoked"
    assert (agent.serial(), pebble.orders_created(mark)) == (live, 0)
    assert agent.json("run")["outcomes"] == []


def test_a_compromised_key_is_never_used_again(tmp_path: Path, pebble: Pebble) -> None:
    """With reuse_key all versions of that key are revoked, by the key itself; the next gets a new one."""
    agent = at_pebble(tmp_path, pebble, reuse_key=True)
    agent.json("run")
    first, key = agent.serial(), agent.key()
    agent.json("run", "--force")
    second = agent.serial()
    assert agent.key() == key
    document = agent.json("revoke", "www", "--reason", "keyCompromise", "--yes")
    assert {one["serial"].lstrip("0") for one in document["revoked"]} == {first, second}
    assert {one["by"] for one in document["revoked"]} == {"key"}
    assert [pebble.cert_status(one) for one in (first, second)] == ["Revoked", "Revoked"]
    assert agent.key() != key
    fresh = agent.key()
    agent.json("run", "--force")
    assert agent.key() == fresh


@pytest.mark.parametrize("how", ["with-key", "account-deactivated", "account-lost"])
def test_by_its_own_key(agent: Agent, pebble: Pebble, how: str) -> None:
    """RFC 8555, section 7.6: the certificate's key is enough, also when the account is gone."""
    first = agent.serial()
    if how == "account-deactivated":
        agent.json("account", "deactivate", "--yes")
    elif how == "account-lost":
        (agent.state / "authorities").rename(agent.state / "gone")
    flags = ["--with-key"] if how == "with-key" else []
    mark = pebble.mark()
    document = agent.json("revoke", "www", "--keep", "--yes", *flags)
    assert document["revoked"][0]["by"] == "key"
    assert pebble.cert_status(first) == "Revoked"
    assert all(one.path != "/sign-me-up" for one in pebble.requests(mark))


def test_said_twice_is_done(agent: Agent, pebble: Pebble) -> None:
    """Killed between the authority's answer and the record: saying it again finishes it."""
    agent.cli("revoke", "www", "--keep", "--yes")
    (fact,) = agent.remembered(Revoked)
    agent.forget(fact)
    assert agent.cli("revoke", "www", "--keep", "--yes").code == 0
    assert agent.remembered(Revoked)[0].done is True
    assert pebble.cert_status(agent.serial()) == "Revoked"


def test_a_refusal_changes_nothing(agent: Agent, pebble: Pebble) -> None:
    """An authority that refuses the reason: its words are told, and the version stays wanted."""
    mark = pebble.mark()
    agent.tables["authority.pebble"]["directory"] = pebble.directory.replace("/dir", "/nowhere")
    ended = agent.cli("revoke", "www", "--yes")
    assert ended.code == 1
    assert "no ACME directory" in ended.err
    assert agent.remembered(Revoked) == []
    assert pebble.orders_created(mark) == 0


def test_asked_first(agent: Agent) -> None:
    """Without --yes and without anybody to answer nothing is done."""
    ended = agent.cli("revoke", "www")
    assert ended.code == 2
    assert "is revoked for good, and it is live" in ended.err
    assert agent.remembered(Revoked) == []


def test_what_cannot_be_revoked(agent: Agent, tmp_path: Path, pebble: Pebble) -> None:
    """Unknown certificates and versions, and a certificate that was never issued, are refused with words."""
    for arguments, said in (
        (("nobody",), "there is no certificate 'nobody'"),
        (("www", "--version", "20200101T000000Z-00000000"), "www has no version 2020"),
    ):
        ended = agent.cli("revoke", *arguments, "--yes")
        assert (ended.code, said in ended.err) == (2, True)
    never = at_pebble(tmp_path / "never", pebble)
    ended = never.cli("revoke", "www", "--yes")
    assert (ended.code, "nothing was issued yet" in ended.err) == (2, True)


def test_a_failed_deployment_does_not_bring_it_back(tmp_path: Path, pebble: Pebble) -> None:
    """The replacement's hook fails: the new one stays live, for the one before is revoked."""
    script = tmp_path / "hook"
    script.write_text(f"#!/bin/sh\ntest ! -e {tmp_path}/broken\n")
    script.chmod(0o755)
    agent = at_pebble(tmp_path, pebble, hooks=["mine"], endpoints=[])
    agent.tables["hook.mine"] = {"run": str(script)}
    assert agent.json("run")["exit"] == 0
    first = agent.serial()
    (tmp_path / "broken").touch()
    document = agent.json("revoke", "www", "--yes", code=1)
    failed = next(one for one in document["outcomes"] if one["result"] == "failed")
    assert (failed["step"], "stays live" in failed["detail"]) == ("deploy", True)
    assert agent.serial() != first
    (tmp_path / "broken").unlink()
    assert agent.json("deploy", "www")["exit"] == 0


def test_what_could_not_be_revoked_is_asked_for_again(tmp_path: Path, pebble: Pebble) -> None:
    """The authority is away: the version is not wanted any more at once, and a later run has it revoked."""
    agent = at_pebble(tmp_path, pebble)
    agent.json("run")
    first, directory = agent.serial(), agent.tables["authority.pebble"]["directory"]
    agent.tables["authority.pebble"]["directory"] = "https://127.0.0.1:1/directory"
    ended = agent.cli("revoke", "www", "--yes", "--keep")
    assert ended.code == 1
    assert [fact.done for fact in agent.remembered(Revoked)] == [False]
    agent.json("run", code=3)
    assert "is not revoked yet: 127.0.0.1:1 cannot be reached" in agent.cli("log").out
    assert pebble.cert_status(first) == "Valid"

    agent.tables["authority.pebble"]["directory"] = directory
    agent.json("run", "--force")

    assert [fact.done for fact in agent.remembered(Revoked)] == [True]
    assert pebble.cert_status(first) == "Revoked"
    assert agent.serial() != first
