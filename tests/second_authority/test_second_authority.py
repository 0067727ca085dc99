"""Everything once more at an authority that nobody at Let's Encrypt wrote."""

from datetime import timedelta
from pathlib import Path

import pytest
from cryptography import x509

from renewer.model.facts import Failure
from tests.agent import Agent, authority
from tests.second_authority.conftest import at_second, table
from tests.servers.acme2certifier import Acme2certifier, Acme2certifierFactory
from tests.servers.pebble import PebbleFactory, new_eab_key

pytestmark = pytest.mark.real


def lifetime(agent: Agent) -> timedelta:
    """Of the live certificate."""
    leaf = agent.chain()[0]
    return leaf.not_valid_after_utc - leaf.not_valid_before_utc


def steps(document: dict[str, list[dict[str, str]]]) -> list[str]:
    """What was done, all of it well."""
    assert {one["result"] for one in document["outcomes"]} <= {"done"}
    return [one["step"] for one in document["outcomes"]]


def test_issue(tmp_path: Path, second: Acme2certifier) -> None:
    """From newAccount to the live chain, several names in one order."""
    agent = at_second(tmp_path, second, profile="long", names=["www.example.org", "b.example.org"])
    assert steps(agent.json("run")) == ["issue", "install", "deploy"]
    chain = agent.chain()
    chain[0].verify_directly_issued_by(x509.load_pem_x509_certificate(second.issuer.read_bytes()))
    names = chain[0].extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert set(names.get_values_for_type(x509.DNSName)) == {"www.example.org", "b.example.org"}
    assert agent.json("run")["outcomes"] == []


def test_renewed_by_its_window(tmp_path: Path, second: Acme2certifier) -> None:
    """RFC 9773: the window is asked for after the issue and rules; once it is over, the next run renews."""
    agent = at_second(tmp_path, second, profile="long")
    agent.json("run")
    first = agent.serial()
    (status,) = agent.json("status")["certificates"]
    leaf = agent.chain()[0]
    # It suggests the last 15 % of the lifetime; the lifetime's share of ours would be earlier.
    start = leaf.not_valid_before_utc + 0.849 * lifetime(agent)
    assert status["renew_at"] > start.isoformat()
    assert "window" in status["renew_reason"]
    second.renew_now()
    document = agent.json("run", "--ask")
    assert document["steps"][0]["reason"] == "window-reached"
    assert steps(document) == ["issue", "install", "deploy"]
    assert agent.serial() != first


def test_profiles(tmp_path: Path, second: Acme2certifier) -> None:
    """The profile asked for is the one got; a changed one re-issues; an unknown one is never ordered."""
    agent = at_second(tmp_path, second, profile="short")
    agent.json("run")
    assert lifetime(agent) == timedelta(days=6)
    agent.tables["certificate.www"]["profile"] = "long"
    document = agent.json("run")
    assert document["steps"][0]["reason"] == "wish-changed"
    assert lifetime(agent) == timedelta(days=90)
    agent.tables["certificate.www"]["profile"] = "eternal"
    document = agent.json("run", code=3)
    assert document["outcomes"][0]["detail"] == "second has no profile 'eternal'; it offers long, short"


