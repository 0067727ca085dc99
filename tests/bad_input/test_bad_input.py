"""Whatever an operator gets wrong, or an authority ends: each has its own clear message and its own way out.

The words are told by `run`, remembered for `status`, and are a person's business at once (exit 3) unless the
world may mend them by itself.
"""

from pathlib import Path
from typing import Any

import pytest

from renewer.model.facts import Order
from tests.agent import Agent, at_pebble
from tests.servers.faultproxy import AUTHORIZATION, FINALIZE, FaultProxy, problem
from tests.servers.pebble import Pebble, PebbleFactory, new_eab_key


@pytest.fixture
def agent(tmp_path: Path, pebble: Pebble) -> Agent:
    """An agent that has done nothing yet."""
    return at_pebble(tmp_path, pebble)


def told(agent: Agent, *arguments: str, code: int = 3) -> tuple[str, str]:
    """What the failed issue says, and what to do; `status` says the same."""
    (outcome,) = agent.json("run", *arguments, code=code)["outcomes"]
    assert (outcome["step"], outcome["result"]) in {("issue", "failed"), ("resume", "failed")}
    (status,) = agent.json("status", code=code)["certificates"]
    assert status["last_error"] == outcome["detail"]
    return outcome["detail"], outcome["hint"]


def through(agent: Agent, pebble: Pebble, directory: Path) -> FaultProxy:
    """The authority behind a proxy that can refuse in its name."""
    proxy = FaultProxy(pebble, directory)
    agent.tables["authority.pebble"] |= {"directory": proxy.directory, "ca_bundle": str(proxy.ca_bundle)}
    return proxy


def test_unknown_profile(agent: Agent, pebble: Pebble) -> None:
    """Nothing is ordered; the message names those that there are."""
    agent.tables["certificate.www"]["profile"] = "tlsserver"
    mark = pebble.mark()
    text, hint = told(agent)
    assert text == "pebble has no profile 'tlsserver'; it offers default, long, seconds, shortlived"
    assert hint == "choose one of these, or remove profile"
    assert pebble.orders_created(mark) == 0


def test_credentials_missing_and_wrong(pebble_factory: PebbleFactory, tmp_path: Path) -> None:
    """RFC 8555, section 7.3.4: an authority that wants them says so, and which table they go into."""
    pebble = pebble_factory(eab={"kid-1": new_eab_key()})
    agent = at_pebble(tmp_path, pebble)
    text, hint = told(agent)
    assert text == "pebble registers accounts only with external account credentials"
    assert "[authority.pebble]" in hint

    secret = tmp_path / "hmac"
    agent.tables["authority.pebble"]["eab"] = {"kid": "kid-1", "hmac": {"file": str(secret)}}
    text, _ = told(agent, "--force")
    assert "HMAC key" in text

    secret.touch(mode=0o600)
    secret.write_text(new_eab_key())
    text, hint = told(agent, "--force")
    assert text.startswith("pebble refused to register the account")
    assert "some may be used only once" in hint


def test_credentials_spent(agent: Agent, pebble: Pebble, tmp_path: Path) -> None:
    """Credentials for one use that were used: the authority's words, and where to get new ones."""
    secret = tmp_path / "hmac"
    secret.touch(mode=0o600)
    secret.write_text(new_eab_key())
    agent.tables["authority.pebble"]["eab"] = {"kid": "kid-1", "hmac": {"file": str(secret)}}
    with through(agent, pebble, tmp_path / "proxy") as proxy:
        spent = problem("unauthorized", 403, "external account key has already been used")
        proxy.inject(spent, path="/sign-me-up", times=None)
        text, hint = told(agent)
    assert "external account key has already been used" in text
    assert hint.startswith("check eab in [authority.pebble]: kid 'kid-1'")
    assert "some may be used only once" in hint


def test_refused_name(pebble_factory: PebbleFactory, tmp_path: Path) -> None:
    """The refused name is named, with both ways out."""
    pebble = pebble_factory(blocklist=["blocked.example.org"])
    agent = at_pebble(tmp_path, pebble, names=["www.example.org", "blocked.example.org"])
    text, hint = told(agent)
    assert "blocked.example.org" in text
    assert "rejectedIdentifier" in text
    assert hint == "the authority will not issue for this name: remove it, or use another authority"


