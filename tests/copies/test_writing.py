"""Files in other places: written by one rename, with their rights, and put back when a deployment fails."""

import errno
import os
import stat
import subprocess
import threading
from datetime import timedelta
from pathlib import Path

import pytest

from renewer import copies, x509
from renewer.errors import GiveUp, RetryLater
from renewer.model.desired import Copy, CopyPart, KeyType
from renewer.store.contract import Material
from renewer.store.disk import DiskStore
from tests.builders import NAMES, NOW


def material(days: int = 0) -> Material:
    """A pair of our own, made so many days after the others."""
    key = x509.new_key(KeyType.ECDSA_P256)
    return Material(privkey=key, cert=x509.placeholder(NAMES, key, NOW + timedelta(days=days)), chain=b"")


def copy_to(directory: Path, *, mode: int | None = None) -> Copy:
    """Key and chain below a directory."""
    paths = ((CopyPart.FULLCHAIN, str(directory / "www.pem")), (CopyPart.KEY, str(directory / "www.key")))
    return Copy(paths=paths, mode=mode)


def written_by_us(done: list[copies.Written]) -> dict[str, str]:
    """What the ledger would know of them."""
    return {one.path: one.sha256 for one in done}


def modes(directory: Path) -> dict[str, int]:
    """The rights of every file there."""
    return {entry.name: stat.S_IMODE(entry.stat().st_mode) for entry in directory.iterdir()}


def test_key_is_written_before_its_chain(tmp_path: Path) -> None:
    """Whatever order the config has, a reader never meets a chain whose key is not there yet."""
    done = copies.put(copy_to(tmp_path), material(), {})
    assert [Path(one.path).name for one in done] == ["www.key", "www.pem"]


def test_modes_do_not_depend_on_the_umask(tmp_path: Path) -> None:
    """A key is for its owner, a chain for everybody, under a umask of 0 as under 0777."""
    for umask in (0, 0o777):
        before = os.umask(umask)
        try:
            copies.put(copy_to(tmp_path), material(), {})
        finally:
            os.umask(before)
        assert modes(tmp_path)["www.key"] == 0o600
        assert modes(tmp_path)["www.pem"] == 0o644


def test_mode_of_the_config_goes_for_keys(tmp_path: Path) -> None:
    """`mode` is the key's; a chain is never less readable than its key needs."""
    copies.put(copy_to(tmp_path, mode=0o640), material(), {})
    assert modes(tmp_path) == {"www.key": 0o640, "www.pem": 0o644}


def test_undo_puts_back_what_stood_there(tmp_path: Path) -> None:
    """Turning back restores bytes and rights, and removes what was not there."""
    old, new = material(), material(days=1)
    first = copies.put(copy_to(tmp_path), old, {})
    (tmp_path / "www.key").chmod(0o640)
    (tmp_path / "www.pem").unlink()
    second = copies.put(copy_to(tmp_path), new, written_by_us(first))
    restored, faults = copies.undo(second)
    assert faults == []
    assert (tmp_path / "www.key").read_bytes() == old.privkey
    assert modes(tmp_path) == {"www.key": 0o640}
    assert [Path(one.path).name for one in restored] == ["www.key"]


def test_foreign_file_is_kept_once(tmp_path: Path) -> None:
    """What an administrator put there is kept in the state directory, for us alone; not overwritten later."""
    place, state = tmp_path / "tls", tmp_path / "state"
    place.mkdir()
    store = DiskStore(str(state))
    (place / "www.key").write_text("somebody's")
    first = copies.put(copy_to(place), material(), {}, keep=store.keep_former)
    kept = Path(store.former(str(place / "www.key")) or "")
    assert (kept.read_text(), kept.parent) == ("somebody's", state / "replaced")
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    assert any(str(kept) in text for one in first for text in one.told)
    (place / "www.key").write_text("somebody else's")
    copies.put(copy_to(place), material(days=1), written_by_us(first), keep=store.keep_former)
    assert kept.read_text() == "somebody's"
    assert set(modes(place)) == {"www.key", "www.pem"}


