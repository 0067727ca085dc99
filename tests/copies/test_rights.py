"""Whose a copy is: what the config leaves out is kept, and nothing is ever widened. As root."""

import os
import stat
import struct
import tempfile
from hashlib import sha256
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from renewer import copies
from renewer.copies.rights import ACL, CONTEXT, Rights, rights
from renewer.errors import GiveUp
from renewer.model.desired import SECRET_PARTS, Copy, CopyPart
from tests.copies.pairs import copy_of, pair

LABEL = b"system_u:object_r:httpd_config_t:s0\0"
STRANGER = 12345  # a user and a group that nothing else here has


def access_list(user: int, group_bits: int = 4) -> bytes:
    """An access list that lets one more user read, as setfacl writes it (acl(5), xattr version 2)."""
    nobody = 0xFFFFFFFF
    entries = ((1, 6, nobody), (2, 4, user), (4, group_bits, nobody), (16, 4, nobody), (32, 0, nobody))
    return struct.pack("<I", 2) + b"".join(struct.pack("<HHI", *entry) for entry in entries)


def own(path: Path) -> tuple[int, int, int]:
    """Owner, group and mode."""
    entry = path.stat()
    return entry.st_uid, entry.st_gid, stat.S_IMODE(entry.st_mode)


def put(place: Path, part: CopyPart, **config: object) -> Path:
    """Write one file with what the config says of it."""
    wish = Copy(paths=((part, str(place / part)),), **config)  # type: ignore[arg-type]
    copies.put(wish, pair(), {})
    return place / part


TABLE = {
    "a new key": (CopyPart.KEY, {}, None, (-1, -1, 0o600)),
    "a new certificate": (CopyPart.CERT, {}, None, (-1, -1, 0o644)),
    "the config's word": (CopyPart.KEY, {"owner": "7", "mode": 0o640}, None, (7, -1, 0o640)),
    "a key keeps all it has": (CopyPart.KEY, {}, (5, 6, 0o640), (5, 6, 0o640)),
    "a key less readable": (CopyPart.KEY, {}, (5, 6, 0o400), (5, 6, 0o400)),
    "a key that all could read": (CopyPart.KEY, {}, (5, 6, 0o644), (5, 6, 0o640)),
    "a key that all could write": (CopyPart.PKCS12, {}, (5, 6, 0o4777), (5, 6, 0o640)),
    "a key that nobody could read": (CopyPart.JKS, {}, (5, 6, 0), (5, 6, 0o400)),
    "a key for another group": (CopyPart.KEY_DER, {"group": "9"}, (5, 6, 0o640), (5, 9, 0o600)),
    "a key for the same group": (CopyPart.KEY, {"group": "6"}, (5, 1, 0o640), (5, 6, 0o600)),
    "a key for the group it has": (CopyPart.KEY, {"group": "6"}, (5, 6, 0o640), (5, 6, 0o640)),
    "the config's mode wins": (CopyPart.KEY, {"mode": 0o600}, (5, 6, 0o640), (5, 6, 0o600)),
    "the config's owner wins": (CopyPart.KEY, {"owner": "7"}, (5, 6, 0o640), (7, 6, 0o640)),
    "a certificate keeps its mode": (CopyPart.CERT, {}, (5, 6, 0o640), (5, 6, 0o640)),
    "a certificate that all could write": (CopyPart.DER, {}, (5, 6, 0o666), (5, 6, 0o644)),
    "a certificate with a mode": (CopyPart.CERT, {"mode": 0o440}, (5, 6, 0o644), (5, 6, 0o440)),
}


@pytest.mark.parametrize("what", TABLE)
def test_table(what: str) -> None:
    """What the config says, and what was there, give what the file gets."""
    part, config, was, expected = TABLE[what]
    found = Rights(owner=was[0], group=was[1], mode=was[2]) if was else None
    got = rights(Copy(paths=((part, "/x"),), **config), part, found)  # type: ignore[arg-type]
    assert (got.owner, got.group, got.mode) == expected


