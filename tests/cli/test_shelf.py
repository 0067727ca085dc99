"""`versions`, `rollback`, `rename` and `forget` with a real nginx, as a person types them."""

import json
import os
import pwd
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest
from msgspec.structs import replace

from renewer.ledger.sqlite import SqliteLedger
from renewer.model.facts import CopyFact, Hold, Revoked, Version
from renewer.store.lock import Lock
from tests.command import renewer
from tests.hooks.bed import CHECKOUT, Bed
from tests.hooks.conftest import bed
from tests.hooks.test_nginx import Served

__all__ = ["bed"]  # a fixture


@pytest.fixture
def three(bed: Bed) -> tuple[Bed, list[Version]]:
    """A bed with three versions, oldest first; the newest is served by a real nginx."""
    bed.serve(Served(bed))
    versions = [bed.put() for _ in range(3)]
    assert bed.run().exit == 0
    return bed, versions


def say(bed: Bed, *arguments: str) -> tuple[int, str]:
    """How a command ends, and all that it says, for a person without a terminal."""
    ended = renewer("--config", bed.config, *arguments)
    return ended.code, ended.said


def ledger(bed: Bed) -> SqliteLedger:
    """The bed's ledger, to write."""
    return SqliteLedger.open(str(bed.state / "ledger.db"))


def test_a_rollback_holds_what_is_newer(three: tuple[Bed, list[Version]]) -> None:
    """The older one is served and stays; status says who, when, why, and how it ends; deploy ends it."""
    bed, (first, second, third) = three

    document = bed.cli("rollback", "www", "--to", first.id, "--reason", "a client broke")

    assert bed.served() == first.leaf.serial
    assert (document["rolled_back_to"], document["held"]) == (first.id, [third.id, second.id])
    assert bed.run().exit == 0
    status = bed.cli("status")
    (row,) = status["certificates"]
    me = os.environ.get("SUDO_USER") or pwd.getpwuid(os.getuid()).pw_name
    assert (row["state"], row["live"], row["wanted"]) == ("verified", first.id, first.id)
    assert {(one["version"], one["by"], one["why"]) for one in row["held"]} == {
        (second.id, me, "a client broke"),
        (third.id, me, "a client broke"),
    }
    code, said = say(bed, "status")
    assert code == 0
    assert f"rolled back to version {first.id} by {me}" in said
    assert "or: renewer deploy www" in said

    bed.cli("deploy", "www")
    assert bed.served() == third.leaf.serial
    assert bed.cli("status")["certificates"][0]["held"] == []


def test_a_rollback_is_no_renewal_under_way(three: tuple[Bed, list[Version]]) -> None:
    """The story of the last days says that it was deployed again, not that a renewal has not ended."""
    bed, _ = three
    bed.cli("rollback", "www")

    code, said = say(bed, "log", "www", "--last")

    first = said.splitlines()[0]
    assert code == 0
    assert first.startswith("www: deployed again in ")
    assert first.endswith(" ago; nothing was renewed")


def test_a_newer_version_ends_a_rollback(three: tuple[Bed, list[Version]]) -> None:
    """What is issued after a rollback is served, and the holds are forgotten."""
    bed, (_, second, _) = three
    bed.cli("rollback", "www")
    assert bed.served() == second.leaf.serial

    fourth = bed.put()

    assert bed.run().exit == 0
    assert bed.served() == fourth.leaf.serial
    assert ledger(bed).load(Hold) == []


def test_a_copy_that_nobody_remembers_goes_back_too(bed: Bed) -> None:
    """Killed between a copy and its record, or a lost ledger: a version of ours is no stranger's."""
    bed.serve(Served(bed))
    path = bed.directory / "copy.pem"
    bed.write_config(copies=[{"combined": path}])
    bed.put(valid_for=timedelta(days=40))
    assert bed.run().exit == 0
    first, remembered = path.read_bytes(), ledger(bed).load(CopyFact)
    bed.put(valid_for=timedelta(days=80))
    assert bed.run().exit == 0
    ledger(bed).save(*remembered)

    bed.cli("rollback", "www")

    assert path.read_bytes() == first
    assert bed.run().exit == 0