def test_deactivated_account(agent: Agent) -> None:
    """Ended behind our back: the message says which command tells more, and which makes a new one."""
    agent.json("account", "register")
    (document,) = agent.state.glob("authorities/*/pebble/account.json")
    before = document.read_bytes()
    agent.json("account", "deactivate", "--yes")
    document.write_bytes(before)
    text, hint = told(agent)
    assert "deactivated" in text
    assert "renewer account show pebble" in hint
    assert "renewer account register pebble" in hint


@pytest.mark.parametrize(
    ("kind", "detail"),
    [
        ("badPublicKey", "RSA keys below 3072 bits are not accepted"),
        ("badCSR", "CSR has a key of a curve that is not allowed"),
    ],
)
def test_refused_key_type(agent: Agent, pebble: Pebble, tmp_path: Path, kind: str, detail: str) -> None:
    """The authority does not like the certificate's key: its reason, and the key in the config to change."""
    with through(agent, pebble, tmp_path / "proxy") as proxy:
        proxy.inject(problem(kind, 400, detail), path=FINALIZE, times=None)
        text, hint = told(agent)
    assert detail in text
    assert hint.startswith("choose another key type")


def test_refused_account_key_type(agent: Agent, pebble: Pebble, tmp_path: Path) -> None:
    """Another type of problem is about the account's key, and says so."""
    with through(agent, pebble, tmp_path / "proxy") as proxy:
        refusal = problem("badSignatureAlgorithm", 400, "ES384 is not supported")
        proxy.inject(refusal, path="/sign-me-up", times=None)
        text, hint = told(agent)
    assert "ES384 is not supported" in text
    assert hint == "choose another account_key for this authority"


def test_moved_directory(agent: Agent, pebble: Pebble) -> None:
    """404 at the directory: it may have moved, and the URL that was asked is named."""
    agent.tables["authority.pebble"]["directory"] = pebble.directory.replace("/dir", "/v1/dir")
    text, hint = told(agent)
    assert text.startswith("there is no ACME directory at https://127.0.0.1:")
    assert "it may have moved" in text
    assert "correct `directory`" in hint


def test_no_directory_there(agent: Agent, pebble: Pebble) -> None:
    """Something answers that is no ACME directory: the settings of a proxy or a wrong path."""
    agent.tables["authority.pebble"]["directory"] = pebble.directory.replace("/dir", "/sign-me-up")
    text, hint = told(agent)
    assert text.startswith("there is no ACME directory at https://127.0.0.1:")
    assert "correct `directory`" in hint


def test_untrusted_authority(agent: Agent) -> None:
    """Its own TLS certificate leads to no root of ours: ca_bundle is what is missing."""
    del agent.tables["authority.pebble"]["ca_bundle"]
    text, hint = told(agent)
    assert "is not trusted" in text
    assert "ca_bundle" in hint


def test_terms_not_agreed_to(agent: Agent) -> None:
    """Without the operator's word nobody agrees to anything: a fault of the config, with its place."""
    agent.tables["authority.pebble"]["agree_terms"] = False
    ended = agent.cli("run")
    assert ended.code == 2
    assert "authority.pebble.agree_terms" in ended.err


@pytest.mark.parametrize(
    ("what", "answer"),
    [
        ("invalid", None),
        ("gone", problem("malformed", 404, "no such order")),
    ],
)
def test_expired_order(agent: Agent, pebble: Pebble, tmp_path: Path, what: str, answer: Any) -> None:
    """An order that has ended since it was begun: a new one in the same run, and no failure is counted."""
    with through(agent, pebble, tmp_path / "proxy") as proxy:
        proxy.inject(problem("serverInternal", 500, "out of order"), path=AUTHORIZATION, times=None)
        agent.json("run", code=1)
        (order,) = agent.remembered(Order)
        assert order.url
        proxy.clear()
        if answer is None:
            pebble.kill()
            pebble.start()  # it remembers no order, and no account either
        else:
            path = order.url.partition("/my-order/")[2]
            proxy.inject(answer, path=f"/my-order/{path}", times=None)
        mark = pebble.mark()
        document = agent.json("run", "--force")
    assert [one["result"] for one in document["outcomes"]] == ["done"] * 3
    assert [one["step"] for one in document["outcomes"]][1:] == ["install", "deploy"]
    assert pebble.orders_created(mark if answer else 0) >= 1, what
    assert agent.json("status")["certificates"][0]["failures"] == 0
