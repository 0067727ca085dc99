"""A state that is older than what is served: put back from a backup, while ports and copies went on."""

import os
import shutil
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from renewer import certs, x509
from renewer.model.decision import Reason, Step
from renewer.model.facts import EndpointState, Order, OrderState, Sighting, Version
from renewer.model.names import Identifier
from renewer.store.contract import Material
from renewer.store.disk import DiskStore, version_id
from tests.copies.pairs import PASSWORD, password_file
from tests.serving.bed import Bed
from tests.serving.issuer import DAY, Signer, pem_of

NAME = "www.example.org"
LOG = 'echo "$1" >>$calls'
FORMATS: dict[str, tuple[str, ...]] = {
    "separate files": ("key", "fullchain"),
    "leaf and chain apart": ("key", "cert", "chain"),
    "combined": ("combined",),
    "DER": ("key_der", "der", "chain"),
    "PKCS#12": ("pkcs12",),
    "JKS": ("jks",),
    "all": ("key", "key_der", "cert", "chain", "fullchain", "combined", "der", "pkcs12", "jks"),
}


def backup(bed: Bed) -> Path:
    """As an administrator saves the state directory."""
    saved = bed.directory / "backup"
    shutil.copytree(bed.state, saved, symlinks=True)
    return saved


def restore(bed: Bed) -> None:
    """As he puts it back."""
    shutil.rmtree(bed.state)
    shutil.copytree(bed.directory / "backup", bed.state, symlinks=True)


def place(bed: Bed) -> Path:
    """Where copies lie."""
    path = bed.directory / "copies"
    path.mkdir(exist_ok=True)
    return path


def copies(bed: Bed, *parts: str, name: str = "", **more: Any) -> list[dict[str, Any]]:
    """A table of copies, each called as its part."""
    table = {part: str(place(bed) / f"{name}{part}") for part in parts} | more
    if {"pkcs12", "jks"} & set(parts):
        table["password"] = {"file": str(password_file(bed.directory, PASSWORD))}
    return [table]


def issued(bed: Bed, *names: str, age: int, **more: Any) -> Material:
    """What the authority issues, with an intermediate that stays the same."""
    if not hasattr(bed, "intermediate"):
        bed.intermediate = bed.root.intermediate()  # type: ignore[attr-defined]
    made: Material = bed.intermediate.issue(*(names or (NAME,)), age=age * DAY, **more)  # type: ignore[attr-defined]
    return made


def outlived(bed: Bed, **keys: Any) -> tuple[Version, Version]:
    """A certificate of which an old version was saved, and a newer one deployed before that came back."""
    bed.hook("web", LOG)
    bed.certificate(hooks=["web"], **keys)
    old = bed.put(issued(bed, age=50), live=True, made=bed.clock.now() - 50 * DAY)
    assert bed.run().exit == 0
    backup(bed)
    new = bed.put(issued(bed, age=2), made=bed.clock.now() - 2 * DAY)
    assert bed.run().exit == 0
    assert bed.situation().live == new.id
    restore(bed)
    assert bed.situation().live == old.id
    return old, new


def files(directory: Path) -> dict[str, bytes]:
    """What lies there."""
    return {path.name: path.read_bytes() for path in sorted(directory.iterdir())}


@pytest.mark.parametrize("what", FORMATS)
def test_what_the_copies_hold_is_taken_back(bed: Bed, what: str) -> None:
    """Wherever leaf and key lie there the newer one is live again without an order; it is told once."""
    _, new = outlived(bed, copies=copies(bed, *FORMATS[what]))
    before = files(place(bed))

    report = bed.run()

    live = bed.situation().live_version
    assert live is not None
    assert live.leaf.fingerprint == new.leaf.fingerprint
    assert (live.authority, live.directory) == (new.authority, new.directory)
    assert report.exit == 0
    assert [one.step for one in report.outcomes] == [Step.DEPLOY]
    assert any("newer version than this state: it was taken back" in text for text in report.findings)
    assert files(place(bed)) == before
    assert (bed.live() / "privkey.pem").stat().st_mode & 0o077 == 0
    again = bed.run()
    assert (again.exit, again.findings, again.outcomes) == (0, (), ())
    assert bed.status()["healthy"]