def test_external_account_binding(tmp_path: Path, second_factory: Acme2certifierFactory) -> None:
    """RFC 8555, section 7.3.4: missing, wrong, right, and spent credentials, each with its own words."""
    key = new_eab_key()
    second = second_factory(eab={"kid-1": key})
    agent = at_second(tmp_path, second)
    document = agent.json("run", code=3)
    assert "only with external account credentials" in document["outcomes"][0]["detail"]
    assert "eab = {" in document["outcomes"][0]["hint"]

    secret = tmp_path / "hmac"
    secret.touch(mode=0o600)
    secret.write_text(new_eab_key())
    agent.tables["authority.second"]["eab"] = {"kid": "kid-1", "hmac": {"file": str(secret)}}
    document = agent.json("run", code=3)
    assert "to register the account" in document["outcomes"][0]["detail"]
    assert "check eab" in document["outcomes"][0]["hint"]

    secret.write_text(f"{key}\n")
    assert steps(agent.json("run", "--force")) == ["issue", "install", "deploy"]
    # They were for registering only: once that is done, nobody misses the secret.
    secret.unlink()
    assert steps(agent.json("run", "--force")) == ["issue", "install", "deploy"]
    # Spent: a new account gets nothing for them.
    second.eab = {"kid-2": new_eab_key()}
    second.restart()
    secret.touch(mode=0o600)
    secret.write_text(key)
    (agent.state / "authorities").rename(agent.state / "lost")
    document = agent.json("run", "--force", code=1)
    assert "some may be used only once" in document["outcomes"][0]["hint"]


def test_account_and_revocation(tmp_path: Path, second: Acme2certifier) -> None:
    """Rollover, revocation, and the end of the account work there as well."""
    agent = at_second(tmp_path, second, profile="long")
    agent.json("run")
    url = agent.json("account", "show")["accounts"][0]["url"]
    assert agent.json("account", "rollover")["url"] == url
    assert agent.json("revoke", "www", "--reason", "superseded", "--yes")["revoked"][0]["by"] == "account"
    # It takes no revocation by the key itself: told, and with a compromised key the account steps in.
    ended = agent.cli("revoke", "www", "--with-key", "--yes")
    assert (ended.code, "second refused to revoke" in ended.err) == (1, True)
    document = agent.json("revoke", "www", "--reason", "keyCompromise", "--yes")
    assert document["revoked"][0]["by"] == "account"
    assert agent.json("account", "deactivate", "--yes")["url"] == url
    assert agent.json("run", "--force", code=3)["outcomes"][0]["hint"] == (
        "make a new one: renewer account register second"
    )
    assert agent.json("account", "register")["new"] is True
    assert steps(agent.json("run", "--force")) == ["issue", "install", "deploy"]


def test_rehearsed(tmp_path: Path, second: Acme2certifier) -> None:
    """It can be the stage for another authority's certificates."""
    agent = at_second(tmp_path, second)
    agent.tables["authority.real"] = table(second, profile="long", staging=second.directory)
    agent.tables["certificate.www"]["authority"] = "real"
    assert agent.json("rehearse")["well"] is True


def test_failover_and_return(tmp_path: Path, second: Acme2certifier, pebble_factory: PebbleFactory) -> None:
    """The first authority is dead: the second one steps in; at the next regular renewal the first is back."""
    first = pebble_factory(http_port=80)
    first.dns.set_default_ipv4(second.web)
    agent = at_second(tmp_path, second)
    del agent.tables["certificate.www"]["authority"]
    agent.tables["certificate.www"]["authorities"] = ["first", "second"]
    agent.tables["authority.first"] = authority(first)
    agent.tables["authority.second"]["profile"] = "long"
    first.kill()
    for _ in range(2):
        document = agent.json("run", "--force", code=1)
        assert "cannot be reached" in document["outcomes"][0]["detail"]
    outcomes = agent.json("run", "--force")["outcomes"]
    assert [(one["step"], one["result"]) for one in outcomes] == [
        ("issue", "failed"),
        ("issue", "done"),
        ("install", "done"),
        ("deploy", "done"),
    ]
    assert agent.json("status")["certificates"][0]["authority"] == "second"
    assert agent.remembered(Failure) == []

    first.start()
    first.dns.set_default_ipv4(second.web)
    assert agent.json("run")["outcomes"] == []  # what is installed does not depend on who is back
    second.renew_now()
    document = agent.json("run", "--ask")
    assert steps(document) == ["issue", "install", "deploy"]
    assert agent.json("status")["certificates"][0]["authority"] == "first"
    assert first.certificates_issued()[-1] == agent.serial()