def test_our_own_former_file_is_not_kept(tmp_path: Path) -> None:
    """A renewal leaves nothing beside its copies."""
    first = copies.put(copy_to(tmp_path), material(), {})
    copies.put(copy_to(tmp_path), material(days=1), written_by_us(first))
    assert set(modes(tmp_path)) == {"www.key", "www.pem"}


def test_later_certificate_of_somebody_else_is_left_alone(tmp_path: Path) -> None:
    """A copy that ends later than ours stays, with its key, and that is said."""
    theirs, ours = material(days=30), material()
    (tmp_path / "www.pem").write_bytes(theirs.fullchain)
    (tmp_path / "www.key").write_bytes(theirs.privkey)
    done = copies.put(copy_to(tmp_path), ours, {})
    assert all("ends later than ours" in one.note for one in done)
    assert (tmp_path / "www.key").read_bytes() == theirs.privkey
    assert copies.undo(done) == ([], [])
    assert (tmp_path / "www.pem").read_bytes() == theirs.fullchain


def test_same_content_is_not_written_again(tmp_path: Path) -> None:
    """A second run changes no file that is as it should be."""
    one = material()
    copies.put(copy_to(tmp_path), one, {})
    inode = (tmp_path / "www.key").stat().st_ino
    again = copies.put(copy_to(tmp_path), one, {})
    assert (tmp_path / "www.key").stat().st_ino == inode
    assert all(written.unchanged for written in again)


def test_missing_directory_is_named(tmp_path: Path) -> None:
    """The message names the file and what to create; nothing is created in its place."""
    with pytest.raises(GiveUp, match="directory does not exist") as caught:
        copies.put(copy_to(tmp_path / "missing"), material(), {})
    assert str(tmp_path / "missing") in caught.value.hint
    assert not (tmp_path / "missing").exists()


def test_failure_half_way_puts_the_first_file_back(tmp_path: Path) -> None:
    """If the chain cannot be written, the key goes back: never a mixed pair."""
    old = material()
    first = copies.put(copy_to(tmp_path), old, {})
    (tmp_path / "www.pem").unlink()
    (tmp_path / "www.pem").mkdir()
    with pytest.raises((GiveUp, RetryLater)):
        copies.put(copy_to(tmp_path), material(days=1), written_by_us(first))
    assert (tmp_path / "www.key").read_bytes() == old.privkey


def test_unknown_owner_is_told_before_anything_is_written(tmp_path: Path) -> None:
    """A user that does not exist is named, and no file appears."""
    wish = Copy(paths=((CopyPart.KEY, str(tmp_path / "k")),), owner="nobody-of-that-name")
    with pytest.raises(GiveUp, match="nobody-of-that-name"):
        copies.put(wish, material(), {})
    assert list(tmp_path.iterdir()) == []


def test_reader_never_meets_half_a_file(tmp_path: Path) -> None:
    """Somebody who reads all the time sees an old or a new file, whole."""
    pairs = [material(days=day) for day in range(20)]
    known = {pair.fullchain for pair in pairs}
    copies.put(copy_to(tmp_path), pairs[0], {})
    seen: set[bytes] = set()
    stop = threading.Event()

    def read() -> None:
        while not stop.is_set():
            seen.add((tmp_path / "www.pem").read_bytes())

    reader = threading.Thread(target=read)
    reader.start()
    done = copies.put(copy_to(tmp_path), pairs[0], {})
    for pair in pairs:
        done = copies.put(copy_to(tmp_path), pair, written_by_us(done))
    stop.set()
    reader.join()
    assert seen <= known


@pytest.mark.parametrize("mode", [0o755, 0o777])
def test_link_is_replaced_itself(tmp_path: Path, mode: int) -> None:
    """A link at a copy's path, whoever put it there, is replaced as a rename does; its target stays."""
    place, system = tmp_path / "tls", tmp_path / "system"
    place.mkdir()
    system.mkdir()
    (system / "passwd").write_text("root:x:0:0")
    (place / "www.key").symlink_to(system / "passwd")
    (place / "www.pem").symlink_to(tmp_path / "nowhere")
    place.chmod(mode)
    store = DiskStore(str(tmp_path / "state"))

    new = material()
    done = copies.put(copy_to(place), new, {}, keep=store.keep_former)

    assert (system / "passwd").read_text() == "root:x:0:0"
    assert [entry.name for entry in system.iterdir()] == ["passwd"]
    assert not (tmp_path / "nowhere").exists()
    assert not (place / "www.key").is_symlink()
    assert (place / "www.key").read_bytes() == new.privkey
    assert os.readlink(store.former(str(place / "www.key")) or "") == str(system / "passwd")
    assert copies.undo(done) == ([], [])
    assert os.readlink(place / "www.key") == str(system / "passwd")
    assert os.readlink(place / "www.pem") == str(tmp_path / "nowhere")


