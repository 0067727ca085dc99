"""Writing a copy and putting back what it replaced."""

import contextlib
import hashlib
import os
import zlib
from collections.abc import Callable, Collection, Iterator, Mapping
from datetime import datetime
from types import MappingProxyType
from typing import assert_never

import msgspec

from renewer.copies import files
from renewer.copies.files import Former
from renewer.copies.keystores import Scratch, Seal
from renewer.copies.rights import ACL, Rights, rights
from renewer.durable import RenamedError
from renewer.errors import RenewerError
from renewer.model.desired import SEALED_PARTS, SECRET_PARTS, Copy, CopyPart, Encryption, SecretSource
from renewer.model.value import Value
from renewer.store.contract import Material

Keep = Callable[[str, bytes, str | None], str]
"""Keeps what stood at a path before us (its content, of a link its text); gives where it is kept."""

_NO_INODES: Mapping[str, int] = MappingProxyType({})


class Written(Value):
    """A file as it now stands, and what stood there before (None if nothing did).

    `wish` is the fingerprint of what the config says of it, `rights` what it was written with, `known`
    whether we had written what stood there; `in_place` whether that file is written into, and `secret`
    whether it holds a key. `note` is set if the file was left alone, and says why. `told`
    are sentences about what a person may not expect.
    """

    path: str
    sha256: str
    stamp: tuple[int, ...]
    wish: str = ""
    before: Former | None = None
    unchanged: bool = False
    note: str = ""
    told: tuple[str, ...] = ()
    rights: Rights = Rights()
    known: bool = False
    in_place: bool = False
    secret: bool = False


class _Draft(Value):
    """A file to be written."""

    part: CopyPart
    path: str
    wish: str
    before: Former | None


@contextlib.contextmanager
def _scratch() -> Iterator[str]:
    import tempfile

    with tempfile.TemporaryDirectory(prefix="renewer-") as directory:
        yield directory


def put(  # noqa: PLR0913  each by its name
    copy: Copy,
    material: Material,
    ours: Mapping[str, str],
    *,
    inodes: Mapping[str, int] = _NO_INODES,
    versions: Collection[str] = (),
    scratch: Scratch = _scratch,
    keep: Keep | None = None,
    beside: str = "",
    why: str = "",
) -> list[Written]:
    """Write every file of a copy, the key first; `ours` is path → SHA-256 of what we wrote there before.

    `inodes` tells which files those were. What is not ours is given to `keep` before it is replaced.
    Files of somebody else's later certificate are left alone, which their `note` says; `versions` are the
    fingerprints of those that are not somebody else's, even if nobody remembers that we wrote them there.
    `beside` is the path of one in another entry, `why` why they were not taken back. Raises RetryLater or
    GiveUp with the path; what was written before the error is put back. `scratch` gives a private directory.
    """
    drafts, seal = _drafts(copy), Seal(copy, scratch)
    if later := beside or _later_there(drafts, seal, material, ours, versions):
        return _left_alone(drafts, later, why)
    contents = [content(one.part, material, seal, _content(one.before)) for one in drafts]
    done: list[Written] = []
    try:
        for one, octets in zip(drafts, contents, strict=True):
            was_ours = one.before is not None and inodes.get(one.path) == one.before.inode
            done.append(_written(copy, one, octets, ours.get(one.path), was_ours=was_ours))
            with files.told(one.path):
                _put_one(done, octets, keep)
    except RenewerError:
        undo(done)
        raise
    return done


def later(
    copy: Copy,
    material: Material,
    ours: Mapping[str, str],
    *,
    versions: Collection[str] = (),
    scratch: Scratch = _scratch,
) -> str:
    """The path where a copy holds somebody else's later certificate, as `put` would find it; "" if none."""
    return _later_there(_drafts(copy), Seal(copy, scratch), material, ours, versions) or ""


def _content(before: Former | None) -> bytes | None:
    return before.content if before and before.link is None else None


def _drafts(copy: Copy) -> list[_Draft]:
    drafts = []
    for part, path in sorted(copy.paths, key=lambda pair: list(CopyPart).index(pair[0])):
        wish = fingerprint(copy, part)  # before its password is read: if that changes meanwhile, it is seen
        with files.told(path):
            drafts.append(_Draft(part=part, path=path, wish=wish, before=files.find(path)))
    return drafts