@given(
    part=st.sampled_from(list(CopyPart)),
    found=st.builds(Rights, owner=st.integers(0, 3), group=st.integers(0, 3), mode=st.integers(0, 0o7777)),
    owner=st.sampled_from((None, "0", "2")),
    group=st.sampled_from((None, "0", "2")),
)
def test_never_widened(part: CopyPart, found: Rights, owner: str | None, group: str | None) -> None:
    """Whatever was there: nobody gets a bit more than there was, and of a key never a bit for everybody."""
    got = rights(Copy(paths=((part, "/x"),), owner=owner, group=group), part, found)
    assert got.mode & ~found.mode & ~0o400 == 0
    if part in SECRET_PARTS:
        assert got.mode & 0o137 == 0
        assert got.group == found.group or not got.mode & 0o070


@pytest.mark.parametrize("part", list(CopyPart))
def test_owner_group_mode(place: Path, part: CopyPart) -> None:
    """A file that is replaced keeps them: of an administrator, and then of our own former one."""
    wish = copy_of(place, part)
    path = place / part
    path.write_text("an administrator's")
    path.chmod(0o440)
    os.chown(path, 7, 9)
    first = copies.put(wish, pair(), {})
    assert own(path) == (7, 9, 0o440)
    copies.put(wish, pair(91), {one.path: one.sha256 for one in first})
    assert own(path) == (7, 9, 0o440)


def test_context(place: Path) -> None:
    """The SELinux context of a file goes over to the one that replaces it, and back."""
    path = put(place, CopyPart.KEY)
    os.setxattr(path, CONTEXT, LABEL)
    done = copies.put(copy_of(place, CopyPart.KEY), pair(91), {})
    assert os.getxattr(path, CONTEXT) == LABEL
    copies.undo(done)
    assert os.getxattr(path, CONTEXT) == LABEL
    assert path.read_bytes() == pair().privkey
    put(place, CopyPart.KEY, mode=0o640, owner="7")  # whatever the config says of the rest
    assert (os.getxattr(path, CONTEXT), own(path)) == (LABEL, (7, 0, 0o640))