def test_what_cannot_be_gone_back_to(three: tuple[Bed, list[Version]]) -> None:
    """Each refusal says why, and nothing is held or served by it."""
    bed, (first, second, third) = three
    refusals = {
        ("--to", "nonsense"): "has no version nonsense",
        ("--to", third.id): "is live already",
        ("--to", third.leaf.serial): "is live already",
        ("--reason", "two\nlines"): "must be one line",
    }
    for arguments, sentence in refusals.items():
        code, said = say(bed, "rollback", "www", *arguments)
        assert (code, sentence in said) == (2, True), said
    bed.cli("rollback", "www", "--to", second.leaf.serial)
    code, said = say(bed, "rollback", "www", "--to", third.id)
    assert (code, "is newer than the live one" in said, "renewer deploy www" in said) == (2, True, True)
    at = third.made_at
    ledger(bed).save(
        Revoked(certificate="www", version=first.id, serial=first.leaf.serial, reason="superseded", at=at)
    )
    code, said = say(bed, "rollback", "www", "--to", first.id)
    assert (code, "was revoked" in said) == (2, True)
    code, said = say(bed, "rollback", "www")
    assert (code, "has no version before the live one" in said) == (2, True)
    assert bed.served() == second.leaf.serial


def test_nothing_goes_back_to_what_is_about_to_expire(bed: Bed) -> None:
    """An older version in its last day is no way back: the emergency would end the hold at once."""
    bed.serve(Served(bed))
    ending = bed.put(valid_for=timedelta(minutes=75))  # an hour of it is over
    bed.put()
    assert bed.run().exit == 0

    code, said = say(bed, "rollback", "www")

    assert (code, "are about to expire" in said) == (2, True)
    code, said = say(bed, "rollback", "www", "--to", ending.id)
    assert (code, "has expired or is about to" in said) == (2, True)


def test_versions_are_listed_with_what_changed(three: tuple[Bed, list[Version]]) -> None:
    """Newest first, each with key, names against the one before, where it is served, and what holds it."""
    bed, (first, second, third) = three
    bed.cli("rollback", "www", "--reason", "why not")

    document = bed.cli("versions", "www")

    rows = document["versions"]
    assert [row["id"] for row in rows] == [third.id, second.id, first.id]
    assert [row["state"] for row in rows] == [["held"], ["live", "served"], []]
    assert [(row["added"], row["removed"]) for row in rows] == [([], []), ([], []), (None, [])]
    assert {row["key"] for row in rows} == {"ecdsa-p256"}
    assert rows[0]["held"]["why"] == "why not"
    assert rows[1]["served_at"] == [f"127.0.0.1:{bed.server.port}/www.example.org"]
    code, said = say(bed, "versions", "www")
    assert code == 0
    assert f"{third.id} is held since" in said
    assert said.splitlines()[0].split() == [
        *("version", "state", "issued", "expires", "key", "names", "authority")
    ]


def test_a_version_that_is_no_good_is_told(three: tuple[Bed, list[Version]]) -> None:
    """A damaged one is named with its fault; an unknown certificate is refused with what there is."""
    bed, (first, *_) = three
    (bed.live.parent / "versions" / first.id / "privkey.pem").write_bytes(b"")

    code, said = say(bed, "versions", "www")

    assert (code, f"versions/{first.id}" in said) == (0, True)
    assert len(bed.cli("versions", "www")["faults"]) == 1
    code, said = say(bed, "versions", "wwww")
    assert (code, "there are: www" in said) == (2, True)


def rename_table(bed: Bed) -> None:
    """What a person does first: the table gets another name."""
    bed.config.write_text(bed.config.read_text().replace("[certificate.www]", "[certificate.shop]"))


def test_versions_follow_a_renamed_table(three: tuple[Bed, list[Version]]) -> None:
    """Nothing is ordered, the server's old path goes on working, and status is well at once."""
    bed, (*_, third) = three
    code, said = say(bed, "rename", "www", "shop")
    assert (code, "has no certificate 'shop'" in said) == (2, True)
    rename_table(bed)
    assert bed.cli("status", code=1)["orphans"] == ["www"]

    bed.cli("rename", "www", "shop")
    bed.cli("rename", "www", "shop")  # once more does no harm

    status = bed.cli("status")
    assert (status["healthy"], status["orphans"]) == (True, [])
    assert bed.cli("run")["outcomes"] == []
    assert Path(bed.live).resolve().parts[-3] == "shop"
    assert bed.call("test") == 0  # nginx still names the old path
    bed.server.stop()
    bed.server.start()
    assert bed.served() == third.leaf.serial
    code, said = say(bed, "versions", "www")
    assert (code, "www is called shop now" in said) == (2, True)
    assert bed.cli("forget", "www")["forgotten"]
    assert bed.cli("versions", "shop")["versions"][0]["id"] == third.id