def _left_alone(drafts: list[_Draft], later: str, why: str) -> list[Written]:
    note = f"{later} holds a certificate that ends later than ours: this copy is left alone"
    note += f"; {why}" if why else ""
    return [
        Written(
            path=one.path,
            sha256="",
            stamp=files.stamp(one.path),
            wish=one.wish,
            before=one.before,
            unchanged=True,
            note=note,
        )
        for one in drafts
    ]


def undo(written: list[Written]) -> tuple[list[Written], list[str]]:
    """Put back what stood there before: the files as they now stand, and what could not be, as sentences."""
    restored: list[Written] = []
    faults: list[str] = []
    for one in reversed(written):
        former = one.before
        if one.note:
            continue
        stamp = one.stamp
        try:
            if former is None:
                files.remove(one.path, _inode(one.stamp))
            elif not one.unchanged:
                if one.in_place:
                    stamp = _write(one, former.content, former.rights, _inode(one.stamp))
                else:
                    stamp = files.put_back(one.path, former, _inode(one.stamp))
        except RenamedError as error:
            stamp = error.stamp
            faults.append(f"{one.path} was put back, which may not be on the disk: {error.strerror}")
        except OSError as error:
            faults.append(f"{one.path} could not be put back: {error.strerror}")
            continue
        except RenewerError as error:
            faults.append(f"{one.path} could not be put back: {error.text}")
            continue
        if former is not None and former.link is None:
            sha256 = _sha256(former.content)
            restored.append(Written(path=one.path, sha256=sha256, stamp=stamp, wish=one.wish))
    return restored, faults


def _later_there(
    drafts: list[_Draft], seal: Seal, material: Material, ours: Mapping[str, str], versions: Collection[str]
) -> str | None:
    """The path where somebody else put a certificate that ends later than ours, if any."""
    from renewer import certs

    our_end = certs.leaf(material.cert).not_after
    for one in drafts:
        if one.before is None or (
            one.before.link is None and _sha256(one.before.content) == ours.get(one.path)
        ):
            continue
        there = shown(one.part, one.before.content, seal)
        if there is None or there[1] in versions:
            continue
        if there[0] > our_end:
            return one.path
    return None


def _written(copy: Copy, draft: _Draft, content: bytes, ours: str | None, *, was_ours: bool) -> Written:
    """What is to be written, not yet done: with which rights, and whether it stands there already."""
    before, sha256 = draft.before, _sha256(content)
    linked = before is not None and before.link is not None
    known = before is not None and not linked and _sha256(before.content) in (ours, sha256)
    # Where others may write, a file of theirs must not make itself the owner of our key; nor may one of
    # root's that they moved there. Ours is the very file that we wrote, not one with the same content.
    mine = known and (was_ours or draft.part not in SECRET_PARTS)
    kept = before.rights if before and not linked and (mine or before.guarded) else None
    wished = rights(copy, draft.part, kept)
    unchanged = (
        not linked and before is not None and before.content == content and wished.met_by(before.rights)
    )
    return Written(
        path=draft.path,
        sha256=sha256,
        stamp=files.stamp(draft.path) if unchanged else (),
        wish=draft.wish,
        before=before,
        unchanged=unchanged,
        rights=wished,
        known=known,
        in_place=copy.in_place and before is not None and not linked,
        secret=draft.part in SECRET_PARTS,
        told=() if unchanged or before is None or linked else tuple(_news(draft, before, kept, wished)),
    )


def _news(draft: _Draft, before: Former, kept: Rights | None, wished: Rights) -> Iterator[str]:
    """What the file that is replaced had, and the new one has not."""
    path, found = draft.path, before.rights
    if kept is None and (found.owner, found.group) != (wished.owner, wished.group):
        if (found.owner, found.group) != (os.geteuid(), os.getegid()):
            yield (
                f"the copy {path} does not keep user {found.owner} and group {found.group} of the file "
                "that was there: others may write to its directory; name `owner` and `group` under copies"
            )
    elif ACL in dict(found.attributes) and ACL not in dict(wished.attributes):
        yield (
            f"the copy {path} does not keep the access list of the file that was there: `mode` or `group` is "
            "configured; leave them out to keep it"
        )


