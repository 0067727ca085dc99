"""Keys that are pinned elsewhere (DANE): hooks publish the next one, and it goes live once that is known."""

import json
import shutil
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import dns.message
import dns.query
import dns.rdatatype
import pytest

from renewer import certs
from renewer.model.decision import Reason, Result, Step
from renewer.model.facts import Published, Version
from tests.servers.bind import Bind
from tests.servers.nameserver import Key, Zone
from tests.serving.bed import Bed
from tests.serving.issuer import DAY

NAME = "www.example.org"
HOUR = timedelta(hours=1)
PINS = 'echo "$1 $RENEWER_SPKI_SHA256 $RENEWER_CERT_SHA256" >>$calls; cat >$calls.$1'


def published(bed: Bed, *lines: str, days: int = 60, **keys: Any) -> tuple[Version, Version]:
    """A hook `pin` that publishes and one `web` that deploys; old is everywhere, and new lies beside."""
    bed.hook("pin", *(lines or (PINS,)), events=["publish"])
    bed.hook("web", 'echo "$1" >>$calls')
    bed.certificate(hooks=["pin", "web"], **keys)
    made = bed.clock.now() - DAY
    old = bed.put(bed.root.issue(NAME, age=timedelta(days=90 - days) - HOUR), live=True, made=made)
    bed.run()
    (bed.directory / "calls").unlink()
    return old, bed.put(bed.root.issue(NAME))


def fingerprints(bed: Bed, version: Version) -> tuple[str, str]:
    """Of the key and of the leaf."""
    place = bed.state / "certificates" / "www" / "versions" / version.id / "cert.pem"
    return certs.spki(place.read_bytes()), version.leaf.fingerprint


def test_published_before_it_is_deployed(bed: Bed) -> None:
    """One call with both fingerprints, then test and deploy in one run; the key is the new one."""
    old, new = published(bed)
    assert bed.run().exit == 0
    key, leaf = fingerprints(bed, new)
    assert bed.calls == [f"publish {key} {leaf}", "test", "deploy"]
    assert key != fingerprints(bed, old)[0]
    (told,) = json.loads((bed.directory / "calls.publish").read_text())["certificates"]
    assert (told["version"], told["spki_sha256"], told["cert_sha256"]) == (new.id, key, leaf)
    assert told["live"] == str(bed.state / "certificates" / "www" / "versions" / new.id)
    assert told["fullchain"] == f"{told['live']}/fullchain.pem"
    assert bed.situation().live == new.id
    assert bed.run().outcomes == ()
    assert bed.calls.count(f"publish {key} {leaf}") == 1


def test_it_goes_live_so_long_after(bed: Bed) -> None:
    """Until then the old one is served and all is well; status and plan say what it waits for."""
    old, new = published(bed, deploy_after="2h")
    report = bed.run()
    (outcome,) = report.outcomes
    assert (report.exit, outcome.result) == (0, Result.DONE)
    assert "waits for deploy_after until" in outcome.detail
    assert bed.situation().live == old.id
    plan = bed.plan()
    assert (plan.step, plan.reason, plan.held) == (Step.WAIT, Reason.DEPLOY_AFTER, Step.DEPLOY)
    assert "waits for deploy_after until" in plan.because
    assert "renewer deploy www" in plan.way_out
    status = bed.status()
    assert status["healthy"]
    assert "waits for deploy_after until" in status["waits_because"]
    for command in ("status", "plan"):
        assert "waits for deploy_after until" in " ".join(bed.cli(command).out.split())

    bed.clock.forward(HOUR)
    assert bed.run().outcomes == ()
    assert bed.run("www", asked=True).outcomes == ()  # as with a deploy window
    assert bed.situation().live == old.id
    bed.clock.forward(HOUR + timedelta(minutes=1))
    assert bed.run().exit == 0
    assert bed.situation().live == new.id
    assert [call.split()[0] for call in bed.calls] == ["publish", "test", "deploy"]


def test_without_a_hook_it_counts_from_when_it_was_made(bed: Bed) -> None:
    """Somebody else publishes: from the log, from a script."""
    bed.hook("web", 'echo "$1" >>$calls')
    bed.certificate(hooks=["web"], deploy_after="2h")
    old, new = bed.renewed()
    bed.run()
    assert bed.situation().live == old.id
    bed.clock.forward(timedelta(hours=2, minutes=1))
    bed.run()
    assert bed.situation().live == new.id


@pytest.mark.parametrize(("code", "exit_code"), [(1, 1), (75, 1)])
def test_what_could_not_be_published_waits(bed: Bed, code: int, exit_code: int) -> None:
    """It is told, retried, and deployed when it went well; the old one goes on serving."""
    old, new = published(bed, f"[ -e $calls.mended ] || exit {code}", PINS)
    report = bed.run()
    assert report.exit == exit_code
    assert bed.situation().live == old.id
    assert bed.calls == []
    assert not bed.status()["healthy"]
    assert "pin" in " ".join(bed.cli("status").out.split())
    (bed.directory / "calls.mended").touch()
    bed.clock.forward(2 * HOUR)
    assert bed.run().exit == 0
    assert bed.situation().live == new.id
    assert bed.status()["healthy"]


