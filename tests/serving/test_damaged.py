"""Damage to the files of a live version, to its link, or to their rights: put right, replaced, or told."""

import os
import shutil
import stat
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509

from renewer.model.decision import Result, Step
from renewer.model.facts import Accepted, Ordered
from tests.servers.tls_peer import Peer
from tests.serving.bed import NOWHERE, Bed
from tests.serving.issuer import DAY, Signer
from tests.store.looking import live_pair

NAME = "www.example.org"
MINUTE = timedelta(minutes=1)
LOG = 'echo "$1" >>$calls'


def deployed(bed: Bed, **keys: Any) -> dict[str, bytes]:
    """A certificate with a chain that is live everywhere; its files."""
    bed.hook("web", LOG)
    bed.certificate(hooks=["web"], **keys)
    bed.put(bed.root.intermediate().issue(NAME, age=5 * DAY), live=True, made=bed.clock.now() - 5 * DAY)
    assert bed.run().exit == 0
    return files(bed.live())


def files(live: Path) -> dict[str, bytes]:
    """What the PEM files hold."""
    return {path.name: path.read_bytes() for path in sorted(live.glob("*.pem"))}


def emptied(path: Path) -> None:
    """As `: > FILE` leaves it."""
    path.write_bytes(b"")


def cut_off(path: Path) -> None:
    """As a full disk leaves it."""
    path.write_bytes(path.read_bytes()[:-100])


def deleted(path: Path) -> None:
    """Gone."""
    path.unlink()


def others(path: Path) -> None:
    """The same file of another certificate."""
    material = Signer.root("other").intermediate("other").issue(NAME)
    parts = {"privkey.pem": material.privkey, "cert.pem": material.cert, "chain.pem": material.chain}
    path.write_bytes(parts.get(path.name, material.fullchain))


@pytest.mark.parametrize("name", ["cert.pem", "chain.pem", "fullchain.pem"])
@pytest.mark.parametrize("damage", [emptied, cut_off, deleted, others])
def test_a_damaged_file_is_made_of_the_others(bed: Bed, name: str, damage: object) -> None:
    """Before any hook is called the version is as it was, without an order; it is told once."""
    before = deployed(bed)
    damage(bed.live() / name)  # type: ignore[operator]

    report = bed.run()

    assert files(bed.live()) == before
    assert report.exit == 0
    assert any("put right from its other files" in text for text in report.findings)
    assert bed.calls == ["test", "deploy"]
    assert not bed.run().findings


@pytest.mark.parametrize("damage", [emptied, cut_off])
def test_what_a_version_says_of_itself_is_put_right(bed: Bed, damage: object) -> None:
    """Where it came from is remembered: nothing older goes live, and nothing is ordered."""
    deployed(bed)
    older = bed.put(bed.root.issue(NAME, age=20 * DAY), made=bed.clock.now() - 20 * DAY)
    bed.run()
    live, about = bed.live().readlink(), (bed.live() / "version.json").read_bytes()
    damage(bed.live() / "version.json")  # type: ignore[operator]

    report = bed.run()

    assert report.exit == 0
    assert bed.live().readlink() == live
    assert live.name != older.id
    assert (bed.live() / "version.json").read_bytes() == about
    assert not bed.run().findings


@pytest.mark.parametrize("damage", [emptied, cut_off, deleted, others])
def test_a_key_that_is_lost_is_replaced_at_once(bed: Bed, damage: object) -> None:
    """Nothing holds the key but its file: another version that fits goes live in the same run."""
    deployed(bed)
    older = bed.put(bed.root.issue(NAME, age=20 * DAY), made=bed.clock.now() - 20 * DAY)
    bed.run()
    damage(bed.live() / "privkey.pem")  # type: ignore[operator]

    bed.run()

    assert bed.live().readlink().name == older.id
    live_pair(bed.state)


def test_a_server_that_is_down_can_start_with_a_placeholder(bed: Bed) -> None:
    """Its key is lost and nothing else is there: without a pair it could not even answer for its names.

    While it runs it has the pair in memory, and nothing is put in its way.
    """
    with Peer(lambda _: None) as peer:
        bed.certificate(endpoints=[{"host": "127.0.0.1", "port": peer.port, "server_name": NAME}])
        bed.put(bed.root.issue(NAME), live=True)
        bed.run()
        (bed.live() / "privkey.pem").unlink()
        bed.run()
        assert not (bed.live() / "privkey.pem").exists()

    bed.run()

    leaf = x509.load_pem_x509_certificate((bed.live() / "cert.pem").read_bytes())
    assert leaf.issuer == leaf.subject
    assert (bed.live() / "privkey.pem").exists()


def test_with_no_other_version_one_is_ordered(bed: Bed) -> None:
    """The key is lost and nothing else is there: a new one is due now."""
    deployed(bed)
    (bed.live() / "privkey.pem").unlink()

    assert bed.plan().step is Step.ISSUE
    assert bed.status()["exit"] == 3


def test_the_renewal_of_a_neighbour_goes_live(bed: Bed) -> None:
    """A file that is emptied is put right before the server's test reads it: nobody is turned back."""
    deployed(bed)
    bed.certificate("shop", hooks=["web"])
    new = bed.put(bed.root.issue("shop.example.org"), "shop")
    (bed.live() / "fullchain.pem").write_bytes(b"")
    bed.hook("web", LOG, f'[ "$1" != test ] || [ -s {bed.live()}/fullchain.pem ]')

    assert bed.run().exit == 0

    assert bed.live("shop").readlink().name == new.id


