"""`renewer rehearse` with two Pebbles: one is production, the other its staging."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from renewer.model.facts import Debris, Owed
from tests.agent import Agent, at_pebble
from tests.command import start
from tests.servers.handshake import wait_until
from tests.servers.pebble import Pebble, PebbleFactory

Rehearsal = Callable[..., tuple[Agent, Pebble]]


@pytest.fixture
def rehearsal(tmp_path: Path, pebble: Pebble, pebble_factory: PebbleFactory) -> Rehearsal:
    """Makes an agent with a staging that validates at the same port as production."""

    def make(retry_after_authz: int = 0, **certificate: Any) -> tuple[Agent, Pebble]:
        # Reuse at 100 %: a rehearsal that gave nothing up would live on the authorizations of the last.
        staging = pebble_factory(
            http_port=pebble.http_port, authz_reuse=100, retry_after_authz=retry_after_authz
        )
        agent = at_pebble(tmp_path, pebble, **certificate)
        both = tmp_path / "both.pem"
        both.write_bytes(pebble.ca_bundle.read_bytes() + staging.ca_bundle.read_bytes())
        agent.tables["authority.pebble"] |= {"staging": staging.directory, "ca_bundle": str(both)}
        return agent, staging

    return make


def said(document: dict[str, Any]) -> list[tuple[str, str]]:
    """Steps and results."""
    return [(step["step"], step["result"]) for step in document["steps"]]


def hook(path: Path, body: str) -> str:
    """A hook of one's own."""
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o755)
    return str(path)


def test_all_would_work(rehearsal: Rehearsal, pebble: Pebble) -> None:
    """The staging issues for real; production is asked for its directory only, and nothing is installed."""
    agent, staging = rehearsal(endpoints=["www.example.org"])
    mark = pebble.mark()
    document = agent.json("rehearse", "www")
    assert document["well"] is True
    assert said(document) == [(step, "done") for step in ("decide", "authority", "issue", "install", "look")]
    assert "an account would be registered there" in document["steps"][1]["detail"]
    assert len(staging.certificates_issued()) == 1
    assert [one.path for one in pebble.requests(mark) if one.method == "POST"] == []
    assert not (agent.state / "certificates").exists()
    assert [one.name for one in agent.state.glob("authorities/*/*")] == ["pebble-staging"]


def test_nothing_changes_in_the_real_state(rehearsal: Rehearsal) -> None:
    """Certificates, ledger and log are as before, byte for byte; only the staging's account stays."""
    agent, _ = rehearsal()
    agent.json("run")
    agent.json("rehearse", "www")
    before = agent.files()
    document = agent.json("rehearse", "www")
    assert "we have an account there" in document["steps"][1]["detail"]
    assert "in production a run would now keep" in document["steps"][0]["detail"]
    after = agent.files()
    assert {name for name in before | after if before.get(name) != after.get(name)} == set()


def test_pre_and_post_stand_around_it(rehearsal: Rehearsal, tmp_path: Path) -> None:
    """Challenges may need what a pre hook stops or opens: they are called as by a run; none is owed after."""
    agent, staging = rehearsal(hooks=["mine"], endpoints=[])
    calls = tmp_path / "calls"
    path = hook(tmp_path / "mine", f'echo "$1 $RENEWER_CERTIFICATES" >> {calls}; cat >> {calls}.told')
    agent.tables["hook.mine"] = {"run": path, "events": ["pre", "post"]}
    assert agent.json("rehearse", "www")["well"] is True
    assert calls.read_text().splitlines() == ["pre www", "post www"]
    assert str(agent.state / "certificates/www/live") in Path(f"{calls}.told").read_text()
    assert agent.remembered(Owed) == []

    hook(tmp_path / "mine", f'echo "$1" >> {calls}; echo "no way"; exit 1')
    mark = staging.mark()
    document = agent.json("rehearse", "www", code=1)
    failed = [(step["step"], step["detail"]) for step in document["steps"] if step["result"] == "failed"]
    assert failed == [
        ("issue", "hook mine failed at pre (exit code 1): no way"),
        ("post", "hook mine failed at post (exit code 1): no way"),
    ]
    assert staging.orders_created(mark) == 0
    assert [one.hook for one in agent.remembered(Owed)] == ["mine"]


def test_each_rehearsal_proves_the_names_anew(rehearsal: Rehearsal) -> None:
    """Authorizations are given up: what worked once and is broken now is found out."""
    agent, staging = rehearsal()
    agent.json("rehearse", "www")
    staging.dns.add_a("www.example.org", "127.0.0.99")
    document = agent.json("rehearse", "www", code=1)
    (issue,) = (step for step in document["steps"] if step["step"] == "issue")
    assert issue["result"] == "failed"
    assert "www.example.org" in issue["detail"]
    assert issue["hint"]