def test_later_certificate_behind_a_link_is_left_alone(tmp_path: Path) -> None:
    """A link of the administrator's to another client's later certificate stays, and that is said."""
    theirs, place = tmp_path / "archive.pem", tmp_path / "tls"
    place.mkdir()
    theirs.write_bytes(material(days=30).fullchain)
    (place / "www.pem").symlink_to(theirs)
    done = copies.put(copy_to(place), material(), {})
    assert all("ends later than ours" in one.note for one in done)
    assert (place / "www.pem").is_symlink()


@pytest.mark.parametrize("number", [1, 2])
def test_directory_that_cannot_be_synced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    """From its rename on a file counts as written: if its directory's fsync fails, all go back."""
    old = material()
    first = copies.put(copy_to(tmp_path), old, {})
    real, count = os.fsync, 0

    def failing(fd: int) -> None:
        nonlocal count
        if stat.S_ISDIR(os.fstat(fd).st_mode):
            count += 1
            if count == number:
                raise OSError(errno.EIO, os.strerror(errno.EIO))
        real(fd)

    monkeypatch.setattr(os, "fsync", failing)
    with pytest.raises(RetryLater, match="Input/output error") as caught:
        copies.put(copy_to(tmp_path), material(days=1), written_by_us(first))
    assert "dmesg" in caught.value.hint
    assert (tmp_path / "www.key").read_bytes() == old.privkey
    assert (tmp_path / "www.pem").read_bytes() == old.fullchain


HINTS = {
    errno.ENOSPC: "make room",
    errno.EDQUOT: "quota",
    errno.EBUSY: "bind mount",
    errno.EROFS: "renewer timer install",
    errno.EIO: "dmesg",
    errno.EFBIG: "ulimit -f",
}


@pytest.mark.parametrize("number", HINTS, ids=errno.errorcode.get)
def test_each_cause_has_its_hint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    """Why a file cannot be replaced says what to do about that very cause."""

    def refused(*_: object, **__: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "rename", refused)
    with pytest.raises((GiveUp, RetryLater)) as caught:
        copies.put(copy_to(tmp_path), material(), {})
    assert HINTS[number] in caught.value.hint
    assert list(tmp_path.iterdir()) == []


def test_bind_mounted_file(tmp_path: Path) -> None:
    """A file that is a mount of its own cannot be replaced: told as that, and the file stays."""
    other = tmp_path / "other"
    other.write_text("as it was")
    (tmp_path / "www.key").write_text("covered")
    subprocess.run(["/bin/mount", "--bind", other, tmp_path / "www.key"], check=True)
    try:
        with pytest.raises(GiveUp, match="busy") as caught:
            copies.put(copy_to(tmp_path), material(), {})
        assert "mount its directory" in caught.value.hint
        assert other.read_text() == "as it was"
    finally:
        subprocess.run(["/bin/umount", tmp_path / "www.key"], check=True)


def test_longest_name(tmp_path: Path) -> None:
    """A name that leaves no room for the dot-file's additions is written all the same."""
    path = tmp_path / ("k" * 255)
    one = material()
    copies.put(Copy(paths=((CopyPart.KEY, str(path)),)), one, {})
    assert path.read_bytes() == one.privkey
    assert list(tmp_path.iterdir()) == [path]


def test_directory_behind_a_link_of_somebody_else(tmp_path: Path) -> None:
    """The same for the directories on the way."""
    theirs, system = tmp_path / "theirs", tmp_path / "system"
    theirs.mkdir()
    system.mkdir()
    (theirs / "tls").symlink_to(system)
    theirs.chmod(0o777)

    with pytest.raises(GiveUp, match="symbolic link"):
        copies.put(copy_to(theirs / "tls"), material(), {})

    assert list(system.iterdir()) == []
