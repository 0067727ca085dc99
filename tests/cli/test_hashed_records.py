"""What a new account key means for records of dns-persist-01 that carry a hash of it."""

from pathlib import Path
from typing import Any

from renewer.model.persist import hashes
from tests.agent import Agent
from tests.servers.bendable import BendableFactory
from tests.servers.bends import Call, members

PREFIX = "https://ca.example/account-hash/"


def _agent(tmp_path: Path, bendable: BendableFactory, *, hashing: bool) -> Agent:
    authority = bendable()
    meta: dict[str, Any] = {
        "issuerDomainNames": ["authority.example"],
        "caaIdentities": ["authority.example"],
    }
    if hashing:
        meta["accountHashPrefix"] = PREFIX
    authority.bend(Call.DIRECTORY, members(meta=meta))
    return Agent(
        tmp_path,
        {
            "authority.bent": {
                "directory": authority.directory,
                "ca_bundle": str(authority.ca_bundle),
                "agree_terms": True,
            },
            "certificate.www": {
                "names": ["example.org", "*.example.org", "www.example.org"],
                "authority": "bent",
                "challenge": {"type": "dns-persist-01", "experimental": True},
            },
        },
    )


def test_records_to_publish_again_are_listed_and_asked_about(
    tmp_path: Path, bendable: BendableFactory
) -> None:
    """Without a yes nothing is done; with it the new records are printed, as `challenge show` prints them."""
    agent = _agent(tmp_path, bendable, hashing=True)
    url = agent.json("account", "register")["url"]
    before = {one["publish"] for one in agent.json("challenge", "show", "www")["challenges"]}
    (shown,) = agent.json("account", "show")["accounts"]
    bound, _ = hashes(PREFIX, "example.org", shown["thumbprint"], url)
    assert (
        f'_validation-persist.example.org. IN TXT "authority.example; accounturi={bound}; policy=wildcard"'
        in before
    )

    asked = agent.cli("account", "rollover")
    assert asked.code == 2
    assert "_validation-persist.example.org., _validation-persist.www.example.org." in asked.err
    assert "--yes" in asked.err
    assert agent.json("account", "show")["accounts"][0]["thumbprint"] == shown["thumbprint"]

    rolled = agent.json("account", "rollover", "--yes")
    assert rolled["thumbprint"] != shown["thumbprint"]
    after = {one["publish"] for one in agent.json("challenge", "show", "www")["challenges"]}
    assert set(rolled["records"]) == after
    assert after.isdisjoint(before)

    told = agent.cli("account", "rollover", "--yes")
    assert told.code == 0
    assert "publish these records" in told.err


def test_records_with_the_accounts_url_stay_good(tmp_path: Path, bendable: BendableFactory) -> None:
    """An authority of the earlier draft knows the URL, which a new key does not change: nobody is asked."""
    agent = _agent(tmp_path, bendable, hashing=False)
    url = agent.json("account", "register")["url"]
    before = {one["publish"] for one in agent.json("challenge", "show", "www")["challenges"]}
    assert all(f"accounturi={url}" in one for one in before)

    assert agent.json("account", "rollover")["records"] == []
    assert {one["publish"] for one in agent.json("challenge", "show", "www")["challenges"]} == before