def test_one_that_is_not_required_holds_nothing_up(bed: Bed) -> None:
    """Its failure is told, and the deployment goes on."""
    _, new = published(bed, "exit 1")
    bed.tables["hook.pin"]["required"] = False
    bed.run()
    assert bed.situation().live == new.id


def test_one_that_does_not_know_the_event(bed: Bed) -> None:
    """Exit 42: it is not its business, nothing waits for it."""
    _, new = published(bed, "exit 42")
    assert bed.run().exit == 0
    assert bed.situation().live == new.id
    assert [one.state.value for one in bed.records(Published)] == ["done"]


@pytest.mark.parametrize("works", [True, False])
def test_nothing_waits_into_the_last_wakes(bed: Bed, *, works: bool) -> None:
    """Published or not: what is live must not expire for it."""
    _, new = published(bed, PINS if works else "exit 1", days=0, deploy_after="10d")
    bed.run()
    assert bed.situation().live == new.id


def test_the_wait_ends_with_the_emergency(bed: Bed) -> None:
    """A long one is cut short before the live one is in danger."""
    old, new = published(bed, days=10, deploy_after="30d")
    bed.run()
    assert bed.situation().live == old.id
    assert bed.plan().not_before is not None
    until = bed.plan().not_before
    assert until is not None
    assert until < old.leaf.not_after - DAY
    bed.clock.reach(until + timedelta(minutes=1))
    bed.run()
    assert bed.situation().live == new.id


def test_nothing_live_nothing_waits(bed: Bed) -> None:
    """The first certificate is published, and served at once."""
    bed.hook("pin", PINS, events=["publish"])
    bed.hook("web", 'echo "$1" >>$calls')
    bed.certificate(hooks=["pin", "web"], deploy_after="2h")
    new = bed.put(bed.root.issue(NAME))
    bed.run()
    assert bed.situation().live == new.id
    assert [call.split()[0] for call in bed.calls] == ["publish", "test", "deploy"]


def test_a_person_need_not_wait(bed: Bed) -> None:
    """`renewer deploy NAME` publishes, and deploys at once."""
    _, new = published(bed, deploy_after="2h")
    bed.run("www", redeploy=True)
    assert bed.situation().live == new.id
    assert [call.split()[0] for call in bed.calls] == ["publish", "test", "deploy"]


def test_a_lost_ledger_publishes_once_more(bed: Bed) -> None:
    """Nobody remembers: it is published again, and waits anew."""
    old, _ = published(bed, deploy_after="2h")
    bed.run()
    for file in bed.state.glob("ledger.db*"):
        file.unlink()
    bed.run()
    assert bed.situation().live == old.id
    assert [call.split()[0] for call in bed.calls] == ["publish", "publish"]


# a real name server ----------------------------------------------------------------------------------------


@pytest.fixture
def bind(tmp_path: Path) -> Iterator[Bind]:
    """A zone that may be changed from this host."""
    server = Bind(tmp_path / "bind", zones=[Zone("example.org")], keys=[Key()])
    with server:
        yield server


def tlsa(server: Bind) -> set[str]:
    """The records at the port of the certificate, as the name server has them."""
    query = dns.message.make_query(f"_443._tcp.{NAME}", dns.rdatatype.TLSA)
    answer, _ = dns.query.udp_with_fallback(query, "127.0.0.1", port=server.port, timeout=30)
    return {str(record).lower() for found in answer.answer for record in found}


def test_the_record_is_there_before_the_key(bed: Bed, bind: Bind) -> None:
    """By nsupdate from the hook: when the link turns, the key has stood in DNS for as long as was asked."""
    key = bind.keys[0]
    nsupdate = shutil.which("nsupdate") or "/usr/bin/nsupdate"
    update = [
        f"[ $1 = publish ] || exit 42; {nsupdate} -y {key.algorithm}:{key.name}:{key.secret} <<END",
        f"server 127.0.0.1 {bind.port}",
        "zone example.org",
        f"update add _443._tcp.{NAME}. 60 TLSA 3 1 1 $RENEWER_SPKI_SHA256",
        "send",
        "END",
    ]
    old, new = published(bed, *update, deploy_after="1h")
    bed.run()
    assert tlsa(bind) == {f"3 1 1 {fingerprints(bed, new)[0]}"}
    assert bed.situation().live == old.id
    bed.clock.forward(HOUR + timedelta(minutes=1))
    assert bed.run().exit == 0
    assert bed.situation().live == new.id