def test_context_that_may_not_be_set(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that its server could not read is not put there in silence."""
    path = put(place, CopyPart.KEY)
    os.setxattr(path, CONTEXT, LABEL)

    def refused(*_: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "setxattr", refused)
    with pytest.raises(GiveUp, match="Operation not permitted"):
        copies.put(copy_of(place, CopyPart.KEY), pair(91), {str(path): sha256(pair().privkey).hexdigest()})
    assert path.read_bytes() == pair().privkey
    assert [one.name for one in place.iterdir()] == ["key"]


def test_access_list(place: Path) -> None:
    """Who was let in by an access list still is; without that list, its mask would let the group in."""
    path = put(place, CopyPart.KEY)
    os.setxattr(path, ACL, access_list(STRANGER, group_bits=0))
    assert own(path)[2] == 0o640
    copies.put(copy_of(place, CopyPart.KEY), pair(91), {})
    assert os.getxattr(path, ACL) == access_list(STRANGER, group_bits=0)
    assert own(path)[2] == 0o640
    put(place, CopyPart.KEY, mode=0o600)  # the config says something else
    assert (ACL in os.listxattr(path), own(path)[2]) == (False, 0o600)


def test_access_list_of_the_directory(place: Path) -> None:
    """A directory whose list lets its owner's friends into new files does not let them read a key."""
    default = access_list(STRANGER)
    os.setxattr(place, "system.posix_acl_default", default)
    for number, part in enumerate((CopyPart.KEY, CopyPart.CERT)):
        path = put(place, part, mode=(0o640, 0o644)[number])
        assert (ACL in os.listxattr(path), own(path)[2]) == (False, (0o640, 0o644)[number])


def test_stranger_in_an_open_directory(place: Path) -> None:
    """Where everybody may write, who puts a file first does not become the owner of our key."""
    place.chmod(0o1777)
    path = place / "key"
    path.write_text("mine, soon")
    os.chown(path, STRANGER, STRANGER)
    path.chmod(0o640)
    put(place, CopyPart.KEY)
    assert own(path) == (0, 0, 0o600)
    os.chown(path, 7, 9)  # but what an administrator did to our own file is kept
    path.chmod(0o640)
    done = copies.put(copy_of(place, CopyPart.KEY), pair(), {}, inodes={str(path): path.stat().st_ino})
    assert own(path) == (7, 9, 0o640)
    assert [one.told for one in done] == [()]


@pytest.mark.parametrize("owner", [STRANGER, 0])
def test_owner_of_the_directory_was_first(place: Path, owner: int) -> None:
    """Who owns a copy's directory gets no key by a file of theirs, nor by one of root's moved there."""
    os.chown(place, STRANGER, STRANGER)
    path = place / "key"
    path.write_text("mine, soon")
    os.chown(path, owner, STRANGER)
    path.chmod(0o640)
    done = copies.put(copy_of(place, CopyPart.KEY), pair(), {})
    assert own(path) == (0, 0, 0o600)
    assert "name `owner` and `group`" in done[0].told[0]


def test_same_content_in_a_file_of_the_directorys_owner(place: Path) -> None:
    """Who could read the key and lays a copy of it there does not get the next one."""
    os.chown(place, STRANGER, STRANGER)
    path = place / "key"
    done = copies.put(copy_of(place, CopyPart.KEY), pair(), {})
    path.rename(place / "former")
    path.write_bytes(pair().privkey)
    os.chown(path, STRANGER, STRANGER)
    ours = {one.path: one.sha256 for one in done}
    inodes = {one.path: one.stamp[0] for one in done}
    for days in (90, 91):
        done = copies.put(copy_of(place, CopyPart.KEY), pair(days), ours, inodes=inodes)
        assert own(path) == (0, 0, 0o600)


def test_access_list_and_mode(place: Path) -> None:
    """A configured mode ends the access list of the file that was there, and that is told."""
    path = put(place, CopyPart.KEY)
    os.setxattr(path, ACL, access_list(STRANGER))
    done = copies.put(copy_of(place, CopyPart.KEY, mode=0o600), pair(91), {})
    assert ACL not in os.listxattr(path)
    assert any("access list" in text for text in done[0].told)


def test_already_right_is_left_alone(place: Path) -> None:
    """The same content under rights that are kept is no reason to write."""
    path = put(place, CopyPart.KEY)
    os.chown(path, 7, 9)
    path.chmod(0o440)
    os.setxattr(path, CONTEXT, LABEL)
    inode = path.stat().st_ino
    put(place, CopyPart.KEY)
    assert path.stat().st_ino == inode
    path.chmod(0o444)
    put(place, CopyPart.KEY)  # a key that everybody can read is put right
    assert own(path) == (7, 9, 0o440)


def test_agent_that_is_not_root() -> None:
    """It replaces its own files; one of somebody else it may not give back to them, and says what to do."""
    with tempfile.TemporaryDirectory() as directory:
        place = Path(directory)
        os.chown(place, STRANGER, STRANGER)
        (place / "cert").write_text("root's")
        try:
            os.setegid(STRANGER)
            os.seteuid(STRANGER)
            for number in (90, 91):
                copies.put(copy_of(place, CopyPart.KEY), pair(number), {})
            with pytest.raises(GiveUp, match="cannot be given to user 0 and group 0") as caught:
                copies.put(copy_of(place, CopyPart.CERT), pair(), {})
        finally:
            os.seteuid(0)
            os.setegid(0)
        assert own(place / "key") == (STRANGER, STRANGER, 0o600)
        assert (place / "cert").read_text() == "root's"
        assert "give the file that is there to the agent's user" in caught.value.hint


def test_unknown_group(place: Path) -> None:
    """A group that does not exist is named, and no file appears."""
    with pytest.raises(GiveUp, match="no group 'nobody-of-that-name'"):
        put(place, CopyPart.KEY, group="nobody-of-that-name")
    assert list(place.iterdir()) == []