def test_hooks_are_tested_against_what_is_live(rehearsal: Rehearsal, tmp_path: Path) -> None:
    """The event `test` alone is run, with the real live paths; one that fails is told with its words."""
    agent, _ = rehearsal(hooks=["mine"])
    run = hook(
        tmp_path / "hook",
        f'echo "$1" >>{tmp_path}/events; echo no such file >&2; test ! -e {tmp_path}/broken',
    )
    agent.tables["hook.mine"] = {"run": run, "events": ["test", "deploy"]}
    agent.tables["certificate.www"]["endpoints"] = []
    assert "nothing is live yet" in str(agent.json("rehearse")["steps"])
    assert not (tmp_path / "events").exists()
    agent.json("run")
    (tmp_path / "events").unlink()
    document = agent.json("rehearse")
    assert said(document)[-1] == ("test", "done")
    assert (tmp_path / "events").read_text() == "test\n"
    (tmp_path / "broken").touch()
    document = agent.json("rehearse", code=1)
    assert said(document)[-1] == ("test", "failed")
    assert "no such file" in document["steps"][-1]["hint"]


def test_without_staging(tmp_path: Path, pebble: Pebble) -> None:
    """It says so, and how to name one, or another authority."""
    ended = at_pebble(tmp_path, pebble).cli("rehearse")
    assert ended.code == 2
    assert "pebble has no staging that we know of" in ended.err
    assert "[authority.pebble]" in ended.err
    assert "--authority" in ended.err
    ended = at_pebble(tmp_path, pebble).cli("rehearse", "--authority", "nobody")
    assert (ended.code, "there is no authority 'nobody'" in ended.err) == (2, True)


def test_at_another_authority(rehearsal: Rehearsal) -> None:
    """--authority names any of the configuration's; its own account and directory are used."""
    agent, staging = rehearsal()
    del agent.tables["authority.pebble"]["staging"]
    agent.tables["authority.other"] = {**agent.tables["authority.pebble"], "directory": staging.directory}
    assert agent.json("rehearse", "--authority", "other")["well"] is True
    assert len(staging.certificates_issued()) == 1


def test_what_production_would_refuse(rehearsal: Rehearsal, tmp_path: Path) -> None:
    """A profile that the staging has and production has not, and a copy without a place, are found."""
    agent, staging = rehearsal()
    agent.tables["certificate.www"] |= {
        "profile": "nosuch",
        "copies": [{"fullchain": f"{tmp_path}/none/www.pem"}],
    }
    document = agent.json("rehearse", code=1)
    steps = {step["step"]: step for step in document["steps"]}
    assert "has no profile 'nosuch'" in steps["authority"]["detail"]
    assert steps["copy"]["result"] == "failed"
    assert staging.certificates_issued() == ()
    text = agent.cli("rehearse").out
    assert "✗ www: authority:" in text
    assert text.endswith("in production this would not work yet\n")


def test_several_at_once(rehearsal: Rehearsal) -> None:
    """--all is spelled out if there are several; one that fails does not stop the others."""
    agent, staging = rehearsal()
    for name in ("a", "b"):
        agent.tables[f"certificate.{name}"] = {
            **agent.tables["certificate.www"],
            "names": [f"{name}.example.org"],
        }
    staging.dns.add_a("a.example.org", "127.0.0.99")
    ended = agent.cli("rehearse")
    assert (ended.code, "--all" in ended.err) == (2, True)
    document = agent.json("rehearse", "--all", code=1)
    issued = {step["certificate"]: step["result"] for step in document["steps"] if step["step"] == "issue"}
    assert issued == {"www": "done", "a": "failed", "b": "done"}


def test_what_a_killed_rehearsal_left_is_swept(rehearsal: Rehearsal, tmp_path: Path) -> None:
    """The challenge's file is on record in the real ledger: the next run takes it away."""
    webroot = tmp_path / "html"
    webroot.mkdir()
    agent, _ = rehearsal(retry_after_authz=3)  # so long is the challenge there for the authority to look
    agent.tables["certificate.www"]["challenge"] = {
        "type": "http-01",
        "webroot": str(webroot),
        "preflight": "off",
    }
    agent.cli("plan")
    process = start("--config", agent.directory / "config.toml", "rehearse")
    challenges = webroot / ".well-known/acme-challenge"
    wait_until(lambda: challenges.is_dir() and any(challenges.iterdir()))
    process.kill()
    assert len(agent.remembered(Debris)) > 0
    assert len(list(challenges.iterdir())) == 1
    agent.cli("run", "--steps", "look")
    assert agent.remembered(Debris) == []
    assert not challenges.exists() or list(challenges.iterdir()) == []
