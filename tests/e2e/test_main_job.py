"""The main job: from a config file to the certificate seen at the port, by the real command."""

import base64
import json
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509 as theirs

from tests.command import Ended
from tests.e2e.conftest import SiteFactory
from tests.e2e.site import Site
from tests.servers.faultproxy import NEW_ORDER, FaultProxy
from tests.servers.handshake import served_leaf
from tests.servers.pebble import Pebble

STORY = [
    "run-started",
    "decided",
    "ordered",
    "challenge-presented",
    "validated",
    "issued",
    "installed",
    "hook-run",
    "hook-run",
    "deployed",
    "verified",
    "renewed",
    "run-finished",
]


def results(document: dict[str, list[dict[str, str]]]) -> list[tuple[str, str, str]]:
    """What came of a run, in its order."""
    return [(one["certificate"], one["step"], one["result"]) for one in document["outcomes"]]


def well(*steps: str, certificate: str = "www") -> list[tuple[str, str, str]]:
    """Steps that were all done."""
    return [(certificate, step, "done") for step in steps]


def test_from_config_to_port(site: Site) -> None:
    """One run orders, installs, deploys and sees the certificate; the log tells it in order."""
    mark = site.pebble.mark()
    document = site.json("run")
    assert results(document) == well("issue", "install", "deploy", "look")
    assert document["exit"] == 0
    assert [step["step"] for step in document["steps"]] == ["issue", "install", "deploy", "look"]
    assert document["steps"][0]["reason"] == "absent"
    (issued,) = site.issued(mark)
    assert site.served(trusted=True) == issued
    assert [event["event"] for event in site.last_events()] == STORY
    assert site.challenge_files() == []
    assert not (site.state / "certificates/www/pending").exists()
    assert list((site.state / "tmp").iterdir()) == []
    assert len(site.versions()) == 1  # the placeholder went with the first real one
    site.pair()


def test_second_run(site: Site) -> None:
    """A second run over unchanged facts does nothing, asks nobody, and says so in one line."""
    site.json("run")
    mark = site.pebble.mark()
    ended = site.cli("run")
    assert (ended.code, ended.err) == (0, "")
    assert ended.out.startswith("nothing to do for 1 certificate; the next renewal is at ")
    assert len(ended.out.splitlines()) == 1
    assert site.pebble.requests(mark) == ()
    assert [event["event"] for event in site.last_events()] == ["run-started", "run-finished"]


def test_renewal_in_the_window(site: Site) -> None:
    """When the authority moves the window, the next run that asks renews inside it, and says `replaces`."""
    site.json("run")
    before = site.served()
    site.make_due(explanation_url="https://example.org/why")
    mark = site.pebble.mark()
    document = site.json("run", "--ask")
    assert results(document) == well("issue", "install", "deploy", "look")
    assert document["steps"][0]["reason"] == "window-reached"
    (issued,) = site.issued(mark)
    assert site.served(trusted=True) == issued != before
    (ordered,) = [event for event in site.last_events() if event["event"] == "ordered"]
    assert "replaces_refused" not in ordered
    assert any("moved the renewal window" in event.get("text", "") for event in site.last_events())
    assert site.status()["serial"] == issued