def test_the_port_that_reads_the_copies_is_well(bed: Bed) -> None:
    """What is served is what is live afterwards: nobody calls it foreign."""
    endpoint = bed.serving(place(bed))
    outlived(
        bed,
        endpoints=[endpoint],
        copies=[{"key": str(place(bed) / "privkey.pem"), "fullchain": str(place(bed) / "fullchain.pem")}],
    )
    assert bed.run().exit == 0
    assert [one.state for one in bed.records(Sighting)] == [EndpointState.VERIFIED]


def unkeyed(bed: Bed) -> None:
    """Only the copy of the chain is newer."""
    (place(bed) / "key").unlink()


def mismatched(bed: Bed) -> None:
    """The key belongs to something else."""
    (place(bed) / "key").write_bytes(Signer.root().issue(NAME).privkey)


def given_away(bed: Bed) -> None:
    """The key's file belongs to another user."""
    os.chown(place(bed) / "key", 65534, -1)


def open_to_all(bed: Bed) -> None:
    """Everybody could have written it."""
    (place(bed) / "fullchain").chmod(0o666)


def in_an_open_directory(bed: Bed) -> None:
    """Everybody could have put it there."""
    place(bed).chmod(0o777)


REFUSALS = {
    unkeyed: "its key is not there",
    mismatched: "its key is not there",
    given_away: "belongs to nobody",
    open_to_all: "can be written to by everybody",
    in_an_open_directory: "can be written to by everybody",
}


@pytest.mark.parametrize("damage", REFUSALS)
def test_what_cannot_be_trusted_is_not_taken_back(bed: Bed, damage: Any) -> None:
    """It stays where it is, is not called deployed, and the words say why, and both ways out."""
    old, _ = outlived(bed, copies=copies(bed, "key", "fullchain"))
    damage(bed)
    before = files(place(bed))

    report = bed.run()

    assert bed.situation().live == old.id
    assert files(place(bed)) == before
    (note,) = [text for text in report.findings if "left alone" in text]
    assert "newer than this state" in note
    assert REFUSALS[damage] in note
    assert "renewer run www" in note
    assert "restore" in note
    assert not any(
        "copies" in one.detail.partition("deployed by ")[2].split(";")[0] for one in report.outcomes
    )
    assert any("left alone" in one.detail for one in report.outcomes)
    assert bed.run().findings == report.findings  # as long as it lasts
    assert (
        note in bed.cli("status").out.replace("\n", " ") or "newer than this state" in bed.cli("status").out
    )


@pytest.mark.parametrize("what", ["other names", "other authority", "other authority, no key"])
def test_somebody_elses_copy_is_none_of_ours(bed: Bed, what: str) -> None:
    """A later one for other names or of another authority is left alone; nobody speaks of an older state."""
    old, _ = outlived(bed, copies=copies(bed, "key", "fullchain"))
    strange = Signer.root("other").intermediate("other").issue(NAME, age=DAY)
    other = issued(bed, "other.example.org", age=1) if what == "other names" else strange
    (place(bed) / "key").write_bytes(other.privkey)
    (place(bed) / "fullchain").write_bytes(other.fullchain)
    if what.endswith("no key"):
        (place(bed) / "key").unlink()
    report = bed.run()
    (note,) = [text for text in report.findings if "left alone" in text]
    assert "newer than this state" not in note
    assert bed.situation().live == old.id
    assert (place(bed) / "fullchain").read_bytes() == other.fullchain


def test_a_key_in_an_entry_of_its_own_stays_with_its_certificate(bed: Bed) -> None:
    """Where a later certificate is left alone its key is, too, wherever it stands: a pair or none."""
    outlived(bed, copies=[*copies(bed, "key"), *copies(bed, "fullchain"), *copies(bed, "chain")])
    strange = Signer.root("other").intermediate("other").issue(NAME, age=DAY)
    for part, data in (("key", strange.privkey), ("fullchain", strange.fullchain), ("chain", strange.chain)):
        (place(bed) / part).write_bytes(data)
    before = files(place(bed))
    bed.run()
    assert files(place(bed)) == before
    (place(bed) / "key").unlink()
    bed.run()
    assert not (place(bed) / "key").exists()


