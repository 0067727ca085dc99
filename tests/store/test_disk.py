from pathlib import Path

import pytest

from renewer.errors import StateError
from renewer.store.contract import Material, Shelf
from renewer.store.disk import DiskStore, version_id
from tests.store.looking import live_pair
from tests.store.pairs import NOW, pair

CERTIFICATES = "certificates/www"


@pytest.fixture
def state(tmp_path: Path) -> Path:
    """Where the state will be made."""
    return tmp_path / "state"


@pytest.fixture
def store(state: Path) -> DiskStore:
    """A store on a state directory that does not exist yet."""
    return DiskStore(str(state))


def filled(store: DiskStore, *numbers: int, live: int) -> None:
    """Put some versions and point at one."""
    for number in numbers:
        version, material = pair(number)
        store.put("www", version, material, key_mode=0o600)
    store.turn("www", pair(live)[0].id)


def test_names_of_versions() -> None:
    """A version's name tells when it was made and how its serial begins, short serials padded."""
    assert version_id(NOW, "1a2b3c4d5e6f") == "20261122T093300Z-1a2b3c4d"
    assert version_id(NOW, "ff") == "20261122T093300Z-000000ff"


def test_reading_makes_nothing(store: DiskStore, state: Path) -> None:
    """An empty store shows nothing, raises nothing and is not made by looking at it."""
    assert store.names() == []
    assert store.shelf("www") == Shelf(live=None, found=(), pending=())
    assert not store.pending("www", "x").has_key
    assert not state.exists()


def test_put_and_read(store: DiskStore) -> None:
    """What was put is read, listed and described as it was."""
    version, material = pair(1)
    assert store.put("www", version, material, key_mode=0o600) == version
    assert store.read("www", version.id) == material
    assert store.about("www", version.id) == version
    assert store.names() == ["www"]
    shelf = store.shelf("www")
    assert (shelf.live, [found.id for found in shelf.found]) == (None, [version.id])


def test_put_twice(store: DiskStore, state: Path) -> None:
    """The same version again changes nothing on disk."""
    version, material = pair(1)
    store.put("www", version, material, key_mode=0o600)
    before = store.shelf("www")
    store.put("www", version, material, key_mode=0o600)
    assert before == store.shelf("www")
    assert list((state / "tmp").iterdir()) == []


def test_put_another_of_the_same_name(store: DiskStore) -> None:
    """A complete version is never replaced by a different one of its name."""
    version, material = pair(1)
    store.put("www", version, material, key_mode=0o600)
    with pytest.raises(StateError, match="another version"):
        store.put("www", version, pair(2)[1], key_mode=0o600)
    assert material == store.read("www", version.id)


@pytest.mark.parametrize("name", ["privkey.pem", "cert.pem", "chain.pem", "fullchain.pem", "version.json"])
def test_put_over_a_damaged_one(store: DiskStore, state: Path, name: str) -> None:
    """A version that lost or emptied a file is told of by `about`, and made whole by putting it again."""
    version, material = pair(1)
    filled(store, 1, live=1)
    (state / CERTIFICATES / "versions" / version.id / name).write_bytes(b"")
    with pytest.raises(StateError, match="not a complete version"):
        store.about("www", version.id)
    if name != "version.json":
        store.put("www", version, material, key_mode=0o600)
        assert version == store.about("www", version.id)
        live_pair(state)


def test_key_of_another(store: DiskStore) -> None:
    """A version whose key and certificate do not belong together is no version."""
    version, material = pair(1)
    mixed = Material(privkey=pair(2)[1].privkey, cert=material.cert, chain=material.chain)
    store.put("www", version, mixed, key_mode=0o600)
    with pytest.raises(StateError, match="does not belong"):
        store.about("www", version.id)


def test_without_its_note(store: DiskStore, state: Path) -> None:
    """A version without version.json, as from another program, is known by its name and certificate."""
    version, _ = pair(1)
    filled(store, 1, live=1)
    (state / CERTIFICATES / "versions" / version.id / "version.json").unlink()
    about = store.about("www", version.id)
    assert (about.made_at, about.leaf, about.authority) == (version.made_at, version.leaf, None)


def test_placeholder_is_marked(store: DiskStore) -> None:
    """Whether a version is a placeholder stands on disk, so that a lost ledger still knows."""
    version, material = pair(1)
    marked = type(version)(id=version.id, made_at=version.made_at, leaf=version.leaf, placeholder=True)
    store.put("www", marked, material, key_mode=0o600)
    assert store.about("www", version.id).placeholder


def test_stamp_tells_of_changes(store: DiskStore, state: Path) -> None:
    """A version's stamp changes when its certificate or its key is replaced, and only then."""
    version, material = pair(1)
    filled(store, 1, live=1)
    (before,) = store.shelf("www").found
    assert (before,) == store.shelf("www").found
    for name in ("cert.pem", "privkey.pem"):
        path = state / CERTIFICATES / "versions" / version.id / name
        path.unlink()
        (gone,) = store.shelf("www").found
        path.write_bytes(material.cert)
        (after,) = store.shelf("www").found
        assert len({before.stamp, gone.stamp, after.stamp}) == 3