def as_directory(live: Path) -> None:
    """A restore that followed links."""
    target = live.resolve()
    live.unlink()
    shutil.copytree(target, live)


def as_file(live: Path) -> None:
    """Something else."""
    live.unlink()
    live.write_text("x")


@pytest.mark.parametrize("make", [as_directory, as_file])
def test_live_that_is_no_link_needs_a_person(bed: Bed, make: object) -> None:
    """Exit 3 and the cure in words, neighbours go on; once it is moved away all is well."""
    deployed(bed)
    bed.certificate("shop", hooks=["web"])
    shop = bed.put(bed.root.issue("shop.example.org"), "shop")
    make(bed.live())  # type: ignore[operator]

    report = bed.run()

    assert report.exit == 3
    assert not bed.live().is_symlink()
    row = bed.status()
    assert "not the link to a version" in row["why"]
    assert f"mv {bed.live()}" in row["hint"]
    assert bed.live("shop").readlink().name == shop.id
    bed.live().rename(bed.live().with_name("live.restored"))
    assert bed.run().exit == 0
    live_pair(bed.state)


@pytest.mark.parametrize("target", ["{absolute}", "versions/20200101T000000Z-00000000", "../shop/live"])
def test_a_link_that_leads_elsewhere_is_turned(bed: Bed, target: str) -> None:
    """Absolute, to a version that is lost, to another certificate: the next run turns it right."""
    before = deployed(bed)
    text = target.format(absolute=bed.live().resolve())
    bed.live().unlink()
    bed.live().symlink_to(text)

    assert bed.run().exit == 0

    assert files(bed.live()) == before
    assert str(bed.live().readlink()).startswith("versions/")


def test_where_nothing_is_live_nothing_waits(bed: Bed) -> None:
    """A deployment that failed a moment ago is tried again at once when the link is gone."""
    bed.certificate(hooks=["web"])
    bed.hook("web", '[ "$1" = rollback ]')
    bed.renewed()
    for _ in range(3):
        bed.run()
        bed.clock.forward(timedelta(minutes=11))
    assert bed.plan().step is Step.WAIT
    bed.live().unlink()

    report = bed.run()

    assert bed.live().is_symlink()
    assert report.outcomes[0].step is Step.DEPLOY
    assert report.outcomes[0].result is Result.FAILED  # the hook is as it was


def mode(path: Path) -> int:
    """Who may do what."""
    return stat.S_IMODE(path.stat().st_mode)


def test_a_group_and_a_mode_that_come_later(bed: Bed) -> None:
    """The next run gives the files that are there what new ones would get, live and kept ones."""
    deployed(bed)
    bed.put(bed.root.issue(NAME, age=20 * DAY), made=bed.clock.now() - 20 * DAY)
    versions = sorted((bed.state / "certificates/www/versions").iterdir())
    bed.tables["agent"]["group"] = "4711"

    bed.run()

    for version in versions:
        assert mode(version) == 0o750
        for file in version.iterdir():
            assert (mode(file), file.stat().st_gid) == (0o640, 4711)
    bed.tables["certificate.www"]["key_mode"] = "0600"
    report = bed.run()
    assert [mode(version / "privkey.pem") for version in versions] == [0o600, 0o600]
    assert [mode(version / "cert.pem") for version in versions] == [0o640, 0o640]
    assert any("wider than 0600" in text for text in report.findings)
    del bed.tables["agent"]["group"]
    bed.run()
    assert {mode(file) for version in versions for file in version.iterdir()} == {0o600}
    assert bed.run().findings == ()


def test_a_live_key_that_others_may_read_is_put_right_and_told(bed: Bed) -> None:
    """Somebody's chmod: not well until the next run, which takes the bits away and says so."""
    deployed(bed)
    os.chmod(bed.live() / "privkey.pem", 0o644)
    assert bed.status()["healthy"] is False

    report = bed.run()

    assert mode(bed.live() / "privkey.pem") == 0o600
    assert any("mode is 0644" in text for text in report.findings)
    assert bed.status()["healthy"] is True


def test_a_group_that_does_not_exist_is_told(bed: Bed) -> None:
    """The cure in words, and what is served stays as it is."""
    before = deployed(bed)
    bed.tables["agent"]["group"] = "no-such-group"

    ended = bed.cli("run")

    assert ended.code != 0
    assert "no-such-group" in ended.err + ended.out
    assert files(bed.live()) == before


@pytest.mark.parametrize("files_lost", ["key", "version"])
def test_the_order_budget_remembers_how_short_lived_it_was(bed: Bed, files_lost: str) -> None:
    """Damaged or gone with its files: three orders of late hold the next one back by its own lifetime."""
    bed.certificate()
    made = bed.clock.now() - 2 * DAY
    version = bed.put(bed.root.issue(NAME, age=2 * DAY, lifetime=6 * DAY), live=True, made=made)
    assert bed.run().exit == 0
    now = bed.clock.now()
    sent = tuple(
        Accepted(order_at=now - ago * MINUTE, at=(now - ago * MINUTE,), url=f"u{ago}") for ago in (3, 2, 1)
    )
    with bed.context(write=True) as context:
        context.ledger.save(Ordered(certificate="www", authority="ca", directory=NOWHERE, orders=sent))
    directory = bed.state / "certificates/www/versions" / version.id
    if files_lost == "key":
        others(directory / "privkey.pem")
    else:
        shutil.rmtree(directory)
    decision = bed.plan()
    assert decision.step is Step.WAIT
    assert decision.not_before is not None
    assert timedelta(hours=14) < decision.not_before - now <= timedelta(hours=14.4)
