"""A certificate's directory gets another name, or goes."""

import os
from pathlib import Path

import pytest
from msgspec.structs import replace

from renewer.errors import StateError
from renewer.store.disk import DiskStore
from tests.store.pairs import pair


@pytest.fixture
def store(tmp_path: Path) -> DiskStore:
    """A store with a certificate of two versions and an order under way."""
    store = DiskStore(str(tmp_path / "state"))
    for number in (1, 2):
        version, material = pair(number)
        store.put("old", version, material, key_mode=0o600)
    store.turn("old", pair(2)[0].id)
    store.prepare("old", "p1", pair(3)[1].privkey, b"{}")
    return store


def certificates(store: DiskStore) -> Path:
    """Where the certificates lie."""
    return Path(store.path("old")).parents[1]


def test_a_renamed_certificate_is_found_under_both_names(store: DiskStore) -> None:
    """All of it has the new name; the old path leads to the same files, as a link that is no certificate."""
    key = Path(store.path("old"), "privkey.pem").read_bytes()

    store.rename("old", "new")
    store.rename("old", "new")

    assert store.names() == ["new"]
    assert store.alias("old") == "new"
    assert store.shelf("new").live == pair(2)[0].id
    assert store.shelf("new").pending == ("p1",)
    assert Path(store.path("old"), "privkey.pem").read_bytes() == key
    assert Path(store.path("new"), "privkey.pem").read_bytes() == key


def test_a_placeholder_gives_way(store: DiskStore) -> None:
    """What a run laid under the new name before it was renamed is no obstacle."""
    version, material = pair(4)
    store.put("new", replace(version, placeholder=True), material, key_mode=0o600)

    store.rename("old", "new")

    assert len(store.shelf("new").found) == 2


def test_versions_of_its_own_do_not_give_way(store: DiskStore) -> None:
    """A real version under the new name is never lost."""
    version, material = pair(4)
    store.put("new", version, material, key_mode=0o600)

    with pytest.raises(StateError, match="new has versions of its own already"):
        store.rename("old", "new")

    assert store.names() == ["new", "old"]


def test_a_renaming_that_was_killed_is_finished(store: DiskStore) -> None:
    """Between the link and the exchange the old name is whole; saying it again finishes it."""
    (certificates(store) / "new").symlink_to("new")

    store.rename("old", "new")

    assert (store.names(), store.alias("old")) == (["new"], "new")


def test_a_renaming_is_undone(store: DiskStore) -> None:
    """Back to the first name, also by way of a third: every path that ever was leads to the same files."""
    for one, other in (("old", "new"), ("new", "old"), ("old", "new"), ("new", "third"), ("third", "old")):
        store.rename(one, other)
        assert (store.names(), store.shelf(other).live) == ([other], pair(2)[0].id)
        assert Path(store.path(one)).resolve() == Path(store.path(other)).resolve()

    assert {store.alias("new"), store.alias("third")} == {"third", "old"}
    assert Path(store.path("new")).resolve() == Path(store.path("old")).resolve()
    assert os.listdir(certificates(store).parent / "tmp") == []


def test_an_undoing_that_was_killed_is_finished(store: DiskStore) -> None:
    """Between the link to itself and the exchange."""
    store.rename("old", "new")
    (certificates(store) / "old").unlink()
    (certificates(store) / "old").symlink_to("old")

    store.rename("new", "old")

    assert (store.names(), store.alias("new")) == (["old"], "old")


def test_a_name_that_was_given_up_says_so(store: DiskStore) -> None:
    """Whoever looks there is told where it went, and what can be done."""
    store.rename("old", "new")

    with pytest.raises(StateError, match=r"old was renamed: .* leads to new") as told:
        store.shelf("old")
    assert told.value.hint.startswith("to undo that: renewer rename new old; ")


@pytest.mark.parametrize("name", ["..", "a/b", "", "Big", "new\n"])
def test_no_path_is_built_from_another_name(store: DiskStore, name: str) -> None:
    """What is no certificate's name reaches no system call."""
    refused = pytest.raises(StateError, match="cannot be the name of a certificate")
    with refused:
        store.rename("old", name)
    with refused:
        store.forget(name)
    with refused:
        store.alias(name)
    assert store.names() == ["old"]


def test_what_is_forgotten_is_gone(store: DiskStore) -> None:
    """Versions, keys, orders and the link go, and nothing is left on the workbench."""
    store.forget("old")
    store.forget("old")

    assert store.names() == []
    assert os.listdir(certificates(store)) == []
    assert os.listdir(certificates(store).parent / "tmp") == []


def test_only_the_link_of_an_old_name_goes(store: DiskStore) -> None:
    """Forgetting the old name of a renamed certificate leaves the certificate."""
    store.rename("old", "new")

    store.forget("old")

    assert (store.names(), store.alias("old")) == (["new"], None)
    assert len(store.shelf("new").found) == 2


def test_the_missing_cannot_be_renamed(store: DiskStore) -> None:
    """What is not there is told, and nothing is made."""
    with pytest.raises(StateError):
        store.rename("nobody", "new")
    assert store.names() == ["old"]


FILES = ("privkey.pem", "cert.pem", "chain.pem", "fullchain.pem")


def test_the_path_that_certbots_hooks_are_told_of(store: DiskStore) -> None:
    """It ends in the certificate's name, and its links are right at every instant, also after a turn."""
    place = Path(store.lineage("old"))
    assert place == Path(store.path("old")).parents[2] / "live" / "old"
    for version in (pair(1)[0].id, pair(2)[0].id):
        store.turn("old", version)
        for file in FILES:
            assert (place / file).read_bytes() == Path(store.path("old", version), file).read_bytes()
    assert sorted(os.listdir(place)) == sorted(FILES)
    assert place.stat().st_mode & 0o777 == 0o700


def test_a_lineage_is_put_right(store: DiskStore) -> None:
    """A link that leads elsewhere or is gone is made again; a file in its place is told, not lost."""
    place = Path(store.lineage("old"))
    (place / "cert.pem").unlink()
    (place / "chain.pem").unlink()
    (place / "chain.pem").symlink_to("/etc/passwd")
    assert Path(store.lineage("old")) == place
    assert all((place / file).resolve().parent == Path(store.path("old")).resolve() for file in FILES)
    (place / "cert.pem").unlink()
    (place / "cert.pem").write_text("mine")
    with pytest.raises(StateError, match="is not a symbolic link"):
        store.lineage("old")
    assert (place / "cert.pem").read_text() == "mine"


def test_a_lineage_follows_a_renaming_and_goes_with_its_certificate(store: DiskStore) -> None:
    """Under both names until the old one is forgotten; then under the new one until that is."""
    old = Path(store.lineage("old"))
    key = (old / "privkey.pem").read_bytes()
    store.rename("old", "new")
    new = old.with_name("new")
    assert (old / "privkey.pem").read_bytes() == (new / "privkey.pem").read_bytes() == key
    store.forget("old")
    assert os.listdir(old.parent) == ["new"]
    assert (new / "privkey.pem").read_bytes() == key
    store.forget("new")
    assert os.listdir(old.parent) == []


def test_without_hooks_of_certbots_there_is_no_lineage(store: DiskStore) -> None:
    """Neither a renaming nor a forgetting makes one."""
    store.rename("old", "new")
    store.forget("old")
    assert not (Path(store.path("new")).parents[2] / "live").exists()
