"""The one way to a durable file: the former content or the new one, whatever happens in between."""

import os
import threading
from pathlib import Path

import pytest

from renewer import durable, statedir
from renewer.errors import GiveUp, RetryLater, StateError
from renewer.ownership import LinkError, Place
from tests.store.mutations import KilledError, failing, killed, watched

ROOT_ONLY = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
OLD, NEW = b"old\n", b"new\n" * 1000


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A file with the former content."""
    file = tmp_path / "there" / "file"
    file.parent.mkdir(mode=0o755)
    file.write_bytes(OLD)
    return file


def write(path: Path, content: bytes = NEW, mode: int = 0o600) -> durable.Stamp:
    """Put it there."""
    return durable.replace(str(path), content, durable.with_mode(str(path), mode))


@pytest.mark.parametrize("umask", [0o000, 0o077, 0o777])
@pytest.mark.parametrize("mode", [0o600, 0o640, 0o644])
def test_it_has_its_mode_whatever_the_umask_says(path: Path, umask: int, mode: int) -> None:
    """Content, mode and stamp are those of the new file, and nothing else lies beside it."""
    before = os.umask(umask)
    try:
        stamp = write(path, mode=mode)
    finally:
        os.umask(before)
    assert (path.read_bytes(), path.stat().st_mode & 0o777) == (NEW, mode)
    assert stamp == durable.stamp_of(path.stat())
    assert os.listdir(path.parent) == ["file"]


def test_killed_anywhere(path: Path) -> None:
    """Before the rename the former stands, after it the new one; the next try needs no help."""
    moment, seen = 0, []
    while True:
        moment += 1
        path.write_bytes(OLD)
        try:
            with watched(killed(moment)):
                write(path)
        except KilledError:
            seen.append(path.read_bytes())
            continue
        break
    assert set(seen) == {OLD, NEW}
    assert sorted(seen, key=lambda content: content != OLD) == seen
    assert os.listdir(path.parent) == ["file"]


def test_no_room_anywhere(path: Path) -> None:
    """Whatever step finds no room: it is said, no half of a file stands there, no draft stays."""
    for moment in range(1, 20):
        path.write_bytes(OLD)
        try:
            with watched(failing(moment)):
                write(path)
        except OSError as error:
            renamed = isinstance(error, durable.RenamedError)
            assert path.read_bytes() == (NEW if renamed else OLD), moment
            assert set(os.listdir(path.parent)) <= {"file", durable.draft_of("file")}
        write(path)
        assert os.listdir(path.parent) == ["file"]


def test_many_at_once(path: Path) -> None:
    """Writers that hold no lock never mix what they write."""
    contents = [bytes([65 + number]) * 300_000 for number in range(8)]
    faults: list[Exception] = []

    def one(content: bytes) -> None:
        try:
            for _ in range(5):
                durable.replace(str(path), content, durable.with_mode(str(path)), alone=False)
        except RetryLater:
            pass  # another one was faster: told, and what stands is whole
        except Exception as error:  # noqa: BLE001  whatever it is, it is a fault
            faults.append(error)

    threads = [threading.Thread(target=one, args=(content,)) for content in contents]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert faults == []
    assert path.read_bytes() in contents
    assert os.listdir(path.parent) == ["file"]


@ROOT_ONLY
def test_no_link_of_a_stranger_leads_us(path: Path, tmp_path: Path) -> None:
    """Whoever owns a directory on the way may not send us to another one."""
    theirs = tmp_path / "theirs"
    theirs.mkdir()
    (theirs / "way").symlink_to(path.parent)
    os.chown(theirs, 65534, 65534)
    with pytest.raises(LinkError):
        write(theirs / "way" / "file")
    assert path.read_bytes() == OLD


def test_what_is_put_in_our_place_is_seen(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that somebody else renames over ours at that moment is not taken for ours."""
    descriptor = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    real = os.rename

    def rename(source: str, target: str, **more: int) -> None:
        real(source, target, **more)
        (path.parent / "evil").write_bytes(b"evil")
        real(path.parent / "evil", path)

    place = Place(fd=descriptor, name="file", guarded=False, moved=False)
    monkeypatch.setattr(os, "rename", rename)
    with pytest.raises(RetryLater, match="replaced by somebody else"):
        durable.put(place, str(path), NEW, durable.with_mode(str(path)))
    os.close(descriptor)


def test_only_what_was_expected_goes(path: Path) -> None:
    """In a directory that others could have put there another file than the expected one stays."""
    descriptor = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    place = Place(fd=descriptor, name="file", guarded=False, moved=True)
    with pytest.raises(GiveUp, match="is left alone"):
        durable.put(place, str(path), NEW, durable.with_mode(str(path)), was=0)
    durable.put(place, str(path), NEW, durable.with_mode(str(path)), was=path.stat().st_ino)
    os.close(descriptor)
    assert path.read_bytes() == NEW


def test_a_held_directory_is_ours_alone(tmp_path: Path) -> None:
    """Made with 0700, read and written by name, and what others may write to is not trusted."""
    with statedir.held(str(tmp_path), "one", "two") as found:
        found.put("file", b"content")
        assert (found.peek("file"), found.peek("nothing"), found.names()) == (b"content", None, ["file"])
        found.rename("file", "other")
        assert (tmp_path / "one" / "two" / "other").stat().st_mode & 0o777 == 0o600
        (tmp_path / "one" / "two" / "other").chmod(0o666)
        with pytest.raises(StateError, match="others may write"):
            found.peek("other")
    assert {(tmp_path / part).stat().st_mode & 0o777 for part in ("one", "one/two")} == {0o700}
    assert statedir.look(str(tmp_path), "one", "three") is None


def test_one_after_the_other(tmp_path: Path) -> None:
    """Who comes second waits until the first is done."""
    entered, order = threading.Event(), []

    def second() -> None:
        entered.wait(10)
        with statedir.held(str(tmp_path), "place"):
            order.append("second")

    thread = threading.Thread(target=second)
    thread.start()
    with statedir.held(str(tmp_path), "place"):
        entered.set()
        thread.join(0.3)
        order.append("first")
    thread.join(30)
    assert order == ["first", "second"]