def test_key_and_chain_in_entries_of_their_own_are_taken_back(bed: Bed) -> None:
    """They belong together wherever they stand."""
    _, new = outlived(bed, copies=[*copies(bed, "key"), *copies(bed, "fullchain")])
    assert bed.run().exit == 0
    live = bed.situation().live_version
    assert live is not None
    assert live.leaf.fingerprint == new.leaf.fingerprint


def test_a_key_that_was_kept_is_here_already(bed: Bed) -> None:
    """With reuse_key the key in the state is the newer one's: the copy of the chain alone is enough."""
    bed.certificate(reuse_key=True, copies=copies(bed, "fullchain"))
    first = issued(bed, age=50)
    key = load_pem_private_key(first.privkey, None)
    bed.put(first, live=True, made=bed.clock.now() - 50 * DAY)
    assert bed.run().exit == 0
    newer = issued(bed, age=2, key=key)
    (place(bed) / "fullchain").write_bytes(newer.fullchain)

    assert bed.run().exit == 0

    assert (bed.live() / "fullchain.pem").read_bytes() == newer.fullchain
    assert (bed.live() / "privkey.pem").read_bytes() == first.privkey


def test_a_key_that_is_elsewhere_is_not_asked_for(bed: Bed) -> None:
    """With `csr` the copy of the chain is all there is: taken back if it is for the key of the request."""
    key = ec.generate_private_key(ec.SECP256R1())
    request = bed.directory / "www.csr"
    request.write_bytes(x509.csr(pem_of(key), [Identifier.parse(NAME)]))
    bed.certificate(csr=str(request), copies=copies(bed, "fullchain"))
    del bed.tables["certificate.www"]["names"]
    made, first = bed.clock.now() - 50 * DAY, issued(bed, age=50, key=key)
    leaf = certs.leaf(first.cert)
    version = Version(
        id=version_id(made, leaf.serial), made_at=made, leaf=leaf, authority="ca", csr=certs.spki(first.cert)
    )
    with bed.lock():
        store = DiskStore(str(bed.state))
        store.put("www", version, Material(privkey=b"", cert=first.cert, chain=first.chain), key_mode=0o600)
        store.turn("www", version.id)
    assert bed.run().exit == 0
    copy = place(bed) / "fullchain"
    copy.write_bytes(issued(bed, age=3).fullchain)  # of another key
    bed.run()
    assert bed.situation().live == version.id
    newer = issued(bed, age=2, key=key)
    copy.write_bytes(newer.fullchain)

    assert bed.run().exit == 0

    assert (bed.live() / "fullchain.pem").read_bytes() == newer.fullchain
    assert not (bed.live() / "privkey.pem").exists()


def test_each_certificate_gets_its_own(bed: Bed) -> None:
    """Of two that came back old, one is taken back, and the other stays as it is."""
    _, new = outlived(bed, copies=copies(bed, "combined"))
    bed.certificate("shop", hooks=["web"], copies=copies(bed, "combined", name="shop-"))
    shop = bed.put(
        issued(bed, "shop.example.org", age=40), "shop", live=True, made=bed.clock.now() - 40 * DAY
    )
    report = bed.run()
    assert report.exit == 0
    live, other = bed.situation("www").live_version, bed.situation("shop").live_version
    assert live is not None
    assert live.leaf.fingerprint == new.leaf.fingerprint
    assert other is not None
    assert other.id == shop.id