def _put_one(done: list[Written], content: bytes, keep: Keep | None) -> None:
    """Write the last one of `done`; it stays there from the rename on, and is undone with the others."""
    one = done.pop()
    before = one.before
    if one.unchanged:
        files.sweep(one.path)
        done.append(one)
        return
    if before and not one.known and keep is not None:
        kept = keep(one.path, b"" if before.link is not None else before.content, before.link)
        one = msgspec.structs.replace(
            one, told=(*one.told, f"what was at {one.path} before is kept as {kept}")
        )
    try:
        was = before.inode if before and not _strange(one) else 0
        stamp = _write(one, content, one.rights, was)
    except RenamedError as error:
        done.append(msgspec.structs.replace(one, stamp=error.stamp))
        raise
    done.append(msgspec.structs.replace(one, stamp=stamp))


def _write(one: Written, content: bytes, rights: Rights, was: int) -> tuple[int, ...]:
    if not one.in_place:
        return files.replace(one.path, content, rights, was)
    return files.overwrite(one.path, content, rights, was, ours=one.known, secret=one.secret)


def _strange(one: Written) -> bool:
    """Whether it stands in a directory that others could have put there, and is not what we wrote."""
    return one.before is not None and one.before.moved and not one.known


def _inode(stamp: tuple[int, ...]) -> int:
    return stamp[0] if stamp else 0


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


_BEGIN, _END = b"-----BEGIN CERTIFICATE-----", b"-----END CERTIFICATE-----"


def content(  # noqa: PLR0911  one return a part
    part: CopyPart, material: Material, seal: Seal, found: bytes | None
) -> bytes:
    """The bytes for a file; of a keystore those that are `found` there, if they hold the very same."""
    from renewer import certs, x509

    match part:
        case CopyPart.KEY:
            return material.privkey
        case CopyPart.KEY_DER:
            return x509.key_der(material.privkey)
        case CopyPart.CERT:
            return material.cert
        case CopyPart.CHAIN:
            return material.chain
        case CopyPart.FULLCHAIN:
            return material.fullchain
        case CopyPart.COMBINED:  # haproxy's order: leaf, chain, key
            return material.fullchain + material.privkey
        case CopyPart.DER:
            return certs.der(material.cert)
        case CopyPart.PKCS12 | CopyPart.JKS:
            if found is not None and seal.holds(part, found, material):
                return found  # sealed anew it would be other bytes, and nothing else
            return seal.make(part, material)
        case _:
            assert_never(part)


def shown(part: CopyPart, found: bytes, seal: Seal) -> tuple[datetime, str] | None:
    """The end and fingerprint of the certificate in a file, whoever put it there; None if there is none."""
    from renewer import certs

    try:
        match part:
            case CopyPart.KEY | CopyPart.KEY_DER | CopyPart.CHAIN:
                return None
            case CopyPart.CERT | CopyPart.FULLCHAIN | CopyPart.COMBINED:
                leaf = certs.leaf(_first(found))
            case CopyPart.DER:
                leaf = certs.leaf_from_der(found)
            case CopyPart.PKCS12 | CopyPart.JKS:
                inside = seal.inside(part, found)
                return (inside.not_after, inside.certificates[0]) if inside else None
            case _:
                assert_never(part)
    except ValueError:
        return None
    return leaf.not_after, leaf.fingerprint


def _first(pem: bytes) -> bytes:
    """The first certificate of a file that may hold a key, too."""
    begin = pem.find(_BEGIN)
    end = pem.find(_END, begin)
    return pem[begin : end + len(_END)] if 0 <= begin < end else b""


def fingerprint(copy: Copy, part: CopyPart) -> str:
    """Changes with part, owner, group and mode, and for a keystore with its password, alias and encryption.

    Of the password itself nothing is in it: only where it comes from, and of a password file what tells that
    it was replaced.
    """
    sealed = part in SEALED_PARTS
    secret = copy.password if sealed else None
    source: tuple[int, ...] = ()
    if secret is not None and secret.source is SecretSource.FILE:
        source = files.stamp(secret.argument[0])
    wish: tuple[object, ...] = (part, copy.owner, copy.group, copy.mode, secret, source)
    wish = (*wish, copy.alias if sealed else "")
    if sealed and (copy.unsealed or copy.encryption is not Encryption.MODERN):  # else it is as it always was
        wish = (*wish, copy.unsealed, copy.encryption)
    return f"{zlib.crc32(msgspec.json.encode(wish)):08x}"
