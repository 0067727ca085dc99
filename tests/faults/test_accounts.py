"""What runs make of an account that is lost, ended, behind credentials, or has another contact by now."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.agent import Agent
from tests.faults.conftest import HostFactory
from tests.faults.host import Clock, Host, failed
from tests.servers.bendable import Bendable, BendableFactory, Seen
from tests.servers.bends import Call, error, html, late, problem, refusal, say
from tests.servers.ports import free_port

HMAC = "c2VjcmV0"


@pytest.fixture
def authority(bendable: BendableFactory, agents_clock: Clock) -> Bendable:
    """One that nobody has bent yet, with the agent's clock."""
    return bendable(clock=agents_clock.now)


@pytest.fixture
def host(make_host: HostFactory, authority: Bendable) -> Host:
    """A host with the certificate `www` from it."""
    return make_host(free_port(), {"bendable": table(authority)})


@pytest.fixture
def agent(tmp_path: Path, bendable: BendableFactory) -> Callable[[], tuple[Agent, Bendable]]:
    """The real command, and the authority that it asks."""

    def make() -> tuple[Agent, Bendable]:
        server = bendable()
        webroot = tmp_path / "webroot"
        webroot.mkdir()
        tables: dict[str, dict[str, Any]] = {
            "authority.bendable": {**table(server), "agree_terms": True, "roots": "any"},
            "certificate.www": {
                "names": ["www.example.org"],
                "authority": "bendable",
                "challenge": {"type": "http-01", "webroot": str(webroot), "preflight": "off"},
            },
        }
        return Agent(tmp_path / "agent", tables), server

    return make


def table(authority: Bendable) -> dict[str, object]:
    """The config's table for it."""
    return {"directory": authority.directory, "ca_bundle": str(authority.ca_bundle)}


def with_eab(host: Host, kid: str) -> None:
    """Credentials in the config, the key in a file."""
    file = host.directory / "hmac"
    file.write_text(HMAC)
    file.chmod(0o600)
    host.authorities["bendable"]["eab"] = {"kid": kid, "hmac": {"file": str(file)}}
    host.write_config()


@pytest.mark.parametrize("always", [True, False])
def test_a_misspelled_kid_corrected(host: Host, authority: Bendable, *, always: bool) -> None:
    """The run after the correction has the certificate: nothing is stuck on the key of the first try."""
    authority.eab, authority.eab_when_looking = {"right": HMAC}, always
    with_eab(host, "wrong")
    (said,) = failed(host.run())
    assert "unknown kid 'wrong'" in said
    assert "check eab" in host.failure().hint
    host.run_when_due()
    with_eab(host, "right")
    assert host.run().exit == 0
    assert host.live().authority == "bendable"


@pytest.mark.parametrize(
    "answer",
    [
        error(500),
        problem("serverInternal", 500),
        problem("unauthorized", 401),
        html(404),
        problem("malformed"),
    ],
)
def test_the_accounts_are_gone(host: Host, authority: Bendable, answer: Callable[[Seen], object]) -> None:
    """A restored authority that answers a forgotten account in any way: the renewal comes in one run."""
    host.run()
    authority.forget_accounts()

    def unknown(seen: Seen) -> bool:
        known = {f"{authority.base}/account/{one.number}" for one in authority.accounts}
        return seen.account is not None and seen.account not in known

    authority.bend((), answer, when=unknown)  # type: ignore[arg-type]
    report = host.run(force=True)
    assert (report.exit, failed(report)) == (0, [])
    assert (len(authority.issued), authority.registered) == (2, 2)


def test_several_certificates_meet_it_together(host: Host, authority: Bendable) -> None:
    """Seven are due when the account is gone: one run, all issued, one registration, nobody to mail."""
    host.certificates = {f"w{n}": {} for n in range(7)}
    host.write_config()
    host.run()
    authority.forget_accounts()
    authority.bend(Call.NEW_ACCOUNT, late(0.3))
    report = host.run(force=True)
    assert (report.exit, failed(report)) == (0, [])
    assert (len(authority.issued), authority.registered) == (14, 2)


def test_a_changed_contact_reaches_the_authority(host: Host, authority: Bendable) -> None:
    """The next run tells it, though nothing is due; the run after that says nothing to anybody."""
    host.run()
    host.authorities["bendable"]["contact"] = ["new@example.org"]
    host.write_config()
    before = len(authority.seen)
    assert host.run(steps=frozenset()).exit == 0
    assert len(authority.seen) == before
    host.run()
    assert authority.accounts[0].contact == ["mailto:new@example.org"]
    before = len(authority.seen)
    host.run()
    assert len(authority.seen) == before