def test_a_configured_certificate_is_not_forgotten(three: tuple[Bed, list[Version]]) -> None:
    """What the config names stays, and so does what nobody knows."""
    bed, _ = three
    code, said = say(bed, "forget", "www", "--yes")
    assert (code, "take [certificate.www] out first" in said) == (2, True)
    code, said = say(bed, "forget", "nobody", "--yes")
    assert (code, "nothing is on disk of a certificate 'nobody'" in said) == (2, True)
    code, said = say(bed, "forget", "../www", "--yes")
    assert (code, "Traceback" in said) == (1, False)
    assert bed.live.exists()


def test_an_orphan_is_forgotten_when_no_port_shows_it(three: tuple[Bed, list[Version]]) -> None:
    """Not while it is served, not without a yes; then keys and memory go, the history stays."""
    bed, _ = three
    rename_table(bed)
    code, said = say(bed, "forget", "www")
    assert (code, "still serves a certificate of www" in said, "or say --yes" in said) == (2, True, True)
    bed.server.stop()
    code, said = say(bed, "forget", "www")
    assert (code, "3 versions of www are deleted with their keys" in said, "--yes" in said) == (2, True, True)
    assert bed.live.exists()

    document = bed.cli("forget", "www", "--yes")

    assert document == {"schema": 1, "certificate": "www", "forgotten": True, "copies": []}
    assert not list(bed.state.rglob("privkey.pem"))
    assert ledger(bed).load(Hold, "www") == []
    assert bed.cli("status", code=1)["orphans"] == []


def test_what_is_served_may_be_forgotten_on_purpose(three: tuple[Bed, list[Version]]) -> None:
    """With --yes, and then nothing is said of it any more; what its port shows is nobody's here."""
    bed, _ = three
    rename_table(bed)
    served = [one["text"] for one in bed.cli("status", code=1)["concerns"] if "served" in one["subject"]]
    assert len(served) == 1
    assert served[0].startswith("www is not configured for this host any more, is still served at ")
    assert bed.cli("forget", "www", "--yes")["forgotten"]
    assert json.loads(say(bed, "status", "--json")[1])["orphans"] == []


def test_a_revocation_under_way_is_not_forgotten(three: tuple[Bed, list[Version]]) -> None:
    """What the authority has yet to agree to needs the certificate, and perhaps its key."""
    bed, (first, *_) = three
    rename_table(bed)
    bed.server.stop()
    at = first.made_at
    fact = Revoked(certificate="www", version=first.id, serial=first.leaf.serial, reason="superseded", at=at)
    ledger(bed).save(fact)

    code, said = say(bed, "forget", "www", "--yes")

    assert (code, "has not agreed yet to revoke" in said) == (2, True)
    assert bed.live.exists()
    ledger(bed).save(replace(fact, done=True))
    assert bed.cli("forget", "www", "--yes")["forgotten"]


def test_a_name_that_was_given_up_may_be_used_again(three: tuple[Bed, list[Version]]) -> None:
    """A table of the old name is told of the renaming, which can be undone, or forgotten."""
    bed, _ = three
    before = bed.config.read_text()
    rename_table(bed)
    bed.cli("rename", "www", "shop")
    bed.config.write_text(before)
    code, said = say(bed, "status")
    assert (code, "www was renamed: " in said, "renewer rename shop www" in said) == (3, True, True)

    bed.cli("rename", "shop", "www")

    assert bed.cli("status")["healthy"]
    assert bed.call("test") == 0
    rename_table(bed)
    bed.cli("rename", "www", "shop")
    bed.config.write_text(before)
    assert bed.cli("forget", "www")["forgotten"]
    assert "www was renamed" not in say(bed, "status")[1]


def test_nobody_waits_for_a_person_to_answer(three: tuple[Bed, list[Version]]) -> None:
    """While the question stands on the screen, the lock is free for the timer's run."""
    bed, _ = three
    rename_table(bed)
    bed.server.stop()
    ours, theirs = os.openpty()
    argv = [sys.executable, "-m", "renewer", "--config", str(bed.config), "forget", "www"]
    with subprocess.Popen(argv, stdin=theirs, stdout=theirs, stderr=theirs, cwd=CHECKOUT) as asking:
        os.close(theirs)
        said = b""
        while b"Go on?" not in said:
            said += os.read(ours, 4096)
        with Lock(str(bed.state)):
            assert bed.live.exists()
        os.write(ours, b"y\n")
        assert asking.wait(60) == 0
    os.close(ours)
    assert not bed.live.exists()