def test_replaces_is_said(make_site: SiteFactory, pebble: Pebble, tmp_path: Path) -> None:
    """A renewal's order names the certificate that it replaces (RFC 9773, section 5), a first one none."""
    with FaultProxy(pebble, tmp_path / "proxy") as proxy:
        site = make_site(authority={"directory": proxy.directory, "ca_bundle": proxy.ca_bundle})
        site.json("run")
        live = theirs.load_pem_x509_certificate(site.pair()[1])
        site.make_due()
        site.json("run", "--ask")
        first, second = [one.payload for one in proxy.requests(NEW_ORDER) if "identifiers" in one.payload][
            -2:
        ]
    issuer = live.extensions.get_extension_for_class(theirs.AuthorityKeyIdentifier).value.key_identifier
    serial = live.serial_number.to_bytes(live.serial_number.bit_length() // 8 + 1)
    assert "replaces" not in first
    assert second["replaces"] == f"{base64url(issuer or b'')}.{base64url(serial)}"


def base64url(data: bytes) -> str:
    """Without padding, as ACME has it."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def test_forced_renewals_replace_each_other(site: Site) -> None:
    """`run --force` renews though nothing is due; each order names the one before, and none is refused."""
    site.json("run")
    seen = {site.served()}
    for _ in range(2):
        assert site.json("run", "--force")["steps"][0]["reason"] == "forced"
        seen.add(site.served(trusted=True))
        assert not [event for event in site.events() if "replaces_refused" in event]
    assert len(seen) == 3


def test_status_and_plan(site: Site) -> None:
    """`status` and `plan` tell what is so and what would be done, before, after and when it is due."""
    before = site.cli("status", "--json")
    (row,) = before.document["certificates"]
    assert (before.code, row["state"], row["healthy"], row["serial"]) == (1, "absent", False, None)
    assert site.json("plan", exit_code=1)["steps"][0]["step"] == "issue"

    site.json("run")
    document = site.json("status")
    (row,) = document["certificates"]
    assert (document["healthy"], document["exit"], document["orphans"]) == (True, 0, [])
    assert (row["state"], row["healthy"], row["renewal"], row["failures"]) == ("verified", True, None, 0)
    assert (row["serial"], row["authority"], row["profile"]) == (site.served(), "pebble", "long")
    assert row["live"] == row["wanted"]
    assert [one["state"] for one in row["deployments"]] == ["done"]
    assert [(one["state"], one["serial"]) for one in row["endpoints"]] == [("verified", site.served())]
    (step,) = site.json("plan")["steps"]
    assert (step["step"], step["reason"]) == ("keep", "not-due")
    assert step["not_before"] == row["renew_at"]
    assert "all is well: 1 certificate" in site.cli("status").out

    assert site.json("plan", "--force")["steps"][0] == {
        "certificate": "www",
        "step": "issue",
        "reason": "forced",
        "because": "a new one was asked for",
        "not_before": None,
    }


def test_log_command(site: Site) -> None:
    """`renewer log` reads the renewal log: for people, for one certificate, and as JSON Lines."""
    site.json("run")
    text = site.cli("log", "www").out
    for words in ("ordered at pebble", "hook nginx deploy: done", "is live, deployed by nginx", "seen at"):
        assert words in text
    lines = site.cli("log", "--json").out.splitlines()
    assert [json.loads(line)["event"] for line in lines][-len(STORY) :] == STORY
    assert site.cli("log", "other").out == ""


def test_deploy_command(site: Site) -> None:
    """`renewer deploy` makes the servers load the live version again, and orders nothing."""
    site.json("run")
    mark, pid = site.pebble.mark(), site.nginx.pid
    assert results(site.json("deploy", "www")) == well("deploy", "look")
    hooks = [event["hook_event"] for event in site.last_events() if event["event"] == "hook-run"]
    assert hooks == ["test", "deploy"]
    assert (site.pebble.requests(mark), site.nginx.pid) == ((), pid)


def test_convention_of_certbot(make_site: SiteFactory) -> None:
    """A hook written for certbot is called as certbot does it: once a certificate, with two variables."""
    site = make_site(certificates={"one": {}, "two": {}})
    site.add_hook("old", 'echo "$# $RENEWED_LINEAGE $RENEWED_DOMAINS" >> $calls', convention="certbot")
    for name in ("one", "two"):
        site.change(name, hooks=["nginx", "old"])
    site.json("run")
    assert sorted(site.calls) == [
        f"0 {site.state}/live/one one.example.org",
        f"0 {site.state}/live/two two.example.org",
    ]


def test_hooks_run_once_a_batch(make_site: SiteFactory) -> None:
    """Three certificates, one reload: a hook of ours is called once an event with all of them."""
    site = make_site(certificates={"a": {}, "b": {}, "c": {}})
    events = ["test", "deploy", "rollback"]
    site.add_hook("mine", 'echo "$1 $RENEWER_CERTIFICATES" >> $calls', "reload", events=events)
    for name in "abc":
        site.change(name, hooks=["mine"])
    mark = site.pebble.mark()
    document = site.json("run")
    assert {one["result"] for one in document["outcomes"]} == {"done"}
    assert [(call.split()[0], sorted(call.split()[1:])) for call in site.calls] == [
        ("test", ["a", "b", "c"]),
        ("deploy", ["a", "b", "c"]),
    ]
    assert len(site.issued(mark)) == 3
    for name in "abc":
        assert site.served(name, trusted=True) == site.status(name)["serial"]


def test_copies(make_site: SiteFactory, tmp_path: Path) -> None:
    """Copies follow the live version; what stood there is kept once, what is changed is put right."""
    there = tmp_path / "elsewhere"
    there.mkdir()
    (there / "www.pem").write_text("what the operator had")
    copy = {"fullchain": there / "www.pem", "key": there / "www.key", "combined": there / "all.pem"}
    site = make_site(certificates={"www": {"copies": [{**copy, "mode": "0600"}]}})
    for arguments in ((), ("--force",)):
        site.json("run", *arguments)
        key, chain = site.pair()
        assert (there / "www.pem").read_bytes() == chain
        assert (there / "www.key").read_bytes() == key
        assert (there / "all.pem").read_bytes() == chain + key
        assert (there / "www.key").stat().st_mode & 0o777 == 0o600
    (kept,) = [path for path in (site.state / "replaced").rglob("*") if path.is_file()]
    assert kept.read_text() == "what the operator had"
    assert {path.name for path in there.iterdir()} == {"www.pem", "www.key", "all.pem"}

    (there / "www.key").unlink()
    mark = site.pebble.mark()
    document = site.json("run")
    assert document["steps"][0]["reason"] == "copy-pending"
    assert (there / "www.key").read_bytes() == site.pair()[0]
    assert site.pebble.requests(mark) == ()


@pytest.mark.parametrize(
    ("change", "seen"),
    [
        ({"names": ["www.example.org", "more.example.org"]}, "more.example.org"),
        ({"key": "rsa-2048"}, "rsa"),
        ({"profile": "shortlived"}, "days: 5"),
    ],
    ids=["names", "key", "profile"],
)
def test_wish_changed(site: Site, change: dict[str, Any], seen: str) -> None:
    """Other names, another key type or another profile in the config: issued anew at once, and served."""
    site.json("run")
    site.change(**change)
    mark = site.pebble.mark()
    document = site.json("run")
    assert document["steps"][0]["reason"] == "wish-changed"
    assert len(site.issued(mark)) == 1
    leaf = served_leaf(site.nginx.port, "www.example.org", roots=site.roots)
    names = leaf.extensions.get_extension_for_class(theirs.SubjectAlternativeName).value
    days = (leaf.not_valid_after_utc - leaf.not_valid_before_utc).days
    kind = type(leaf.public_key()).__name__.lower()
    assert seen in (
        *names.get_values_for_type(theirs.DNSName),
        kind.partition("public")[0].strip("_"),
        f"days: {days}",
    )
    assert site.cli("run").out.startswith("nothing to do")


def test_wish_changed_back(site: Site) -> None:
    """A wish that is taken back finds its certificate still there: deployed again, nothing is ordered."""
    site.json("run")
    first = site.served()
    site.change(names=["www.example.org", "more.example.org"])
    site.json("run")
    site.change(names=["www.example.org"])
    mark = site.pebble.mark()
    assert results(site.json("run")) == well("deploy", "look")
    assert (site.served(trusted=True), site.pebble.orders_created(mark)) == (first, 0)


def test_placeholder_first(make_site: SiteFactory) -> None:
    """With the web server down, a first run leaves placeholders on which it can start; the next one issues.

    A failed hook or an unseen port is no matter before there is a certificate.
    """
    site = make_site()
    site.stop()
    ended = site.cli("run", "--json")
    assert ended.code in (1, 3)
    assert results(ended.document) == [("www", "issue", "failed")]
    assert site.status()["state"] == "absent"
    placeholder = site.pair()
    site.nginx.start()
    assert results(site.json("run", "--force")) == well("issue", "install", "deploy", "look")
    assert site.pair() != placeholder


def test_without_placeholder(make_site: SiteFactory) -> None:
    """`placeholder = false`: nothing stands at live until there is a certificate."""
    site = make_site(certificates={"www": {}, "api": {"placeholder": False, "hooks": [], "endpoints": []}})
    assert not site.live("api").exists()
    assert site.nginx.alive


def test_nothing_to_look_at(make_site: SiteFactory) -> None:
    """Without hooks and endpoints a certificate is as far as it can be once it is installed at live."""
    site = make_site(certificates={"www": {"hooks": [], "endpoints": []}})
    assert results(site.json("run")) == well("issue", "install", "deploy")
    row = site.status()
    assert (row["state"], row["healthy"], row["endpoints"]) == ("installed", True, [])
    assert site.cli("run").code == 0


def test_steps(site: Site) -> None:
    """`--steps issue` only issues: what is needed beyond it waits; another run does it without ordering."""
    ended: Ended = site.cli("run", "--steps", "issue,install", "--json")
    assert results(ended.document) == well("issue", "install")
    assert ended.code == 1
    assert site.status()["state"] == "absent"
    assert site.json("plan", "--steps", "issue", exit_code=1)["steps"][0]["reason"] == "step-not-allowed"
    mark = site.pebble.mark()
    assert results(site.json("run", "--steps", "deploy,look")) == well("deploy", "look")
    assert site.pebble.requests(mark) == ()


def test_ledger_lost(site: Site) -> None:
    """Without its ledger the next run orders nothing and registers nobody: the disk knows enough."""
    site.json("run")
    before = site.pair()
    for path in site.state.glob("ledger.db*"):
        path.unlink()
    mark = site.pebble.mark()
    site.json("run")
    assert site.pebble.orders_created(mark) == 0
    assert site.pair() == before
    assert site.status()["state"] == "verified"
