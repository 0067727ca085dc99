"""Copies that are written into the file that is there, for files that are mounted by themselves."""

import os
import subprocess
from pathlib import Path

import pytest
from msgspec.structs import replace

from renewer import copies
from renewer.copies import files
from renewer.errors import GiveUp, RetryLater
from renewer.model.desired import Copy, CopyPart
from tests.copies.pairs import copy_of, pair


def in_place(place: Path, *parts: CopyPart) -> Copy:
    """A copy of these parts that is written in place."""
    return replace(copy_of(place, *parts), in_place=True)


def ours(done: list[copies.Written]) -> dict[str, str]:
    """What the ledger would know."""
    return {one.path: one.sha256 for one in done}


@pytest.mark.parametrize("part", [CopyPart.FULLCHAIN, CopyPart.KEY, CopyPart.COMBINED, CopyPart.PKCS12])
def test_the_file_stays_the_same_one(place: Path, part: CopyPart) -> None:
    """Longer or shorter, with its rights: who has it mounted or open sees the new content."""
    copy, path = in_place(place, part), place / part
    done = copies.put(copy, pair(), {})  # nothing is there yet: made as ever
    path.chmod(0o640)
    inode = path.stat().st_ino
    with path.open("rb") as reader:
        again = copies.put(copy, pair(30), ours(done))
        assert path.stat().st_ino == inode
        assert reader.read() == path.read_bytes()
    assert (path.stat().st_mode & 0o777) == 0o640
    assert not again[0].unchanged
    path.write_bytes(bytes(100_000))  # somebody's, and longer
    copies.put(copy, pair(), ours(again))
    assert path.stat().st_size < 10_000
    assert path.stat().st_ino == inode


def test_turned_back_in_place(place: Path) -> None:
    """What was there before is written back into the same file."""
    copy, path = in_place(place, CopyPart.FULLCHAIN), place / "fullchain"
    path.write_bytes(b"former")
    inode = path.stat().st_ino
    done = copies.put(copy, pair(), {})
    restored, faults = copies.undo(done)
    assert (path.read_bytes(), path.stat().st_ino, faults) == (b"former", inode, [])
    assert len(restored) == 1


def test_a_write_that_fails_leaves_what_was_there(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No room in the middle of it: told, and the old content is written back."""
    copy, path = in_place(place, CopyPart.FULLCHAIN), place / "fullchain"
    done = copies.put(copy, pair(), {})
    before, write = path.read_bytes(), os.write
    calls: list[bytes] = []

    def full(file: int, data: bytes) -> int:
        calls.append(data)
        if len(calls) == 2:
            raise OSError(28, "No space left on device")
        return write(file, data[:100] if len(calls) == 1 else data)

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(RetryLater, match="No space left"):
        copies.put(copy, pair(30), ours(done))
    assert path.read_bytes() == before


def test_no_key_where_others_may_put_files(place: Path) -> None:
    """A directory that everybody may write to: the key is refused, and the file is as it was."""
    path = place / "key"
    path.write_bytes(b"former")
    place.chmod(0o777)
    with pytest.raises(GiveUp, match="not written in place: others may put another file there"):
        copies.put(in_place(place, CopyPart.KEY), pair(), {})
    assert path.read_bytes() == b"former"


def test_no_file_with_other_names_where_others_may_put_files(place: Path) -> None:
    """A hard link to somebody's file in such a directory is not written through."""
    victim, path = place.parent / "victim", place / "fullchain"
    victim.write_bytes(b"precious")
    os.link(victim, path)
    place.chmod(0o777)
    with pytest.raises(GiveUp, match="hard links"):
        copies.put(in_place(place, CopyPart.FULLCHAIN), pair(), {})
    assert victim.read_bytes() == b"precious"


def test_a_symbolic_link_is_replaced_not_followed(place: Path) -> None:
    """As without in_place: where it leads is left alone."""
    victim, path = place.parent / "victim", place / "fullchain"
    victim.write_bytes(b"precious")
    path.symlink_to(victim)
    copies.put(in_place(place, CopyPart.FULLCHAIN), pair(), {})
    assert victim.read_bytes() == b"precious"
    assert path.read_bytes() == pair().fullchain


def test_the_fault_of_a_mounted_file_says_what_to_do() -> None:
    """EBUSY is what the system says of a file that is a mount of its own."""
    error = files.refusal("/srv/x.pem", OSError(16, "Device or resource busy"))
    assert "in_place = true" in error.hint


def test_a_file_that_is_mounted_by_itself(place: Path) -> None:
    """What is behind the mount, as a container has it, gets the new content; another file could not."""
    behind, path = place.parent / "behind", place / "fullchain"
    for one in (behind, path):
        one.write_text("as it was")
    subprocess.run(["/bin/mount", "--bind", behind, path], check=True)
    try:
        copies.put(in_place(place, CopyPart.FULLCHAIN), pair(), {})
        assert behind.read_bytes() == pair().fullchain
    finally:
        subprocess.run(["/bin/umount", path], check=True)