def test_a_refused_contact_is_told_and_renews_on(host: Host, authority: Bendable) -> None:
    """Said once, a finding of every run until it is corrected; certificates are not held up."""
    host.run()
    authority.bend(Call.ACCOUNT, problem("invalidContact", 400, "no such domain"))
    host.authorities["bendable"]["contact"] = ["ops@nowhere.invalid"]
    host.write_config()
    for _ in range(2):
        report = host.run()
        assert report.exit == 0
        assert any("no such domain" in one and "correct contact" in one for one in report.findings)
    assert host.run(force=True).exit == 0
    assert (authority.count(Call.ACCOUNT), len(authority.issued)) == (1, 2)


def test_an_authority_that_is_away_holds_nothing_up(host: Host, authority: Bendable) -> None:
    """The contact could not be told: a notice, and the next run tries again."""
    host.run()
    host.authorities["bendable"]["contact"] = ["new@example.org"]
    host.write_config()
    authority.bend(Call.DIRECTORY, error(503))
    assert host.run().exit == 0
    authority.mend()
    host.run()
    assert authority.accounts[0].contact == ["mailto:new@example.org"]


def test_after_deactivate_nothing_is_called_well(agent: Callable[[], tuple[Agent, Bendable]]) -> None:
    """`status`, `plan` and `run` say at once, not in 60 days, that nothing can be renewed; until register."""
    ours, authority = agent()
    assert ours.json("run")["exit"] == 0
    ours.cli("account", "deactivate", "--yes")
    for command in ("status", "run"):
        assert ours.cli(command).code == 3
    shown = ours.cli("status")
    assert "nothing can be renewed" in shown.out
    assert "renewer account register bendable" in shown.out
    planned = ours.cli("plan")
    assert (planned.code, "nothing can be renewed" in planned.out) == (3, True)
    assert ours.json("plan", code=3)["notes"]
    assert ours.json("account", "register")["new"] is True
    assert ours.json("status")["exit"] == 0
    assert ours.json("plan")["notes"] == []
    assert authority.registered == 2


def test_one_of_two_authorities_is_ended(
    make_host: HostFactory, bendable: BendableFactory, agents_clock: Clock
) -> None:
    """The other one is left: a note, all is well, and renewals go there."""
    first, second = bendable(clock=agents_clock.now), bendable(clock=agents_clock.now)
    host = make_host(free_port(), {"first": table(first), "second": table(second)})
    host.run()
    with host.context() as context:
        from renewer.accounts.keeper import Keeper

        Keeper(context.config.authorities["first"], state=context.accounts).deactivate()
    report = host.run()
    assert report.exit == 0
    assert any("the account at first was deactivated" in one for one in report.findings)
    assert host.run(force=True).exit == 0
    assert len(second.issued) == 1


# --- challenges -------------------------------------------------------------------------------------------

SEEN = {"type": "urn:ietf:params:acme:error:dns", "detail": "SERVFAIL looking up A", "status": 400}


def test_a_challenge_that_is_gone_names_its_name(host: Host, authority: Bendable) -> None:
    """404 to the answer: the name is told, the order is lost, the next one is whole."""
    authority.bend(Call.CHALLENGE, say(refusal("malformed", 404, "no such challenge")), order=1)
    (said,) = failed(host.run())
    assert "knows the challenge http-01" in said
    assert host.failure().identifiers[0][0] == "www.example.org"
    assert host.run_when_due().exit == 0
    assert host.live().authority == "bendable"


def test_a_challenge_that_is_gone_tells_the_cause(host: Host, authority: Bendable) -> None:
    """404 to the answer while the authorization shows why: that is what is told."""

    def shown(seen: Seen) -> object:
        usual = seen.usual()
        return usual.with_members(challenges=[one | {"error": SEEN} for one in usual.document["challenges"]])

    authority.bend(Call.CHALLENGE, error(404), order=1)
    authority.bend(Call.AUTHORIZATION, shown, order=1)  # type: ignore[arg-type]
    (said,) = failed(host.run())
    assert "SERVFAIL looking up A" in said
    assert "DNS must answer" in host.failure().hint


def test_still_pending_tells_the_cause(host: Host, authority: Bendable) -> None:
    """The authority tries again by itself until the run has to go: the record says what it saw."""

    def shown(seen: Seen) -> object:
        usual = seen.usual()
        pending = [one | {"status": "pending", "error": SEEN} for one in usual.document["challenges"]]
        return usual.with_members(status="pending", challenges=pending)

    authority.bend(Call.AUTHORIZATION, shown)  # type: ignore[arg-type]
    (said,) = failed(host.run())
    assert "still validating" in said
    assert "SERVFAIL looking up A" in said
    authority.mend()
    assert host.run_when_due().exit == 0
    assert len(authority.orders) == 1