def test_an_order_of_the_old_state_is_not_finished(bed: Bed) -> None:
    """What was under way when the state was saved came to its end since: its key goes, too."""
    _, new = outlived(bed, copies=copies(bed, "combined"))
    with bed.context(write=True) as context:
        wish = context.config.certificates["www"]
        order = Order(
            certificate="www",
            pending="20260101T000000Z",
            state=OrderState.OPEN,
            authority="ca",
            directory=context.config.authorities["ca"].directory,
            identifiers=wish.names,
            key_type=wish.key,
            profile=None,
            at=bed.clock.now() - 3 * DAY,
            url="https://127.0.0.1:9/order/1",
        )
        context.store.prepare("www", order.pending, issued(bed, age=1).privkey, b"{}")
        context.ledger.save(order)
    assert bed.run().exit == 0
    situation = bed.situation()
    assert situation.order is None
    assert situation.live_version is not None
    assert situation.live_version.leaf.fingerprint == new.leaf.fingerprint
    assert not list((bed.state / "certificates" / "www").glob("pending/*"))


# ports ---------------------------------------------------------------------------------------------------


def ahead(bed: Bed, **keys: Any) -> Version:
    """A port that shows what the restored state does not have; what is live here."""
    served = bed.directory / "served"
    served.mkdir()
    newer = issued(bed, age=2)
    (served / "fullchain.pem").write_bytes(newer.fullchain)
    (served / "privkey.pem").write_bytes(newer.privkey)
    bed.hook("web", LOG)
    bed.certificate(hooks=["web"], endpoints=[bed.serving(served)], **keys)
    return bed.put(issued(bed, age=50), live=True, made=bed.clock.now() - 50 * DAY)


def test_a_newer_one_at_a_port_is_named(bed: Bed) -> None:
    """In the run's words and in those of status, with both ways out: it is the state that is behind."""
    ahead(bed)
    report = bed.run()
    (look,) = [one for one in report.outcomes if one.step is Step.LOOK]
    assert "newer than this state" in look.detail
    assert "restore the state" in look.hint
    assert "renewer run www" in look.hint
    said = bed.cli("status").out
    assert "newer than this state" in " ".join(said.split())
    assert "renewer run www" in " ".join(said.split())
    assert bed.status()["endpoints"][0]["state"] == "foreign"
    doctor = bed.cli("doctor", "--timeout", "2")
    assert "newer than this state" in " ".join(doctor.out.split())


def test_it_ends_by_an_order_after_a_day_or_at_once_when_asked(bed: Bed) -> None:
    """Time to restore the right state; then what is ordered is newer than what is served."""
    ahead(bed)
    bed.run()
    assert bed.plan().step is Step.KEEP
    asked = [one for one in bed.run("www", asked=True).plan.decisions if one.certificate == "www"]
    assert [(one.step, one.reason) for one in asked] == [(Step.ISSUE, Reason.STATE_IS_OLDER)]
    bed.clock.forward(timedelta(hours=20))
    bed.run()
    assert bed.plan().reason is not Reason.STATE_IS_OLDER
    bed.clock.forward(timedelta(hours=5))
    report = bed.run()
    assert Step.ISSUE in [one.step for one in report.outcomes]
    decision = report.plan.decisions[0]
    assert decision.reason is Reason.STATE_IS_OLDER
    assert "newer than this state" in decision.because


def test_an_older_or_strange_one_at_a_port_is_foreign(bed: Bed) -> None:
    """Another authority's, other names, or one that ends earlier say nothing about our state."""
    served = bed.directory / "served"
    served.mkdir()
    bed.hook("web", LOG)
    bed.certificate(hooks=["web"], endpoints=[bed.serving(served)])
    bed.put(issued(bed, age=50), live=True, made=bed.clock.now() - 50 * DAY)
    strange = [
        issued(bed, age=60),
        issued(bed, NAME, "more.example.org", age=2),
        issued(bed, age=2, lifetime=10 * DAY),
        Signer.root("other").issue(NAME, age=2 * DAY),
    ]
    for material in strange:
        (served / "fullchain.pem").write_bytes(material.fullchain)
        (served / "privkey.pem").write_bytes(material.privkey)
        bed.clock.forward(timedelta(minutes=10))
        bed.run()
        (seen,) = bed.records(Sighting)
        assert (seen.state, seen.newer) == (EndpointState.FOREIGN, False)
        assert "not ours" in (seen.error or "")