def test_turn(store: DiskStore, state: Path) -> None:
    """The link is relative, and points at what it was turned to, there and back."""
    filled(store, 1, 2, live=1)
    for number in (2, 1, 1):
        version, material = pair(number)
        store.turn("www", version.id)
        assert store.shelf("www").live == version.id
        assert live_pair(state) == (material.privkey, material.fullchain)
        assert str((state / CERTIFICATES / "live").readlink()) == f"versions/{version.id}"
    assert store.path("www") == f"{state}/certificates/www/live"
    assert store.path("www", "x") == f"{state}/certificates/www/versions/x"


def test_turn_to_nothing(store: DiskStore) -> None:
    """The link is never turned to a version that is not there, or not whole."""
    filled(store, 1, live=1)
    with pytest.raises(StateError, match="is missing"):
        store.turn("www", pair(2)[0].id)
    assert store.shelf("www").live == pair(1)[0].id


def test_remove(store: DiskStore) -> None:
    """Old versions go, the live one never, and what is gone already is no error."""
    filled(store, 1, 2, live=2)
    store.remove("www", pair(1)[0].id)
    store.remove("www", pair(1)[0].id)
    assert [found.id for found in store.shelf("www").found] == [pair(2)[0].id]
    with pytest.raises(StateError, match="is live"):
        store.remove("www", pair(2)[0].id)


def test_pending(store: DiskStore) -> None:
    """A key is kept before its order, a chain beside it later, and all go together."""
    material = pair(1)[1]
    for _ in range(2):
        store.prepare("www", "20261122T093300Z-1", material.privkey, b"{}")
    assert store.shelf("www").pending == ("20261122T093300Z-1",)
    assert store.pending_key("www", "20261122T093300Z-1") == material.privkey
    assert not store.pending("www", "20261122T093300Z-1").has_chain
    store.keep_chain("www", "20261122T093300Z-1", b"first")
    store.keep_chain("www", "20261122T093300Z-1", material.fullchain)
    pending = store.pending("www", "20261122T093300Z-1")
    assert (pending.order, pending.has_key, pending.has_chain) == (b"{}", True, True)
    assert store.pending_chain("www", "20261122T093300Z-1") == material.fullchain
    for _ in range(2):
        store.clear("www", "20261122T093300Z-1")
    assert store.shelf("www").pending == ()
    with pytest.raises(StateError, match="no pending order"):
        store.pending_key("www", "20261122T093300Z-1")


def test_pending_key_is_not_overwritten(store: DiskStore) -> None:
    """A second key under the same name is refused: the first may have left in a CSR."""
    store.prepare("www", "x", pair(1)[1].privkey, b"{}")
    with pytest.raises(StateError, match="another order"):
        store.prepare("www", "x", pair(2)[1].privkey, b"{}")
    assert store.pending_key("www", "x") == pair(1)[1].privkey


@pytest.mark.parametrize("name", ["", ".", "..", "../www", "www/..", "WWW", "-x", "a" * 65, "w\n", "w\0w"])
def test_names_are_checked(store: DiskStore, name: str) -> None:
    """No other name than a certificate's reaches the system."""
    version, material = pair(1)
    for act in (
        lambda: store.shelf(name),
        lambda: store.about(name, version.id),
        lambda: store.put(name, version, material, key_mode=0o600),
        lambda: store.turn(name, version.id),
        lambda: store.prepare(name, "x", b"", b""),
        lambda: store.pending(name, "x"),
    ):
        with pytest.raises(StateError, match="cannot be the name"):
            act()


@pytest.mark.parametrize("name", ["", "..", "../live", "live", "20261122T093300Z-1A2B3C4D"])
def test_names_of_versions_are_checked(store: DiskStore, name: str) -> None:
    """No other name than a version's reaches the system."""
    filled(store, 1, live=1)
    for act in (store.read, store.about, store.turn, store.remove):
        with pytest.raises(StateError, match="cannot be the name"):
            act("www", name)


def test_foreign_names_are_ignored(store: DiskStore, state: Path) -> None:
    """What others put among the directories is neither listed nor touched."""
    filled(store, 1, live=1)
    for strange in ("certificates/.git", "certificates/READ ME", f"{CERTIFICATES}/versions/mine", "tmp/mine"):
        (state / strange).mkdir()
    version, material = pair(2)
    DiskStore(str(state)).put("www", version, material, key_mode=0o600)
    assert store.names() == ["www"]
    assert [found.id for found in store.shelf("www").found] == [pair(1)[0].id, version.id]
    assert [path.name for path in (state / "tmp").iterdir()] == ["mine"]


def test_sweeping(store: DiskStore, state: Path) -> None:
    """What a killed run left in tmp goes with the first write of the next."""
    filled(store, 1, live=1)
    left = state / "tmp" / "new-4711-0"
    left.mkdir(mode=0o700)
    (left / "privkey.pem").write_bytes(b"half")
    (state / "tmp" / "new-4711-1").symlink_to("versions/nowhere")
    DiskStore(str(state)).turn("www", pair(1)[0].id)
    assert list((state / "tmp").iterdir()) == []


def test_two_stores_at_once(store: DiskStore, state: Path) -> None:
    """A second store of the same process does not sweep away what the first is just making."""
    from renewer import statedir
    from renewer.store import workspace

    filled(store, 1, live=1)
    with (
        statedir.ensure_root(str(state), 0o700) as root,
        root.open("tmp") as tmp,
        workspace.fresh(tmp) as name,
    ):
        tmp.write(name, b"half", 0o600)
        DiskStore(str(state)).turn("www", pair(1)[0].id)
        assert (state / "tmp" / name).exists()
        tmp.discard(name)
